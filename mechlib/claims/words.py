"""The outcomes that a claim can have, and the sign that stands before each."""

from __future__ import annotations

import re

WORDS = {"supported": "✓", "refuted": "✗", "undecided": "?"}
"""What a rule comes to, each with its sign."""

DEPENDS = "depends on "
"""How the outcome begins that goes from supported to refuted, or back, with a free setting; its name follows."""

DECLARED = "not judged yet"
"""The outcome of a claim that is declared; no verdict has it."""

SIGNS = {
    **WORDS,
    DECLARED: "…",
    DEPENDS.split()[0]: "↔",
    "illustrated": "∎",
    "not tested at this scale": "○",
    "withdrawn": "–",
}
"""Every outcome with its sign; that of ``DEPENDS`` goes by its first word."""

CLAIM_ID = re.compile(r"\d\d[a-z]")

OUR_OWN = "our own"
"""The source of a claim that nobody made."""


def kind(outcome: str) -> str:
    """The key of an outcome in ``SIGNS``.

    Raises:
        ValueError: if it is none.
    """
    found = DEPENDS.split()[0] if outcome.startswith(DEPENDS) and outcome != DEPENDS else outcome
    if found not in SIGNS or outcome == DEPENDS.split()[0]:
        known = ", ".join(name if name not in DEPENDS else f"{DEPENDS}..." for name in SIGNS)
        raise ValueError(f"a verdict is one of {known}, not {outcome!r}")
    return found


def signed(outcome: str) -> str:
    """An outcome behind its sign."""
    return f"{SIGNS[kind(outcome)]} {outcome}"


def checked_id(claim_id: str) -> str:
    """A claim's id as it is given.

    Raises:
        ValueError: if it is not two digits and a letter.
    """
    if not CLAIM_ID.fullmatch(claim_id):
        raise ValueError(f"a claim id is two digits and a letter, such as '02a', not {claim_id!r}")
    return claim_id


def a_sentence(text: object, what: str) -> str:
    """A text as it is given.

    Raises:
        ValueError: if it is empty or no text; ``what`` says what it should have been.
    """
    if not isinstance(text, str) or not text.strip():
        raise ValueError(f"{what}, got {text!r}")
    return text
