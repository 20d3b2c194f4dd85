import dataclasses

import matplotlib
import numpy as np
import pytest
import torch

from mechlib.llc.estimate import estimate_llc
from mechlib.llc.result import LLCResult, LLCWarning

from .conftest import regression

matplotlib.use("Agg")


@pytest.fixture(scope="module")
def result() -> LLCResult:
    problem = regression(d=3, samples=100)
    return estimate_llc(
        problem.model,
        problem.loss,
        problem.data,
        chains=3,
        draws=400,
        burnin=50,
        lr=1e-2,
        strategy="vmap",
        progress=False,
    )


def test_it_cannot_be_changed(result):
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.llc = 0.0


def test_arviz_gets_the_trace(result):
    data = result.to_arviz()
    assert data.posterior["llc"].dims == ("chain", "draw")
    np.testing.assert_array_equal(data.posterior["llc"].values, result.trace.numpy())
    assert data.posterior.attrs["nbeta"] == result.nbeta and data.posterior.attrs["sampler"] == "lm"


def test_the_plot_shows_every_chain_from_its_first_step(result):
    ax = result.plot()
    chains = [line for line in ax.lines if len(line.get_xdata()) == 450]
    assert len(chains) == 3
    for line, burnin, trace in zip(chains, result.burnin_trace, result.trace, strict=True):
        np.testing.assert_allclose(line.get_ydata(), torch.cat([burnin, trace]).numpy())
        assert line.get_xdata()[0] == -50
    assert any(np.allclose(line.get_ydata(), result.llc) for line in ax.lines)
    given = matplotlib.pyplot.figure().add_subplot()
    assert result.plot(given) is given
    matplotlib.pyplot.close("all")


def test_as_text_it_has_estimate_error_and_warnings(result):
    warned = dataclasses.replace(
        result, warnings=(LLCWarning("few_draws", "too few"), LLCWarning("negative", "below 0"))
    )
    first, *rest = str(warned).splitlines()
    assert f"{result.llc:.4g} ± {result.std_error:.2g} (3 chains of 400 draws with lm" in first
    assert rest == ["  few_draws: too few", "  negative: below 0"]
    assert warned.codes() == {"few_draws", "negative"}
