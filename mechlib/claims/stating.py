"""Claims that no rule decides: theorems that are illustrated, claims withdrawn or out of reach, and bare verdicts."""

from __future__ import annotations

from collections.abc import Callable

from mechlib.claims.results import Line
from mechlib.claims.said import Said, attribution
from mechlib.claims.verdicts import Verdict
from mechlib.claims.words import WORDS, a_sentence
from mechlib.stats import Estimate


def illustrated(claim_id: str, *, said: Said | str, shown: str, check: Callable[[], object] | bool) -> Verdict:
    """A theorem, shown on an example: no verdict, for it could not have come out otherwise.

    Args:
        claim_id: chapter and letter.
        said: the theorem in its author's words, or ``"our own"``.
        shown: what the example shows, in one sentence.
        check: whether it does; a function is called.

    Raises:
        AssertionError: if it does not.
        ValueError: for a malformed claim id, an empty sentence, or a ``said`` that is neither of the two.
    """
    if not (check() if callable(check) else check):
        raise AssertionError(f"claim {claim_id} is illustrated by what is not so: {shown}")
    return _untested(claim_id, "illustrated", said, shown, "")


def withdrawn(claim_id: str, *, said: Said | str, tested: str, reason: str) -> Verdict:
    """A claim that the book no longer tests; it stands in the ledger with its reason.

    Raises:
        ValueError: as :func:`illustrated`.
    """
    return _untested(claim_id, "withdrawn", said, tested, a_sentence(reason, f"say why {claim_id} is withdrawn"))


def not_tested(claim_id: str, *, said: Said | str, tested: str, reason: str) -> Verdict:
    """A claim that cannot be tested at this scale, with its reason.

    Raises:
        ValueError: as :func:`illustrated`.
    """
    reason = a_sentence(reason, f"say why {claim_id} is not tested at this scale")
    return _untested(claim_id, "not tested at this scale", said, tested, reason)


def _untested(claim_id: str, outcome: str, said: Said | str, tested: str, reason: str) -> Verdict:
    return Verdict(claim_id, outcome, tested=tested, reason=reason, **attribution(said, claim_id))


def outcome(*, supported: bool, refuted: bool | None = None, control: bool = True) -> str:
    """The verdict that a rule comes to: one of ``WORDS``.

    Args:
        supported, refuted: what the rule asks for either, such as ``gap.below(0.1)`` and ``gap.above(0.1)``. Where
            neither holds, nothing is decided. By default what does not support the claim refutes it.
        control: whether the controls came out as they must; where they did not, nothing is decided either.

    Raises:
        ValueError: if both hold: then the rule is wrong, not the claim.
    """
    refuted = not supported if refuted is None else refuted
    if supported and refuted:
        raise ValueError("this rule both supports and refutes the claim: its two conditions must exclude each other")
    if not control or not (supported or refuted):
        return "undecided"
    return "supported" if supported else "refuted"


def verdict(
    claim_id: str,
    verdict: str,
    *,
    claim: str,
    source: str,
    measure: str,
    effect: float | Estimate,
    interval: tuple[float, float] | None = None,
    unit: str,
    note: str = "",
) -> Verdict:
    """The verdict on a claim, as the last expression of a cell: shown as a card, and read by the ledger.

    The first form: its rule is the chapter's own, and was run on nothing else (``judge`` does). An ``Estimate`` as the
    effect brings its own interval.

    Raises:
        TypeError: unless the interval comes with the effect, or beside it.
        ValueError: for a malformed claim id, another verdict word than those of ``WORDS``, an empty field, or an
            interval that is not finite or does not hold the effect.
    """
    if isinstance(effect, Estimate) and interval is None:
        mean, ends = effect.mean, (effect.low, effect.high)
    elif isinstance(effect, Estimate) or interval is None:
        raise TypeError(f"an effect comes as an Estimate or beside its interval, got {effect!r} and {interval!r}")
    else:
        mean, ends = effect, interval
    if verdict not in WORDS:
        raise ValueError(f"a verdict is one of {', '.join(WORDS)}, not {verdict!r}")
    line = Line(verdict, mean, ends)
    return Verdict(claim_id, verdict, source, claim, measure=measure, unit=unit, line=line, open=note)
