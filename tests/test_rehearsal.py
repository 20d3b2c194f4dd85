"""The named implementations on a device without numbers: nothing mixes devices, and where they wait for it is known."""

import pytest
import torch
from torch import nn

from mechlib import heads, icl, llc, stream
from mechlib.bridge import Shape
from tests.models import untrained
from tests.rehearsal import rehearse

ROWS = 3
"""Passes of a loop: sequences that do not fit into one, or steps."""
SHAPE = Shape(n_layers=2, d_model=16, n_heads=2, d_head=8, d_mlp=24, n_ctx=300, d_vocab=31)


def tokens(rows: int) -> torch.Tensor:
    return torch.randint(SHAPE.d_vocab, (rows, 300), generator=torch.Generator("cpu").manual_seed(0))


def lens(device, rows=1):
    model = untrained(SHAPE).to(device)
    return stream.logit_lens(model, tokens(rows), targets=tokens(rows))


def scores(device, rows=1):
    return heads.head_scores(untrained(SHAPE).to(device), tokens(rows))


def coefficient(device, draws):
    torch.manual_seed(0)
    model = nn.Linear(3, 2, dtype=torch.float64).to(device)
    x, y = torch.randn(20, 3, dtype=torch.float64).to(device), torch.randn(20, 2, dtype=torch.float64).to(device)
    llc.estimate_llc(
        model,
        lambda f, batch: (f(batch[0]) - batch[1]).square().mean(-1),
        (x, y),
        nbeta=10.0,
        lr=1e-3,
        chains=2,
        draws=draws,
        burnin=10,
        batch_size=5,
        strategy="serial",
        progress=False,
    )


def prompts(device, rows=1):
    generator = torch.Generator("cpu").manual_seed(0)
    x, y = torch.randn(3, 6 * rows, 4, generator=generator), torch.randn(3, 6 * rows, generator=generator)
    return x.to(device), y.to(device)


PREDICTORS = {
    "least_squares": lambda x, y: icl.least_squares(x, y),
    "ridge": lambda x, y: icl.ridge(x, y, lam=0.3),
    "gradient_descent": lambda x, y: icl.gradient_descent(x, y, eta=0.1, steps=len(x[0])),
    "newton": lambda x, y: icl.newton(x, y, steps=len(x[0])),
    "dmmse": lambda x, y: icl.dmmse(x, y, pool=torch.ones(5, 4), noise_var=0.2),
    "knn": lambda x, y: icl.knn(x, y, k=2),
    "averaging": lambda x, y: icl.averaging(x, y),
    "mlp_gd": lambda x, y: icl.mlp_gd(x, y, hidden=3, steps=len(x[0])),
}

CALLS = {"lens": lens, "scores": scores} | {
    name: (lambda device, rows=1, predict=predict: predict(*prompts(device, rows)))
    for name, predict in PREDICTORS.items()
}

PROMPTS = {"icl/prompts.py: require_prompts": 1}
"""Whether the inputs are finite: once a call."""
WAITS = {
    "lens": {
        "stream/entries.py: require_direct_readout": ROWS,  # once a pass: whether the lens fits the model
        "stream/summary.py: summary": ROWS,  # once a pass of up to 1024 positions: whether a token is ruled out
        "stream/lens.py: logit_lens": 1,
    },
    "scores": {"heads/scores.py: head_scores": 1},
    **dict.fromkeys(PREDICTORS, PROMPTS),
    "ridge": PROMPTS | {"icl/predictors.py: ridge": 1},  # whether the normal equations will do
}
"""How often each waits for the device at three passes, and where."""


@pytest.mark.parametrize("name", WAITS)
def test_nothing_mixes_devices_and_no_loop_waits_for_one(name):
    assert dict(rehearse(lambda device: CALLS[name](device, ROWS))) == WAITS[name]


def test_chains_wait_for_the_device_before_they_start_and_after_they_end():
    few, many = (rehearse(lambda device, n=n: coefficient(device, draws=n)) for n in (40, 80))
    assert few == many and few["llc/posterior.py: at_start"]
    loop = ("llc/run.py", "llc/samplers.py", "llc/observe.py", "llc/batches.py", "llc/surface.py")
    assert [where for where in many if where.startswith(loop)] == []


def test_a_wait_is_seen_where_it_is_and_a_mixture_is_refused():
    def waiting(device: torch.device) -> float:
        return icl.ridge(*prompts(device), lam=torch.tensor(0.3, device=device)).sum().item()

    assert dict(rehearse(waiting)) == {**WAITS["ridge"], "icl/predictors.py: ridge": 3, "elsewhere": 1}
    with pytest.raises(RuntimeError, match="meta"):
        rehearse(lambda device: torch.ones(3, device=device) + torch.ones(3))
