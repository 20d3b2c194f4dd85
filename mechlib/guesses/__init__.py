"""Guesses: asked for directly before a result, kept, and shown beside it with a line for whoever was off.

>>> from mechlib.guesses import answer, guess
>>> shown = guess("02a", "By how much does the loss fall?", unit="nats per token", mine=3)
>>> print(answer("02a", 4.21, within=0.5, below="of the first layer alone", above="that nothing is lost"))
02a: 4.21 nats per token. You said 3 nats per token: you probably thought of the first layer alone.

On a page of the built book the browser asks and keeps; what stands between a guess and the next heading is folded until
then. In a notebook a widget does, and a file of the user keeps; where a front end knows no widgets, ``mine`` says the
guess.
"""

from mechlib.guesses.asked import Answer, Guess
from mechlib.guesses.session import PAGE, Shown, answer, forget, guess

__all__ = ["PAGE", "Answer", "Guess", "Shown", "answer", "forget", "guess"]
