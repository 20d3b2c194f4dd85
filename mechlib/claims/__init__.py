"""Claims, each with a rule that was tested itself, and numbers that the prose quotes.

A chapter declares a claim (``Claim``) before it knows the result: what was said and what is tested, a measure, one
rule, systems of which it is known what the rule must say, and the settings that it may depend on. ``judge`` runs all of
it. What it shows is a card; what it leaves in the notebook is data, from which the ledger of all chapters is made.

>>> def longer(texts, *, least=0):
...     \"\"\"characters more than ten\"\"\"
...     return [len(text) - 10 for text in texts if len(text) >= least]
>>> claim = Claim(
...     "02a",
...     said="our own",
...     tested="These texts are longer than ten characters.",
...     measure=longer,
...     rule=above(0, "characters"),
...     unit="texts",
...     chosen="nothing",
...     nulls={"short texts": ["short", "tiny", "small", "little", "brief"]},
...     planted={"long texts": ["x" * n for n in range(20, 30)]},
...     knobs={"least": [0, 5, 8]},
... )
>>> judge(claim, ["long enough to count" + "." * n for n in range(8)]).outcome
'supported'
"""

from mechlib.claims.claim import Chosen, Claim, Under, Unit, each_run, under
from mechlib.claims.evidence import Evidence
from mechlib.claims.judging import NullSupported, PlantedMissed, RuleFailed, judge, read
from mechlib.claims.prose import ProseWarning, at_home, differ, quoted, stated
from mechlib.claims.results import Line
from mechlib.claims.rules import Reading, Rule, above, below, exceeds, within
from mechlib.claims.said import Said
from mechlib.claims.stating import illustrated, not_tested, outcome, verdict, withdrawn
from mechlib.claims.verdicts import METADATA, Verdict
from mechlib.claims.words import CLAIM_ID, SIGNS, WORDS, signed

__all__ = [
    "CLAIM_ID",
    "METADATA",
    "SIGNS",
    "WORDS",
    "Chosen",
    "Claim",
    "Evidence",
    "Line",
    "NullSupported",
    "PlantedMissed",
    "ProseWarning",
    "Reading",
    "Rule",
    "RuleFailed",
    "Said",
    "Under",
    "Unit",
    "Verdict",
    "above",
    "at_home",
    "below",
    "differ",
    "each_run",
    "exceeds",
    "illustrated",
    "judge",
    "not_tested",
    "outcome",
    "quoted",
    "read",
    "signed",
    "stated",
    "under",
    "verdict",
    "withdrawn",
    "within",
]
