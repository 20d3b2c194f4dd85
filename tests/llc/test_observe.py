"""What a function sees at each draw, and what becomes of what it returns."""

import math
import warnings

import pytest
import torch
from torch import Tensor, nn

from mechlib.llc.estimate import estimate_llc
from mechlib.llc.result import Unreliable
from mechlib.llc.sweeps import Failure, coefficients
from mechlib.llc.verify import verify
from tests.sampling import ERRORS

from .conftest import Point, Regression, population, regression

PROBLEM = regression(d=4, samples=300)
QUICK = {"chains": 3, "draws": 30, "burnin": 10, "lr": 1e-3, "strategy": "vmap", "progress": False}
SAMPLERS = ["lm", "sgld", "mala"]

pytestmark = pytest.mark.filterwarnings("ignore::mechlib.llc.Unreliable")


def watched(on_draw, problem: Regression = PROBLEM, **options):
    return estimate_llc(problem.model, problem.loss, problem.data, on_draw=on_draw, **(QUICK | options))


# What it sees


@pytest.mark.parametrize("strategy", ["vmap", "serial"])
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_losses_on_the_way_are_the_estimate(sampler, strategy):
    for batch_size in (None, 50) if sampler != "mala" else (None,):
        result = watched(lambda draw: draw.loss, sampler=sampler, strategy=strategy, batch_size=batch_size)
        assert torch.equal(result.nbeta * result.observed.to(result.trace), result.trace)
        assert result.nbeta * float(result.observed.mean()) == pytest.approx(result.llc, rel=1e-5)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_model_at_the_weights_has_the_loss_that_is_said(sampler):
    """On all the data the rise of the loss at the weights that are handed out is the one in the trace."""

    def rise(draw) -> Tensor:
        at_center = PROBLEM.loss(PROBLEM.model, PROBLEM.data).mean()
        by_hand = 0.5 * (PROBLEM.data[0] @ draw.weights["weight"][0] - PROBLEM.data[1]).square()
        return torch.stack([PROBLEM.loss(draw.model, PROBLEM.data).mean(), by_hand.mean()]) - at_center

    result = watched(rise, sampler=sampler)
    torch.testing.assert_close(
        result.nbeta * result.observed, result.trace[..., None].expand(-1, -1, 2), atol=2e-3, rtol=0
    )


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("restricted", [False, True])
def test_weights_have_the_covariance_of_the_posterior(sampler, restricted):
    """On a quadratic it is the inverse of nbeta H + gamma; at a step of a tenth, sgld's is 2.5 % too large at most.

    400 chains, each read at its last draw, are independent: the errors are those of a sample covariance.
    """
    free = [0, 2] if restricted else [0, 1, 2, 3]
    mask = torch.zeros(1, 4, dtype=torch.bool)
    mask[0, free] = True
    x = PROBLEM.data[0].double()[:, free]
    precision = PROBLEM.nbeta * x.T @ x / 300 + torch.eye(len(free))
    steep = float(torch.linalg.eigvalsh(precision).max())
    result = watched(
        lambda draw: draw.weights["weight"][0],
        sampler=sampler, params={"weight": mask}, chains=400, draws=1, burnin=150, gamma=1.0, lr=0.1 / steep,
    )  # fmt: skip
    moved = (result.observed[:, 0] - PROBLEM.model.weight.detach()[0]).double()
    assert not moved[:, [i for i in range(4) if i not in free]].any(), "frozen weights are handed out as they are"
    found, exact = moved[:, free].T @ moved[:, free] / 400, torch.linalg.inv(precision)
    variance = (exact.diag()[:, None] * exact.diag() + exact.square()) / 400
    assert bool(((found - exact).abs() < ERRORS * variance.sqrt() + 0.025 * exact.diag().max()).all())


