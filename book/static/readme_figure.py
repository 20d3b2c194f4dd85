"""Draws the README's figure: ``python book/static/readme_figure.py``."""

from pathlib import Path

import matplotlib.pyplot as plt

from mechlib import text, zoo
from mechlib.figures import plots
from mechlib.stream import logit_lens

LINE = "def __init__(self, name):\n        self.name = name\n        self."

tokens = text.encode(LINE, bos=False)
reading = logit_lens(zoo.load("code-4l-mlp", device="cpu"), tokens, top_k=1)
guesses, certainty = reading.top_ids[:, 0, :, 0], reading.top_log_prob[:, 0, :, 0].exp()

with plots.style():
    figure, ax = plt.subplots(figsize=(10, 2.9), layout="constrained")
    plots.depth_map(
        certainty,
        tokens=text.token_strings(tokens),
        label="probability of the guess",
        ax=ax,
    )
    for entry, row in enumerate(guesses):
        for pos, guess in enumerate(text.token_strings(row)):
            ink = "white" if certainty[entry, pos] > 0.5 else "black"
            shown = guess if len(guess) <= 8 else f"{guess[:7]}…"
            ax.text(
                pos,
                entry,
                shown,
                ha="center",
                va="center",
                fontsize=7,
                color=ink,
                clip_on=True,
            )
    ax.set_title("What each layer would predict next")
    figure.savefig(Path(__file__).with_name("readme-figure.png"), dpi=110)
