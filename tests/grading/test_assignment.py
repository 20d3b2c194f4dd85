"""Cases drawn from a secret, and the judgement on what travelled to a worker and back."""

import re
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from mechlib.checks.judging import Trial, judge
from mechlib.checks.question import Case, Field, Model
from mechlib.checks.registry import asked, questions
from mechlib.checks.running import Raised, Returned, run
from mechlib.checks.values import Reading, read_fields
from mechlib.grading.assignment import Asked, Assignment, new_secret, read_secret, seed, text
from mechlib.grading.worker.cells import Numbers, told
from mechlib.grading.worker.frames import BadFrame, Blob, decode, receive, send
from tests.grading import toys
from tests.questions.alternatives import alternatives

SECRETS = [f"secret number {number} of the tests".encode() for number in range(20)]


def sent(message, blob=None):
    """What arrives of a frame at the other end."""
    here, there = socket.socketpair()
    with here, there, ThreadPoolExecutor(1) as other:
        sending = other.submit(send, here, message, blob)
        received = receive(there)
        sending.result()
        return received


def judged(asked, answer):
    """The judgement on an answer that got its cases, and gave what it returned, in frames."""
    message, blob = sent(asked.message, asked.blob)
    returned, outcomes = Blob(), []
    for inputs in message["cases"]:
        case = Case("", {name: decode(value, blob) for name, value in inputs})
        outcomes.append(told(run(answer, case), [Field(name) for name in message["fields"]], returned, Numbers()))
        if "raised" in outcomes[-1]:
            break
    return asked.judged(*sent({"outcomes": outcomes}, returned))


@pytest.mark.parametrize("question", questions(), ids=lambda question: question.id)
def test_a_visible_pass_never_fails_hidden(question):
    for secret in SECRETS:
        asked = Asked(question, secret)
        for name, answer in {"reference": question.reference, **alternatives(question)}.items():
            assert judged(asked, answer).status == "right", (secret, name)


@pytest.mark.parametrize("question", questions(), ids=lambda question: question.id)
def test_a_mistake_is_judged_as_in_the_notebook(question):
    asked, trial = Asked(question, SECRETS[0]), Trial(question, seed(SECRETS[0], question.id))
    for misconception in question.misconceptions.values():
        visible = judge(trial, trial.run(misconception.answer))
        hidden = judged(asked, misconception.answer)
        assert (hidden.status, hidden.misconception) == (visible.status, visible.misconception)
        assert hidden.headline == visible.headline or not visible.misconception
        if hidden.status == "wrong":
            assert_nothing_is_told(hidden, question, trial)


def assert_nothing_is_told(judgement, question, trial):
    """Beside words that are the same for everybody, a student is told no number but those of their own shapes."""
    lines = {judgement.headline, *judgement.details}
    lines -= {misconception.sentence for misconception in question.misconceptions.values()}
    lines -= {f"On the case of {case.description}." for case in trial.cases}
    words = re.sub(r"the shape is \[[^]]*\]", "", " ".join(lines))
    for field in question.fields:
        words = words.replace(field.name, "").replace(", ".join(field.axes.split()), "")
    assert not re.search(r"\d", words), judgement


@pytest.mark.parametrize("question", questions(), ids=lambda question: question.id)
def test_what_is_said_to_a_wrong_answer_tells_nothing(question):
    asked, trial = Asked(question, SECRETS[0]), Trial(question, seed(SECRETS[0], question.id))
    for size in (0.5, float("nan")):

        def wrong(*inputs, size=size):
            right = question.reference(*inputs)
            parts = [torch.as_tensor(part, dtype=torch.float64) + size for part in parts_of(right)]
            return parts if len(parts) > 1 else parts[0]

        judgement = judged(asked, wrong)
        assert judgement.status == "wrong"
        assert_nothing_is_told(judgement, question, trial)


def parts_of(answer):
    return list(answer) if isinstance(answer, (tuple, list)) else [answer]


@pytest.mark.parametrize("precision", [2.0**-10, 2.0**-7])
@pytest.mark.parametrize("question", questions(), ids=lambda question: question.id)
def test_a_mistake_is_none_the_less_one_in_half_precision(question, precision):
    """Whether it comes so or a worker only says so."""
    trial = Trial(question, seed(SECRETS[0], question.id))
    for misconception in question.misconceptions.values():
        outcomes = trial.run(misconception.answer)
        if any(isinstance(outcome, Raised) for outcome in outcomes):
            continue
        readings = [read_fields(outcome.value, question.fields) for outcome in outcomes]
        coarse = [tuple(Reading(reading.values, precision) for reading in of_case) for of_case in readings]
        outcomes = [Returned(of_case if len(of_case) > 1 else of_case[0]) for of_case in coarse]
        assert judge(trial, outcomes).status != "right"


def test_a_seed_depends_on_the_secret_and_the_question():
    seeds = {seed(secret, question.id) for secret in SECRETS for question in questions()}
    assert len(seeds) == len(SECRETS) * len(questions())
    assert all(0 <= each < 2**31 for each in seeds)
    assert seed(SECRETS[0], "ch02.refute") == seed(bytes(SECRETS[0]), "ch02.refute")