def test_samples_are_those_of_the_batch():
    """Of a loss that is its sample's number, and gives the mean of those of the batch away."""
    numbers = torch.arange(40.0)
    model = Point(torch.zeros(1))

    def loss(f, batch: Tensor) -> Tensor:
        return (f() - 1.0).square() * batch + 0 * f().sum()

    class Samples(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return 40

        def __getitem__(self, number: int) -> Tensor:
            return numbers[number]

    for data in (numbers, (numbers,), Samples()):
        fn = loss if not isinstance(data, tuple) else lambda f, batch: loss(f, batch[0])
        found = estimate_llc(
            model, fn, data, nbeta=1.0, batch_size=8, anchor=False, sampler="sgld", gamma=0.0,
            on_draw=lambda draw: {"samples": draw.samples, "loss": draw.loss, "w": draw.weights["w"]}, **QUICK,
        ).observed  # fmt: skip
        assert found["samples"].shape == (3, 30, 8) and torch.equal(found["samples"][0], found["samples"][2])
        means = found["samples"].double().mean(2)
        above = found["loss"] - (found["w"][..., 0].double() - 1).square() * means
        torch.testing.assert_close(above, above[0, 0].expand(3, 30), atol=1e-4, rtol=0)  # the baseline, always the same
    assert watched(lambda draw: draw.samples is None).observed.all(), "all of the data are no batch"


def test_chains_and_draws_are_numbered_from_0():
    found = watched(lambda draw: {"chain": draw.chain, "draw": draw.index}).observed
    assert torch.equal(found["chain"], torch.arange(3)[:, None].expand(3, 30))
    assert torch.equal(found["draw"], torch.arange(30).expand(3, 30))


# That watching changes nothing


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_run_that_is_watched_is_the_same_run(sampler):
    options = {"sampler": sampler, "lr": "auto", "batch_size": None if sampler == "mala" else 50}
    seen, alone = (watched(on_draw, **options) for on_draw in (lambda draw: draw.model(PROBLEM.data[0]).sum(), None))
    assert torch.equal(seen.trace, alone.trace) and seen.virial == alone.virial and alone.observed is None
    assert seen.codes() == alone.codes()


def test_weights_are_views_and_what_is_kept_is_not():
    places = []

    def kept(draw) -> Tensor:
        places.append(draw.weights["weight"].data_ptr())
        return draw.weights["weight"]

    result = watched(kept)
    assert len(set(places)) == 3, "each chain has one place in memory"
    assert not torch.equal(result.observed[:, 0], result.observed[:, -1])


@pytest.mark.parametrize("edit", [lambda w: w.zero_(), lambda w: w.data.mul_(2), lambda w: w.numpy().fill(1.0)])
def test_writing_to_the_weights_is_refused(edit):
    def edits(draw) -> None:
        if (draw.chain, draw.index) == (1, 4):
            edit(draw.weights["0.bias"])

    model = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1))
    x = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    with pytest.raises(ValueError, match=r"on_draw wrote to '0\.bias' of chain 1 at draw 4"):
        estimate_llc(model, lambda f, b: f(b).square()[:, 0], x, on_draw=edits, **QUICK)


# What it returns


def test_everything_that_can_be_returned():
    shapes = watched(lambda draw: {"a": 1, "b": 0.5, "c": torch.eye(2), "d": True, 5: draw.loss.numpy()}).observed
    assert {name: (tuple(t.shape), t.dtype) for name, t in shapes.items()} == {
        "a": ((3, 30), torch.int64),
        "b": ((3, 30), torch.float64),
        "c": ((3, 30, 2, 2), torch.float32),
        "d": ((3, 30), torch.bool),
        5: ((3, 30), torch.float64),
    }
    assert watched(lambda draw: None).observed is None
    assert watched(lambda draw: draw.loss.requires_grad_() * 2).observed.requires_grad is False


