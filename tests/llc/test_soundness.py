"""Losses that chains cannot follow are refused or named, and healthy ones are let pass."""

import warnings

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mechlib.llc.curvature import curvature_trace
from mechlib.llc.estimate import estimate_llc
from mechlib.llc.flat import FlatModel
from mechlib.llc.ladder import ladder
from mechlib.llc.result import Unreliable
from mechlib.llc.soundness import Soundness, soundness
from mechlib.llc.surface import Surface
from mechlib.llc.sweeps import coefficients
from mechlib.llc.verify import verify

from .conftest import Point, everything, population

QUICK = {"chains": 2, "draws": 10, "burnin": 5, "progress": False}
GENERATOR = torch.Generator().manual_seed(0)
X, Y = torch.randn(24, 3, generator=GENERATOR), torch.randn(24, generator=GENERATOR)

pytestmark = pytest.mark.filterwarnings("ignore::mechlib.llc.Unreliable")


def seeded(make) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return make()


def network() -> nn.Module:
    return seeded(lambda: nn.Sequential(nn.Linear(3, 6), nn.ReLU(), nn.Linear(6, 1)))


def squares(f, batch: tuple[Tensor, Tensor]) -> Tensor:
    return (f(batch[0])[:, 0] - batch[1]).square()


class Matrices(nn.Module):
    """A chain of matrices, gone through by slicing the list or by iterating over it."""

    def __init__(self, sliced: bool):
        super().__init__()
        self.ws = nn.ParameterList(0.5 * torch.randn(3, 3) for _ in range(3))
        self.sliced = sliced

    def forward(self, x: Tensor) -> Tensor:
        rest = self.ws[1:] if self.sliced else list(self.ws)[1:]
        for w in (self.ws[0], *rest):
            x = x @ w
        return x


class Branches(nn.Module):
    """Two linear maps, each used as told: as it is, detached, both, or not at all."""

    def __init__(self, **uses: str):
        super().__init__()
        self.a, self.b, self.uses = nn.Linear(3, 1), nn.Linear(3, 1), uses

    def forward(self, x: Tensor) -> Tensor:
        out = torch.zeros(len(x), 1)
        for name, use in self.uses.items():
            value = getattr(self, name)(x)
            out = out + {"plain": value, "detached": value.detach(), "both": value + value.detach()}[use]
        return out


class Rows(nn.Module):
    """A linear map that autograd has in some of its rows only, behind dropout that is always on if told."""

    def __init__(self, coins: bool = False):
        super().__init__()
        self.first, self.last, self.coins = nn.Linear(3, 6), nn.Linear(6, 1), coins

    def forward(self, x: Tensor) -> Tensor:
        weight = torch.cat([self.first.weight[:2].detach(), self.first.weight[2:]])
        hidden = torch.tanh(F.linear(x, weight, self.first.bias))
        return self.last(F.dropout(hidden, 0.2) if self.coins else hidden)


class Quiet(nn.Module):
    """A model that runs without gradients whatever is asked."""

    def __init__(self):
        super().__init__()
        self.inner = network()

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x)


MODEL = network()


def without_gradients(f, batch):
    with torch.no_grad():
        return squares(f, batch)


def in_inference(f, batch):
    with torch.inference_mode():
        return squares(f, batch).clone()


def cut_after(f, batch):
    out = f(batch[0])
    with torch.no_grad():
        return (out[:, 0] - batch[1]).square()


def unused(f, batch):
    f(batch[0])
    return squares(MODEL, batch)


