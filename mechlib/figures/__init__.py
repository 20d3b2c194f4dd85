"""Figures of the book: one house style, a few kinds, each shown with a caption and an alternative text.

>>> import numpy as np
>>> from mechlib.figures import plots
>>> losses = np.random.default_rng(0).normal([[4.0], [3.0], [2.5]], 0.1, size=(3, 20))  # [point, unit]
>>> ax = plots.curves([1, 10, 100], {"two layers": losses}, xlabel="step", ylabel="loss (nats per token)")
>>> ax.set_xscale("log")
>>> plots.picture(ax, caption="Loss in training, 20 seeds.", alt="A line falls from 4.0 to 2.5.").alt
'A line falls from 4.0 to 2.5.'
"""
