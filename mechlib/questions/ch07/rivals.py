"""Question ch07.rivals: what a model that matches says, and what a model that counts."""

from __future__ import annotations

import torch
from jaxtyping import Int
from torch import Tensor

from mechlib.checks.edits import edits_of
from mechlib.checks.question import Case, Field, Question, Step
from mechlib.questions.drawing import distinct, integer

__all__ = ["QUESTION"]

Arguments = Int[Tensor, "row argument"]
Documented = Int[Tensor, "row line"]
Said = Int[Tensor, " row"]
NONE = -1


def at(arguments: Arguments, place: Int[Tensor, " row"]) -> Said:
    """The arguments at these places; ``NONE`` beyond the last."""
    padded = torch.nn.functional.pad(arguments, (0, 1), value=NONE)
    return padded.gather(1, place.clamp(max=arguments.shape[1])[:, None])[:, 0]


def behind_last(arguments: Arguments, documented: Documented) -> Int[Tensor, " row"]:
    """The place behind that of the argument that was described last; beyond the last if it is no argument."""
    same = arguments == documented[:, -1:]
    return torch.where(same.any(1), same.int().argmax(1) + 1, arguments.shape[1])


def lines(arguments: Arguments, documented: Documented) -> Int[Tensor, " row"]:
    """The place whose number is that of the lines."""
    return torch.full((len(arguments),), documented.shape[1])


def rivals(
    arguments: Arguments, documented: Documented, *, match: Step = behind_last, count: Step = lines, take: Step = at
) -> tuple[Said, Said]:
    """What comes next by the name that was described last, and by the number of lines."""
    return take(arguments, match(arguments, documented)), take(arguments, count(arguments, documented))


def cases(generator: torch.Generator) -> tuple[Case, ...]:
    """Lines in order, out of order, twice the same, of no argument, and more of them than arguments."""
    return (
        _case("lines that describe the arguments in their order", generator, n=7, lines=3, order=True),
        _case("lines in any order", generator, n=6, lines=4),
        _case("lines that describe an argument twice", generator, n=5, lines=3, twice=True),
        _case("a single line", generator, n=4, lines=1),
        _case("names that are no arguments", generator, n=5, lines=2, strangers=True),
        _case("one line more than arguments", generator, n=3, lines=4, twice=True),
        _case("many more lines than arguments", generator, n=2, lines=5, twice=True),
        _case("a single argument", generator, n=1, lines=2, strangers=True),
        _case("a single row", generator, n=6, lines=2, rows=1),
    )


def _case(
    description: str,
    generator: torch.Generator,
    *,
    n: int,
    lines: int,
    order: bool = False,
    twice: bool = False,
    strangers: bool = False,
    rows: int | None = None,
) -> Case:
    rows = rows or integer(generator, 9, 14)
    names = torch.stack([torch.tensor(distinct(generator, n + 3, 0, 40)) for _ in range(rows)])
    names[names == 0] = 41
    names[torch.arange(rows), (torch.arange(rows) + integer(generator, 0, n + 2)) % (n + 3)] = 0
    arguments = names[:, :n]
    if order:
        documented = arguments[:, :lines].clone()
    else:
        pool = n + 3 if strangers else n
        draw = torch.rand(rows, pool, generator=generator).argsort(1)
        if twice or lines > pool:
            draw = torch.randint(n, (rows, lines), generator=generator)
            draw[:, -1:] = draw[:, :1]
        if strangers:
            draw[0, lines - 1], draw[1, lines - 1] = n, 0
        documented = names.gather(1, draw[:, :lines])
    return Case(description, {"arguments": arguments.clone(), "documented": documented})


def first_match(arguments: Arguments, documented: Documented) -> Tensor:
    return behind_last(arguments, documented[:, :1])


def itself(arguments: Arguments, documented: Documented) -> Tensor:
    place = behind_last(arguments, documented)
    inside = (arguments == documented[:, -1:]).any(1)
    return torch.where(inside, place - 1, place)


def around(arguments: Arguments, place: Tensor) -> Tensor:
    """Beyond the last argument comes the first."""
    return arguments.gather(1, place[:, None] % arguments.shape[1])[:, 0]


def last_kept(arguments: Arguments, place: Tensor) -> Tensor:
    return arguments.gather(1, place.clamp(max=arguments.shape[1] - 1)[:, None])[:, 0]


def unlike_before(arguments: Arguments, documented: Documented) -> Tensor:
    """The number of different names that were described."""
    return torch.tensor([len(set(row)) for row in documented.tolist()])


def first_not_described(arguments: Arguments, documented: Documented) -> Tensor:
    left = ~(arguments[:, :, None] == documented[:, None]).any(-1)
    return torch.where(left.any(1), left.int().argmax(1), arguments.shape[1])


def stranger_first(arguments: Arguments, documented: Documented) -> Tensor:
    """A name that is no argument counts as the first."""
    return (arguments == documented[:, -1:]).long().argmax(1) + 1


on = edits_of(rivals)
MISCONCEPTIONS = {
    "first_line": on("you match the first line; the last one before the break is meant.", match=first_match),
    "itself": on("by matching, the argument *behind* the one described last comes next.", match=itself),
    "one_too_many": on(
        "counted from 0, the argument that comes after k lines has the number k.",
        count=lambda a, d: lines(a, d) + 1,
    ),
    "one_too_few": on(
        "that is the argument with the number of the last line; the next one is asked for.",
        count=lambda a, d: lines(a, d) - 1,
    ),
    "different_names": on("who counts lines counts a name twice that is described twice.", count=unlike_before),
    "around": on("behind the last argument comes none: -1, not the first again.", take=around),
    "last_kept": on("behind the last argument comes none: -1, not the last again.", take=last_kept),
    "not_described": on(
        "that is the first argument without a line, which is a third rule. Who matches looks at the last line alone.",
        match=first_not_described,
    ),
    "stranger_first": on(
        "a name that is no argument has no place: -1, not the place behind the first.", match=stranger_first
    ),
    "swapped": on("the two rules are swapped: matching first, then counting.", result=lambda found: found[::-1]),
}

QUESTION = Question(
    id="ch07.rivals",
    points=2,
    title="Match or count?",
    hints=(
        "Both rules give a place in the list of arguments. One finds it by a name, the other by a number.",
        "Compare arguments with the last column of documented: where they agree, add one to the place. The other place "
        "is the number of columns of documented. Beyond the last argument, and for a name that is not there, say -1.",
        "padded = torch.nn.functional.pad(arguments, (0, 1), value=-1); same = arguments == documented[:, -1:]; "
        "match = torch.where(same.any(1), padded.gather(1, same.long().argmax(1, keepdim=True) + 1)[:, 0], -1); "
        "k = documented.shape[1]; count = padded[:, min(k, arguments.shape[1])]",
    ),
    reference=rivals,
    cases=cases,
    axes={"arguments": "row argument", "documented": "row line"},
    fields=(Field("match", "row", atol=0, rtol=0), Field("count", "row", atol=0, rtol=0)),
    misconceptions=MISCONCEPTIONS,
)