NEVER, IDLE, LOST = "never called f", "does not depend on the free weights", "its gradient is lost: "
REFUSED = {
    "another model": (MODEL, lambda f, b: squares(MODEL, b), NEVER),
    "another model, f aside": (MODEL, unused, IDLE),
    "constants": (MODEL, lambda f, b: torch.ones(len(b[0])), NEVER),
    "constants with a graph": (MODEL, lambda f, b: torch.ones(len(b[0])) + 0 * f(b[0])[:, 0], IDLE),
    "no_grad": (MODEL, without_gradients, LOST + "loss_fn calls f under torch.no_grad"),
    "inference_mode": (MODEL, in_inference, LOST + "loss_fn calls f under torch.no_grad\\(\\) or torch.inference_mode"),
    "no_grad after f": (MODEL, cut_after, LOST + "loss_fn cuts it after the call of f"),
    "detached": (MODEL, lambda f, b: squares(f, b).detach(), LOST + "loss_fn cuts it after the call of f"),
    "a new tensor": (MODEL, lambda f, b: torch.tensor(squares(f, b).tolist()), LOST + "loss_fn cuts it after"),
    "a model without gradients": (Quiet(), squares, LOST + "the model's output has none"),
    "a slice of a list": (
        seeded(lambda: Matrices(True)),
        lambda f, b: f(b[0]).square().sum(1),
        "'ws.1', 'ws.2', and autograd gives no gradient there.*index it or iterate over it",
    ),
    "a detached branch": (Branches(a="plain", b="detached"), squares, "moves with 'b.weight', 'b.bias', and autograd"),
    "detached rows": (seeded(Rows), squares, "moves with 'first.weight', and autograd gives no gradient there"),
    "detached rows, coins": (seeded(lambda: Rows(coins=True)), squares, "moves with 'first.weight', and autograd"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_loss_that_the_chains_cannot_follow_is_refused(name):
    model, loss, match = REFUSED[name]
    with pytest.raises(ValueError, match=match):
        estimate_llc(model, loss, (X, Y), **QUICK)


@pytest.mark.parametrize("name", ["another model", "no_grad", "a slice of a list"])
def test_everything_that_samples_refuses_it(name, tmp_path):
    model, loss, match = REFUSED[name]
    calls = (
        lambda: verify(model, loss, (X, Y), **QUICK),
        lambda: ladder(model, loss, (X, Y), nbetas=[2.0, 4.0, 8.0, 16.0], replicas=8, draws=10, progress=False),
        lambda: curvature_trace(model, loss, (X, Y), progress=False),
        lambda: coefficients({"it": model}, loss, (X, Y), cache=tmp_path, **QUICK),
    )
    for call in calls:
        with pytest.raises(ValueError, match=match):
            call()


def test_a_loss_that_takes_its_samples_from_elsewhere():
    with pytest.raises(ValueError, match="gives the same losses for other samples"):
        estimate_llc(MODEL, lambda f, b: squares(f, (X[: len(b[0])], Y[: len(b[0])])), (X, Y), batch_size=6, **QUICK)
    result = estimate_llc(MODEL, lambda f, _: squares(f, (X, Y)), (X, Y), **QUICK)
    assert "coupled_samples" not in result.codes(), "all the data, from elsewhere, are all the data"


def test_a_number_is_refused_with_what_to_leave_out():
    with pytest.raises(TypeError, match=r"a tensor, not float: without \.item\(\) or float\(\)"):
        estimate_llc(MODEL, lambda f, b: squares(f, b).mean().item(), (X, Y), **QUICK)
    with pytest.raises(TypeError, match=r"real floating-point numbers, not torch\.int64"):
        estimate_llc(MODEL, lambda f, b: squares(f, b).long(), (X, Y), **QUICK)


def test_a_gradient_that_is_wrong_in_part_is_named_and_not_verified():
    model = seeded(lambda: Branches(a="both", b="plain"))
    with torch.no_grad():
        model.b.weight.mul_(0.1)
        model.b.bias.mul_(0.1)
    check = verify(model, squares, (X, Y), **QUICK)
    (said,) = [warning.message for warning in check.first.warnings if warning.code == "wrong_gradient"]
    assert "slopes of the loss differ by" in said and "along 'a.weight', 'a.bias':" in said
    assert check.verdict != "agree" and "wrong_gradient" in check.doubts


@pytest.mark.parametrize("batch_size", [None, 8])
def test_a_batch_norm_without_running_statistics_is_named(batch_size):
    def make(running: bool) -> nn.Module:
        norm = nn.BatchNorm1d(6, track_running_stats=running)
        return seeded(lambda: nn.Sequential(nn.Linear(3, 6), norm, nn.Tanh(), nn.Linear(6, 1)))

    result = estimate_llc(make(False), squares, (X, Y), batch_size=batch_size, **QUICK)
    (said,) = [warning.message for warning in result.warnings if warning.code == "coupled_samples"]
    assert "BatchNorm1d '1' without running statistics" in said and "track_running_stats=True" in said
    assert "eval_mode" not in result.codes(), "there are no statistics that it could have run on"
    result = estimate_llc(make(True), squares, (X, Y), batch_size=batch_size, **QUICK)
    assert "coupled_samples" not in result.codes() and "eval_mode" in result.codes()


class Tokens(nn.Module):
    """A small transformer on tokens, causal, with a key bias that the softmax takes out again."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(12, 8)
        self.block = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.out = nn.Linear(8, 12)

    def forward(self, tokens: Tensor) -> Tensor:
        mask = nn.Transformer.generate_square_subsequent_mask(tokens.shape[1])
        return self.out(self.block(self.embed(tokens), src_mask=mask, is_causal=True))


def next_tokens(f, tokens: Tensor) -> Tensor:
    return F.cross_entropy(f(tokens[:, :-1]).movedim(-1, 1), tokens[:, 1:], reduction="none")


def dead() -> nn.Module:
    """No unit of the first layer is ever on."""
    model = network()
    with torch.no_grad():
        model[0].weight.mul_(0.01)
        model[0].bias.fill_(-1.0)
    return model


def everything_squared():
    model, x = everything()
    return model, lambda f, b: f(b).square().sum(1), x


TOKENS = torch.randint(10, (16, 7), generator=torch.Generator().manual_seed(4))  # two rows of the embedding unused


def steep(activation: type[nn.Module]) -> nn.Module:
    """Most units are saturated, to the last digit of single precision."""
    model = seeded(lambda: nn.Sequential(nn.Linear(3, 6), activation(), nn.Linear(6, 1)))
    with torch.no_grad():
        model[0].weight.mul_(40.0)
    return model


HEALTHY = {
    "saturated tanh": (steep(nn.Tanh), squares, (X, Y)),
    "saturated sigmoid": (steep(nn.Sigmoid), squares, (X[:2], Y[:2])),
    "ReLU": (MODEL, squares, (X, Y)),
    "one sample": (MODEL, squares, (X[:1], Y[:1])),
    "two samples": (MODEL, squares, (X[:2], Y[:2])),
    "ReLU, double": (network().double(), squares, (X.double(), Y.double())),
    "dead units": (dead(), squares, (X, Y)),
    "its own answers": (MODEL, squares, (X, MODEL(X)[:, 0].detach())),
    "absolute error": (MODEL, lambda f, b: squares(f, b).add(1e-12).sqrt(), (X, Y)),
    "a plain list": (seeded(lambda: Matrices(False)), lambda f, b: f(b[0]).square().sum(1), (X, Y)),
    "a spare branch": (Branches(a="plain"), squares, (X, Y)),
    "dropout and batch norm": everything_squared(),
    "a transformer": (seeded(Tokens), next_tokens, TOKENS),
    "a large constant": (MODEL, lambda f, b: squares(f, b) + 1e6, (X, Y)),
    "large units": (MODEL, lambda f, b: 1e8 * squares(f, b), (X, 1e4 * Y)),
    "tiny units": (MODEL, lambda f, b: 1e-12 * squares(f, b), (X, Y)),
    "another model as a teacher": (MODEL, lambda f, b: (f(b[0]) - MODEL(b[0]).detach()).square()[:, 0], (X, Y)),
    "a population": (Point(torch.zeros(3)), population(lambda w: w[0] ** 2 * w[1] ** 4), None),
    "a flat basin": (Point(torch.zeros(4)), population(lambda w: F.relu(w.square().sum() - 1)), None),
    "a mean for each sample": (MODEL, lambda f, b: squares(f, b).mean().expand(len(b[0])), (X, Y)),
}


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_loss_passes(name):
    model, loss, data = HEALTHY[name]
    found = soundness(Surface(FlatModel(model), loss, "serial"), data, whole=True, random=False)
    assert found.slope_error < 0.01 and not found.coupled


@pytest.mark.parametrize("seed", range(3))
def test_a_weight_that_the_loss_does_not_feel_is_not_lost(seed):
    """The bias of keys: the softmax takes it out again, and slopes and gradients along it are rounding."""
    model = seeded(Tokens).eval()
    with torch.no_grad():
        model.block.self_attn.in_proj_bias.normal_(generator=torch.Generator().manual_seed(seed))
        target = model(TOKENS).log_softmax(-1)
    mask = torch.arange(24).view(3, 8)[1:2].expand(3, 8) == torch.arange(24).view(3, 8)

    def divergence(f, batch: tuple[Tensor, Tensor]) -> Tensor:
        return (batch[1].exp() * (batch[1] - f(batch[0]).log_softmax(-1))).sum(-1)

    flat = FlatModel(model, {"block.self_attn.in_proj_bias": mask.flatten(), "out.bias": torch.arange(12) < 3})
    found = soundness(Surface(flat, divergence, "serial"), (TOKENS, target), whole=True, random=False)
    assert flat.size == 11 and found.slope_error < 0.01


@pytest.mark.parametrize("seed", range(20))
def test_piecewise_linear_networks_of_any_weights_pass(seed):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 5), nn.ReLU(), nn.Linear(5, 1))
        data = (torch.randn(seed + 1, 3), torch.randn(seed + 1))
    loss = lambda f, b: (f(b[0])[:, 0] - b[1]).abs()  # noqa: E731
    found = soundness(Surface(FlatModel(model), loss, "serial"), data, whole=True, random=False)
    assert found.slope_error < 0.01 and not found.coupled


def test_a_loss_that_throws_coins_is_compared_where_they_are_torchs():
    coins = torch.Generator().manual_seed(0)
    for chance in (torch.rand, lambda n: torch.rand(n, generator=coins)):
        loss = lambda f, b, chance=chance: squares(f, b) * chance(len(b[0]))  # noqa: E731
        for model, error in ((MODEL, 0.0), (seeded(lambda: Branches(a="both")), 0.5)):
            found = soundness(Surface(FlatModel(model), loss, "serial"), (X, Y), whole=True, random=True)
            if chance is torch.rand:
                assert found.slope_error == pytest.approx(error, abs=0.1) and not found.coupled
            else:
                assert found == Soundness()


def test_a_loss_that_throws_coins_is_asked_for_f():
    surface = Surface(FlatModel(MODEL), lambda f, b: F.dropout(squares(MODEL, b)), "serial")
    with pytest.raises(ValueError, match=NEVER):
        soundness(surface, (X, Y), whole=True, random=True)


def test_a_loss_without_gradient_warns_of_nothing_first():
    """What is refused is refused at once: no sampler has started."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", Unreliable)
        with pytest.raises(ValueError, match=NEVER):
            estimate_llc(MODEL, lambda f, b: squares(MODEL, b), (X, Y), **QUICK)
