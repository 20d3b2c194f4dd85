"""What can be read from activations by a map that is fitted to them, and what becomes of a model without it.

Whether a sum is positive is linear in its terms; the probe is fitted to one half of the rows and tested on the other:

>>> import torch
>>> x = torch.randn(2000, 5, generator=torch.Generator().manual_seed(0))
>>> labels = (x.sum(1) > 0).long()
>>> probe = fit_least_squares(x[::2], labels[::2], n_classes=2)
>>> print(f"{probe.accuracy(x[1::2], labels[1::2]).mean():.2f}")
0.99

With many classes that have codes, tokens and their embeddings, a map to the codes names them:

>>> codes = torch.randn(50, 8, generator=torch.Generator().manual_seed(1))
>>> labels = torch.randint(50, (2000,), generator=torch.Generator().manual_seed(2))
>>> x = codes[labels] @ torch.randn(8, 5, generator=torch.Generator().manual_seed(3)) + 0.3 * x
>>> for fit in (fit_ridge, fit_softmax):
...     print(f"{(fit(x[::2], labels[::2], codes).named(x[1::2]) == labels[1::2]).float().mean():.2f}")
0.65
0.97
"""

from mechlib.probes.codes import CodeProbe, fit_ridge, fit_softmax
from mechlib.probes.erasure import LinearPart, fit_linear_part
from mechlib.probes.least_squares import LeastSquaresProbe, fit_least_squares

__all__ = [
    "CodeProbe",
    "LeastSquaresProbe",
    "LinearPart",
    "fit_least_squares",
    "fit_linear_part",
    "fit_ridge",
    "fit_softmax",
]
