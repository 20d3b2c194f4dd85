"""The chain explorer holds one run for every setting, thinned and free of what JSON does not know."""

import json
import math
import warnings
from dataclasses import replace

import pytest
import torch
from torch import nn

from mechlib.llc import Unreliable, estimate_llc
from mechlib.widgets import chain_explorer

SETTINGS = [(lr, gamma, nbeta) for nbeta in (50.0, 5.0) for gamma in (3.0, 1.0) for lr in (0.01, 0.001, 0.1)]


class Bowl(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.zeros(3))

    def forward(self):
        return self.w.square().sum() / 2


@pytest.fixture(scope="module")
def runs():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Unreliable)
        return [
            estimate_llc(
                Bowl(), lambda f, _: f(), None, lr=lr, gamma=gamma, nbeta=nbeta, chains=2, draws=300, burnin=60,
                sampler="sgld", strategy="vmap", progress=False,
            )
            for lr, gamma, nbeta in SETTINGS
        ]  # fmt: skip


def place(widget, run):
    """Where a run lies in the list: the product of the three axes, nbeta varying fastest."""
    data = widget.data
    at = 0
    for name in ("lr", "gamma", "nbeta"):
        at = at * len(data[name]) + data[name].index(getattr(run, name))
    return data["runs"][at]


def test_every_run_is_where_its_settings_say(runs):
    widget = chain_explorer(runs, range(len(runs)))
    assert widget.data["lr"] == [0.001, 0.01, 0.1]
    assert widget.data["gamma"] == [1.0, 3.0] and widget.data["nbeta"] == [5.0, 50.0]
    for number, run in enumerate(runs):
        shown = place(widget, run)
        assert shown["exact"] == number
        if math.isfinite(run.llc):
            assert shown["llc"] == pytest.approx(run.llc, rel=1e-3)
        assert shown["warnings"] == [str(warning) for warning in run.warnings]


def test_a_trace_is_the_burn_in_and_the_draws_thinned(runs):
    shown = place(chain_explorer(runs), runs[0])
    whole = torch.cat([runs[0].burnin_trace, runs[0].trace], 1)
    assert (shown["burnin"], shown["steps"], shown["stride"]) == (60, 360, 3)
    assert torch.tensor(shown["traces"]) == pytest.approx(whole[:, ::3], rel=1e-3)


def test_it_opens_at_the_first_run_or_where_it_is_told(runs):
    first = chain_explorer(runs)
    assert (first.lr, first.gamma, first.nbeta) == (1, 1, 1)
    there = chain_explorer(runs, start=(0.1, 1.0, 5.0))
    assert (there.lr, there.gamma, there.nbeta) == (2, 0, 0)


def test_what_is_not_finite_travels_as_none(runs):
    trace = runs[0].trace.clone()
    trace[1, 9:] = math.inf
    flown = replace(runs[0], trace=trace, llc=math.nan, std_error=math.nan, n_diverged=1)
    widget = chain_explorer([flown, *runs[1:]])
    shown = place(widget, flown)
    assert shown["diverged"] == 1 and place(widget, runs[1])["diverged"] == runs[1].n_diverged
    assert shown["llc"] is None and shown["traces"][1][-1] is None and shown["traces"][0][-1] is not None
    json.dumps(widget.get_state(), allow_nan=False)


def test_everything_is_in_the_synchronised_state_and_small(runs):
    state = chain_explorer(runs, [1.5] * len(runs)).get_state()
    assert {"data", "lr", "gamma", "nbeta", "_esm", "_css"} <= state.keys()
    assert len(json.dumps(state)) < 100_000


def test_a_missing_combination_is_refused(runs):
    with pytest.raises(ValueError, match="3 lr x 2 gamma x 2 nbeta is needed, got 11, 11 different"):
        chain_explorer(runs[1:])


def test_a_combination_twice_is_refused(runs):
    with pytest.raises(ValueError, match="got 13, 12 different"):
        chain_explorer([*runs, runs[0]])


def test_no_runs_are_refused():
    with pytest.raises(ValueError, match="got 0"):
        chain_explorer([])


def test_an_exact_value_for_each_run(runs):
    with pytest.raises(ValueError, match="each of the 12 runs is needed, got 2"):
        chain_explorer(runs, [1.0, 2.0])


def test_a_start_that_is_not_there_is_told_what_there_is(runs):
    with pytest.raises(ValueError, match=r"\(1.0, 1.0, 5.0\); the values are .*0.001"):
        chain_explorer(runs, start=(1.0, 1.0, 5.0))
