"""What goes back to the students in one zip: their feedback pages, or exercises of their own."""

from __future__ import annotations

from pathlib import Path

from mechlib.course import roster, worksheet
from mechlib.course.feedback import feedback
from mechlib.course.graded import Graded
from mechlib.course.layouts import Address, Platform, addresses, laid_out, participants
from mechlib.course.matching import Match, matches
from mechlib.course.roster import Student
from mechlib.course.settling import Term, settle
from mechlib.grading import collect
from mechlib.grading.results import SubmissionGrade

__all__ = ["exercises_zip", "feedback_zip"]


def feedback_zip(done: Graded, known: Term, platform: Platform, sheet: str = "") -> tuple[bytes, str | None, list[str]]:
    """All feedback pages of a graded class as a platform takes them.

    On Moodle with a worksheet every member of a group is reached; without, and elsewhere, whoever handed in, from whom
    the platform gives it to the group if the assignment is one for groups.

    Returns:
        the zip; the worksheet filled in, ``None`` without one; and what is to be said, one sentence each.

    Raises:
        ValueError: for a worksheet of another platform, and as ``layouts.laid_out``.
    """
    if sheet and platform != "moodle":
        raise ValueError(f"{sheet} is a worksheet of Moodle's, and the feedback is for {platform}: leave it out")
    settled = settle(list(done.grades.values()), known)
    found = matches(settled.grades, known.students, settled.groups)
    pages = {who: match.grade for match in found for who in match.people}
    reached, filled, notes = addresses(found, platform), None, [*settled.notes, *_open(found)]
    if sheet:
        read = worksheet.read(Path(sheet))
        numbers = _numbers(found, known.students)
        reached = participants(read.people(), numbers)
        filled, said = read.filled({n: pages[who] for n, who in numbers.items() if who in pages})
        notes += said
    files = {who: {f"feedback-{grade.chapter}.html": feedback(grade).encode()} for who, grade in pages.items()}
    if not sheet:  # one page for a group, to whoever handed in
        files = {each.student: files[each.student] for each in reached} | _apart(found, files, reached)
    content, missed = laid_out(reached, files)
    return content, filled, [*notes, *_missed(missed, platform)]


def _open(found: list[Match]) -> list[str]:
    """What the pages do not say yet."""
    undecided = sum(match.undecided for match in found)
    waiting = sum(bool(match.grade.waiting) for match in found if match.counts)
    said = [f"{undecided} submissions count for nobody until you decide: no page goes back for them."] * bool(undecided)
    return [*said, *([f"{waiting} pages are not final and say so: see summary.html."] if waiting else [])]


def _apart(
    found: list[Match], files: dict[str, dict[str, bytes]], reached: list[Address]
) -> dict[str, dict[str, bytes]]:
    """The pages of those who are not reached, but for members of a group somebody of which is."""
    there = {each.student for each in reached}
    served = {who for match in found if there & set(match.people) for who in match.people}
    return {who: own for who, own in files.items() if who not in served}


def _numbers(found: list[Match], students: tuple[Student, ...]) -> dict[str, str]:
    """Whose a participant's number in Moodle is: by the roster, else by what was handed in under it."""
    numbers = {student.moodle_id: student.id for student in students if student.moodle_id}
    handed = {m.grade.number: m.people[0] for m in found if m.grade.platform == "moodle" and m.people and not m.members}
    return handed | numbers


def _missed(students: list[str], platform: str) -> list[str]:
    if not students:
        return []
    shown = ", ".join(students[:10]) + (f" and {len(students) - 10} more" if len(students) > 10 else "")
    return [f"Not in the zip, since nothing tells where {platform} would put it: {shown}."]


def exercises_zip(
    course: Path, platform: Platform, sheet: Path | None = None, submissions: Path | None = None
) -> tuple[bytes, list[str]]:
    """Every student's own exercises, as a platform takes files for many students.

    Args:
        course: the folder that ``mechlib release`` wrote with a roster.
        platform: where they are uploaded.
        sheet: for Moodle, the grading worksheet of the assignment; nobody need have handed anything in.
        submissions: else the platform's download of an assignment in which everybody handed something in.

    Returns:
        the zip, and what is to be said, one sentence each.

    Raises:
        FileNotFoundError: for a course without exercises of the students' own.
        ValueError: if neither or both of the two are given, and as ``layouts.laid_out``.
    """
    zips = {path.stem: path for path in sorted((course / "zips").glob("*.zip"))}
    if not zips:
        raise FileNotFoundError(
            f"{course / 'zips'} holds no student's exercises: release the course with --per-student ROSTER"
        )
    if (sheet is None) == (submissions is None) or (sheet and platform != "moodle"):
        other = "--worksheet FILE (Moodle), or " if platform == "moodle" else ""
        raise ValueError(f"who is who on {platform}? give {other}--submissions with a download of the assignment")
    students = roster.read(course / "instructor" / "roster.csv")
    if sheet is not None:
        read = worksheet.read(sheet)
        numbers = {student.moodle_id: student.id for student in read.numbered(students) if student.moodle_id}
        reached = participants(read.people(), numbers)
    else:
        assert submissions is not None
        handed = collect(submissions, [key for student in students for key in student.keys])
        grades = [
            SubmissionGrade(s.student, s.source, "", (), (), (), False, 0.0, s.number, s.superseded, False, s.platform)
            for s in handed
        ]
        reached = addresses(matches(grades, students), platform)
    files = {student: {f"{course.name}-{student}.zip": path.read_bytes()} for student, path in zips.items()}
    content, missed = laid_out(reached, files)
    return content, _missed(missed, platform)
