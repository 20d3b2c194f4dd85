"""Whatever a reader hands in, ``check`` prints what is the matter and raises nothing."""

import signal
import threading

import numpy as np
import pytest
import torch

from mechlib.checks import check, hint, progress, solved
from mechlib.checks.registry import asked, find


def endless_list():
    found = []
    found.append(found)
    return found


def right(x, factor):
    return (x * factor).sum(-1)


@pytest.fixture
def said(toy, capsys):
    """``said(answer)``: the lines that checking this answer to the toy question prints."""

    def lines(answer, question_id="ch02.toy"):
        assert check(question_id, answer) is None
        return capsys.readouterr().out.splitlines()

    return lines


def test_a_right_answer(said, record):
    assert said(right) == ["✓ ch02.toy: right (2 points)"]
    assert (record.entry("ch02.toy").status, record.entry("ch02.toy").tries) == ("right", 1)


def test_a_misconception_is_the_first_line(said):
    first, *rest = said(lambda x, factor: (x * factor).mean(-1))
    assert first == "✗ ch02.toy: this is the mean, not the sum."
    assert any("three rows" in line for line in rest)


def test_another_mistake_shows_the_gap_the_case_and_the_shapes(said):
    text = "\n".join(said(lambda x, factor: (x * factor).sum(-1) + 0.25))
    assert "total: 3 of 3 values off" in text and "gap 0.25" in text
    assert "three rows" in text and "x [3, 5]" in text and "factor = 2.0" in text


def test_the_printed_seed_repeats_the_cases(said, capsys):
    last = said(lambda x, factor: x.sum(-1) + 1)[-1]
    seed = int(last.rpartition("seed=")[2].rstrip(")"))
    seen = []
    for _ in range(2):
        check("ch02.toy", lambda x, factor: seen.append(x) or x, seed=seed)
    half = len(seen) // 2
    assert all(torch.equal(a, b) for a, b in zip(seen[:half], seen[half:], strict=True))


@pytest.mark.parametrize(
    ("given", "nearest"),
    [("ch02.red_out", "ch02.read_out"), ("ch2.refute", "ch02.refute"), (7, "ch02."), (None, "ch02."), ([], "ch02.")],
)
def test_an_unknown_id_shows_the_nearest(said, given, nearest, record):
    (line,) = said(right, given)
    assert repr(given) in line and nearest in line
    assert record.entries == {}


def test_an_unfilled_answer(said, record):
    def stub(x, factor):
        raise NotImplementedError  # YOUR CODE HERE

    assert said(stub) == ["· ch02.toy: not answered yet"]
    assert record.entry("ch02.toy").tries == 0


def test_a_leftover_line_under_an_answer(said, record):
    def answer(x, factor):
        """A scaled sum."""
        total = (x * factor).sum(-1)
        raise NotImplementedError
        return total

    assert said(answer) == ["· ch02.toy: the line `raise NotImplementedError` is still in it"]
    assert record.entry("ch02.toy").tries == 0


def test_an_unfilled_answer_without_source(said):
    namespace = {}
    exec("def stub(x, factor):\n    raise NotImplementedError", namespace)
    assert said(namespace["stub"]) == ["· ch02.toy: not answered yet"]


def test_a_missing_torch_kernel_is_no_unfilled_answer(said):
    first, *rest = said(lambda x, factor: torch.ones(2, device="meta").tolist())
    assert "your function raised NotImplementedError" in first
    assert any('device="meta"' in line for line in rest)


def test_none(said):
    assert said(None) == ["· ch02.toy: not answered yet"]
    (line,) = said(lambda x, factor: None)
    assert "not answered yet" in line and "return" in line


def test_something_that_is_no_function(said):
    assert "the function itself" in said(torch.ones(3))[0]


def test_an_answer_that_raises_shows_the_readers_line(said, record):
    def answer(x, factor):
        helped = x + 1
        return torch.einsum("rc,rk->r", helped, torch.ones(9, 9))

    first, second, *_ = said(answer)
    assert first.startswith("✗ ch02.toy: your function raised RuntimeError: ")
    assert 'return torch.einsum("rc,rk->r", helped, torch.ones(9, 9))' in second
    assert second.startswith(f"  In line {answer.__code__.co_firstlineno + 2}: ")
    assert record.entry("ch02.toy").status == "raised"


def test_a_wrong_signature_shows_the_arguments(said):
    assert any("It is called with 2 arguments: x, factor." in line for line in said(lambda x: x))


def test_a_single_argument_is_counted_as_one(said):
    assert any("It is called with 1 argument: log_probs." in line for line in said(lambda: 0, "ch02.kl_to_final"))


def test_one_number_where_several_are_asked_for(said):
    first, *_ = said(lambda log_probs, tokens, top_k: 3.0, "ch02.readable")
    assert first.endswith("your function returned one number; asked for are 2 values: current, guess.")


class Unprintable(Exception):
    def __str__(self):
        raise RuntimeError