def test_a_seed_depends_on_the_student_however_the_name_is_written():
    students = ("", "ada", "bob", "ada b", "ada\0", "\ud800")
    assert len({seed(SECRETS[0], "ch02.refute", student) for student in students}) == len(students)
    assert seed(SECRETS[0], "ch02.refute", "Zo\u00eb") == seed(SECRETS[0], "ch02.refute", "zoe\u0308")


def test_every_student_has_cases_of_their_own():
    def sent_to(student):
        asked = Assignment.of("ch02", SECRETS[0], only=toys.TOYS).of_student(student).asked
        return {name: each.blob.content for name, each in asked.items()}

    ada, again, bob, nobody = map(sent_to, ("ada", "ada", "bob", ""))
    assert ada == again and list(ada) == ["ch02.total", "ch02.ends"]
    assert all(len({each[name] for each in (ada, bob, nobody)}) == 3 for name in ada)


def test_a_secret_is_read_without_its_line_end(tmp_path):
    (tmp_path / "secret").write_bytes(new_secret() + b"\n")
    assert len(read_secret(tmp_path / "secret")) == 64
    assert new_secret() != new_secret()


def test_an_assignment_is_on_one_chapter():
    assert list(Assignment.of("ch02", SECRETS[0]).asked) == [task.id for task in asked("ch02")]
    with pytest.raises(LookupError, match="no questions on 'ch99'"):
        Assignment.of("ch99", SECRETS[0])


def test_a_model_travels_as_its_name():
    model = Model("code-1l", 0)
    message, blob = sent({"case": [["model", {"model": [model.name, model.step]}]]})
    assert decode(message["case"][0][1], blob) == model
    case = Case("", {"model": model})
    returned = run(lambda model: sum(weights.numel() for weights in model.parameters()), case)
    assert isinstance(returned, Returned) and returned.value > 10**4 and returned.changed == ()


ARRAY = {"dtype": "float64", "shape": [3], "precision": 0.0}


@pytest.mark.parametrize(
    ("outcomes", "complaint"),
    [
        ("right", "do not belong"),
        ([], "do not belong"),
        ([{}] * 4, "do not belong"),
        ([1, 2, 3], "not an object"),
        ([{"arrays": [ARRAY]}] * 2, "longer than the bytes"),
        ([{"raised": {}}, {}], "after the one that raised"),
        ([{}, {}], "2 outcomes for 3 cases"),
        ([{"arrays": [ARRAY, ARRAY]}], "2 arrays where 1"),
        ([{"arrays": [{**ARRAY, "precision": 0.25}]}], "rounding error"),
        ([{"arrays": [{**ARRAY, "precision": []}]}], "rounding error"),
        ([{"arrays": [{**ARRAY, "dtype": "bool"}]}], "not in double precision"),
        ([{"arrays": [{**ARRAY, "dtype": "object"}]}], "dtype object"),
        ([{"arrays": [{**ARRAY, "shape": [-3, -1]}]}], "odd shape"),
        ([{"arrays": [{**ARRAY, "shape": [2**40, 2**40]}]}], "odd shape"),
        ([{"arrays": [{**ARRAY, "shape": [0, 2**26, 2**26, 2**26]}]}], "odd shape"),
        ([{"arrays": [{**ARRAY, "shape": [True]}]}], "odd shape"),
        ([{"arrays": ["array"]}], "without a shape"),
    ],
)
def test_what_no_honest_worker_sends_is_refused(outcomes, complaint):
    blob = Blob(bytes(24))
    with pytest.raises(BadFrame, match=complaint):
        Asked(toys.TOTAL, SECRETS[0]).judged({"outcomes": outcomes}, blob)


def test_claims_of_a_worker_are_not_believed():
    asked = Asked(toys.TOTAL, SECRETS[0])
    claim = {"status": "right", "misconception": None, "changed": ["x", "y", 3], "none": True}
    assert asked.judged({"outcomes": [claim] * 3, "score": 5}, Blob()).status == "unanswered"
    raised = {"raised": {"kind": "E" * 500, "message": 3, "number": "4", "unfilled": "yes", "line": "\x1b[2J\ud800"}}
    judgement = asked.judged({"outcomes": [raised]}, Blob())
    assert judgement.status == "raised"
    assert len(judgement.headline) < 120
    "\n".join(judgement.details).encode()


def test_text_is_cut_and_has_no_control_characters():
    assert text("a\x00b\x1bc\ud800\n", 100) == "a�b�c�\n"
    assert (text("abc", 2), text(None, 5), text(["a"], 5)) == ("ab", "", "")


def test_an_outcome_is_what_the_answer_did():
    asked = Asked(toys.TOTAL, SECRETS[0])
    assert judged(asked, lambda x, factor: None).status == "unanswered"
    assert "raised ZeroDivisionError" in judged(asked, lambda x, factor: 1 / 0).headline
    assert "a str, which is not a number" in judged(asked, lambda x, factor: "three").headline
    assert judged(asked, lambda x, factor: (x.double() * factor).sum(-1).half()).status == "right"
    assert judged(asked, lambda x, factor: torch.zeros(2, 2)).status == "wrong"
    assert isinstance(run(lambda x: x, Case("", {})), Raised)