@pytest.mark.parametrize(
    ("after", "match"),
    [
        (torch.zeros(3), r"returned torch\.float32 \(3,\) at draw 2 of chain 1, and torch\.float32 \(2,\) before"),
        (torch.zeros(2).double(), r"returned torch\.float64 \(2,\) at draw 2 of chain 1"),
        (None, r"returned nothing at draw 2 of chain 1, and torch\.float32 \(2,\) before"),
        ({"a": 1}, r"returned 'a': torch\.int64 \(\) at draw 2 of chain 1"),
    ],
)
def test_what_is_returned_may_not_change(after, match):
    with pytest.raises(ValueError, match=match):
        watched(lambda draw: after if (draw.index, draw.chain) == (2, 1) else torch.zeros(2))
    with pytest.raises(ValueError, match="and nothing before"):
        watched(lambda draw: draw.loss if draw.index else None)


def test_what_cannot_be_kept_is_refused():
    with pytest.raises(TypeError, match="a number or a dict of them, not str at draw 0 of chain 0"):
        watched(lambda draw: "low")
    with pytest.raises(TypeError, match=r"on_draw is a function of a mechlib\.llc\.Draw, not 3"):
        watched(3)


def test_its_own_errors_are_not_taken_for_the_losss():
    with pytest.raises(AttributeError) as raised:
        watched(lambda draw: draw.nothing if draw.index == 7 else draw.loss)
    assert "loss_fn" not in str(raised.value) and raised.value.__notes__ == ["on_draw, at draw 7 of chain 0"]


def test_nan_is_said_with_its_draw_and_chain():
    def sometimes(draw):
        return {"a": draw.loss, "b": torch.tensor([0.0, math.nan if draw.index == 5 and draw.chain else 1.0])}

    with pytest.warns(Unreliable, match="'b' of on_draw is NaN at 2 of 90 draws, the first of them draw 5 of chain 1"):
        result = watched(sometimes)
    assert "observed_nan" in result.codes() and result.observed["b"].isnan().sum() == 2
    assert "observed_nan" not in watched(lambda draw: torch.tensor(math.inf)).codes()


def test_a_chain_that_is_lost_is_watched_to_the_end():
    def cliff(w: Tensor) -> Tensor:
        return w.square().sum() / 2 * torch.where(w[0] > 1.5, torch.nan, 1.0)  # a slope of NaN too: no chain returns

    options = {"nbeta": 1.0, "gamma": 0.01, **QUICK, "lr": 0.5, "chains": 20}
    result = estimate_llc(Point(torch.zeros(1)), population(cliff), None, on_draw=lambda draw: draw.loss, **options)
    assert {"diverged", "observed_nan"} <= result.codes()
    assert result.observed.isnan().any(1).sum() == result.n_diverged


def test_ctrl_c_keeps_what_was_drawn():
    def stops(draw) -> Tensor:
        if (draw.index, draw.chain) == (12, 1):
            raise KeyboardInterrupt
        return draw.loss

    result = watched(stops)
    assert result.interrupted and result.observed.shape == result.trace.shape == (3, 12)


# What it goes through


def rises(draw) -> Tensor:
    return draw.loss


def test_a_sweep_and_a_verification_watch_every_run(tmp_path):
    models = {"one": PROBLEM.model, "other": PROBLEM.model}
    options = {**QUICK, "on_draw": rises, "cache": tmp_path}
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        warnings.simplefilter("ignore", Unreliable)
        first, again = (coefficients(models, PROBLEM.loss, PROBLEM.data, **options) for _ in range(2))
    for name in models:
        assert torch.equal(first[name].observed, watched(rises).observed)
        assert torch.equal(first[name].observed, again[name].observed)
    with pytest.warns(UserWarning, match="on_draw is a function of a mechlib"):
        failed = coefficients(models, PROBLEM.loss, PROBLEM.data, **options, each={"other": {"on_draw": 3}})
    assert isinstance(failed["other"], Failure)
    halves = verify(PROBLEM.model, PROBLEM.loss, PROBLEM.data, on_draw=rises, **QUICK)
    assert halves.first.observed.shape == halves.half.observed.shape == (3, 30)