def test_an_exception_without_a_message_that_can_be_shown(said):
    def answer(x, factor):
        raise Unprintable

    assert "raised Unprintable" in said(answer)[0]


def test_only_the_first_line_of_a_long_message_stands_in_front(said):
    def answer(x, factor):
        raise ValueError("first\nsecond")

    first, second, *_ = said(answer)
    assert first.endswith("raised ValueError: first") and second == "  second"


@pytest.mark.parametrize("default", [torch.float16, torch.float64])
def test_the_readers_default_dtype_and_device_are_no_trap(said, default):
    torch.set_default_dtype(default)
    try:
        with torch.device("meta"):
            assert "right" in said(right)[0]
    finally:
        torch.set_default_dtype(torch.float32)


def test_leaving_the_interpreter_is_only_a_raise(said):
    assert "raised SystemExit" in said(lambda x, factor: exit())[0]


def test_an_endless_answer_can_be_interrupted(said, record):
    timer = threading.Timer(0.2, lambda: signal.raise_signal(signal.SIGINT))

    def endless(x, factor):
        timer.start()
        while True:
            pass

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        (line,) = said(endless)
    finally:
        timer.cancel()
        signal.signal(signal.SIGINT, before)
    assert "interrupted" in line
    assert (record.entry("ch02.toy").status, record.entry("ch02.toy").tries) == ("interrupted", 0)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda x, factor: (x * factor).sum(-1, keepdim=True), "the shape is [3, 1], asked for is [3] (row)"),
        (lambda x, factor: (x * factor).sum(-1) * float("nan"), "3 of them NaN"),
        (lambda x, factor: (x * factor).sum(-1).to("meta"), "meta device"),
        (lambda x, factor: (x * factor).sum(-1).to(torch.complex64), "complex"),
        (lambda x, factor: "a text", "returned a str"),
        (lambda x, factor: [1.0, "two"], "returned a str"),
        (lambda x, factor: [torch.ones(2), torch.ones(3)], "differ in shape"),
        (lambda x, factor: {"total": 1.0}, "returned a dict"),
        (lambda x, factor: (v for v in x), "returned a generator"),
        (lambda x, factor: endless_list(), "cannot be read (RecursionError"),
    ],
)
def test_values_that_cannot_be_right(said, answer, words):
    assert words in "\n".join(said(answer))


@pytest.mark.parametrize(
    "convert",
    [
        lambda t: t.double(),
        lambda t: t.half(),
        lambda t: t.bfloat16(),
        lambda t: t.numpy(),
        lambda t: t.numpy().astype(np.float16),
        lambda t: t.numpy()[::-1].copy()[::-1],
        lambda t: t.tolist(),
        lambda t: tuple(t),
        lambda t: [np.float32(v) for v in t],
        lambda t: t.to_sparse(),
        lambda t: torch.nn.Parameter(t),
    ],
)
def test_values_of_any_reasonable_type(said, convert):
    assert "right" in said(lambda x, factor: convert((x * factor).sum(-1)))[0]


@pytest.mark.parametrize("device", ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"])
def test_values_on_any_device(said, device):
    assert "right" in said(lambda x, factor: (x * factor).sum(-1).to(device))[0]


def test_every_call_gets_fresh_inputs(said):
    def answer(x, factor):
        total = (x * factor).sum(-1)
        x.zero_()
        return total

    first, second = said(answer)
    assert "right" in first and "argument x in place" in second


def test_a_wrong_answer_that_changes_its_inputs_is_told(said):
    def answer(x, factor):
        x += 1
        return (x * factor).sum(-1)

    assert said(answer)[0] == "✗ ch02.toy: Your function changes its argument x in place: work on a copy."


def test_hints_come_one_at_a_time(toy, capsys):
    for _ in range(4):
        hint("ch02.toy")
    shown = capsys.readouterr().out.splitlines()
    assert [line.rpartition(": ")[2] for line in shown] == [
        "a nudge",
        "the method",
        "almost the answer",
        "almost the answer",
    ]
    assert shown[0] == "Hint 1 of 3 on ch02.toy: a nudge"
    hint("ch02.tyo")
    assert "no question 'ch02.tyo'" in capsys.readouterr().out


def test_progress_shows_the_chapters_asked_about(capsys):
    assert len(progress().rows) == len(asked())
    check("ch02.read_out", find("ch02.read_out").reference)
    hint("ch02.refute")
    shown = progress()
    assert {row[0] for row in shown.rows} == {q.id for q in asked("ch02")}
    assert (shown.points, shown.possible) == (1, 11)
    with pytest.raises(LookupError, match="ch02"):
        progress("ch99")


def test_solved_says_what_is_missing(said, capsys):
    said(right)
    assert solved("ch02.toy") and capsys.readouterr().out == ""
    assert not solved("ch02.toy", "ch02.refute")
    assert "ch02.refute" in capsys.readouterr().out
    assert "  Your earlier right answer keeps its points." in said(lambda x, factor: x)
    assert solved("ch02.toy") and progress().points == 2
