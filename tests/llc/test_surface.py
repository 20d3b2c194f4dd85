import pytest
import torch
from torch import nn

from mechlib.llc.flat import FlatModel
from mechlib.llc.recording import RECORD_AT
from mechlib.llc.surface import Surface, faster

GENERATOR = torch.Generator().manual_seed(0)
X = torch.randn(6, 3, generator=GENERATOR)
Y = torch.randn(6, 2, generator=GENERATOR)


def squares(f, batch):
    return (f(batch[0]) - batch[1]).square().sum(1)


def network() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2))


def points(flat: FlatModel, chains: int = 4) -> torch.Tensor:
    noise = torch.randn(chains, flat.size, generator=torch.Generator().manual_seed(1))
    return flat.w_star + 0.1 * noise.to(flat.w_star)


def by_autograd(surface: Surface, w: torch.Tensor, batch) -> tuple[torch.Tensor, torch.Tensor]:
    rows = [row.clone().requires_grad_() for row in w]
    losses = [surface.per_sample(row, batch).mean() for row in rows]
    return torch.stack(losses).detach(), torch.stack(
        [torch.autograd.grad(loss, row)[0] for loss, row in zip(losses, rows, strict=True)]
    )


@pytest.mark.parametrize("strategy", ["vmap", "serial"])
@pytest.mark.parametrize("params", [None, "2.*", {"0.weight": torch.eye(5, 3, dtype=torch.bool)}])
def test_loss_and_gradient_are_autograds(strategy, params, device):
    flat = FlatModel(network().to(device), params)
    surface, w, batch = Surface(flat, squares, strategy), points(flat), (X.to(device), Y.to(device))
    expected = by_autograd(surface, w, batch)
    for _ in range(RECORD_AT + 2):
        torch.testing.assert_close(surface.loss_and_grad(w, batch), expected)
        torch.testing.assert_close(surface.losses(w, batch), expected[0])


@pytest.mark.parametrize("strategy", ["vmap", "serial"])
def test_a_recording_follows_weights_and_data(strategy):
    flat = FlatModel(network())
    surface, w = Surface(flat, squares, strategy), points(flat)
    for _ in range(RECORD_AT + 1):
        surface.loss_and_grad(w, (X, Y))
    other = (2 * w, (X.flip(0) + 1, -Y))
    torch.testing.assert_close(surface.loss_and_grad(*other), by_autograd(surface, *other))


def test_a_tensor_of_data_stays_a_tensor():
    flat = FlatModel(network())
    surface, w = Surface(flat, lambda f, x: f(x).square().sum(1)), points(flat)
    for _ in range(RECORD_AT + 1):
        loss = surface.losses(w, X)
    torch.testing.assert_close(loss, by_autograd(surface, w, X)[0])


def test_a_loss_that_draws_its_own_data_is_not_frozen():
    stream = iter(torch.arange(1.0, 100.0))

    def loss(f, _):
        return next(stream) * f(X).square().mean()

    flat = FlatModel(network())
    surface, w = Surface(flat, loss), points(flat)
    seen = [float(surface.losses(w, None)[0]) for _ in range(RECORD_AT + 6)]
    assert len(set(seen)) == len(seen)


def test_a_loss_that_throws_coins_keeps_throwing_them_for_each_point():
    flat = FlatModel(network())
    surface = Surface(flat, lambda f, x: nn.functional.dropout(f(x), 0.5).square().sum(1))
    w = flat.w_star.repeat(4, 1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        seen = torch.cat([surface.losses(w, X) for _ in range(RECORD_AT + 3)])
    assert len(seen.unique()) > len(seen) / 2


def test_a_weight_that_the_loss_ignores_has_gradient_zero():
    class Idle(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.idle = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(3))

        def forward(self):
            return self.used

    flat = FlatModel(Idle())
    surface = Surface(flat, lambda f, _: f().square().sum())
    _, gradient = surface.loss_and_grad(flat.w_star[None], None)
    assert gradient.tolist() == [[2, 2, 0, 0, 0]]


def test_per_token_losses_are_averaged():
    flat = FlatModel(network())
    surface = Surface(flat, lambda f, batch: (f(batch[0]) - batch[1]).square())
    torch.testing.assert_close(
        surface.per_sample(flat.w_star, (X, Y)), squares(network(), (X, Y)).detach().double() / 2
    )


@pytest.mark.parametrize(
    ("loss_fn", "batch", "error", "match"),
    [
        (lambda f, b: f(b).mean(), X, ValueError, r"shape \(\) for 6 samples.*reduction=\"none\""),
        (lambda f, b: f(b)[:4, 0], X, ValueError, r"shape \(4,\) for 6 samples"),
        (lambda f, b: float(f(b).mean()), X, TypeError, "returns a tensor, not float"),
        (lambda f, _: f(X)[:, 0], None, ValueError, r"loss_fn\(f, None\) returns one number, not shape \(6,\)"),
    ],
)
def test_losses_of_the_wrong_shape(loss_fn, batch, error, match):
    flat = FlatModel(network())
    with pytest.raises(error, match=match):
        Surface(flat, loss_fn).per_sample(flat.w_star, batch)


def test_attention_in_eval_mode_goes_through_both_ways():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        block = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    flat = FlatModel(block)
    batch = torch.randn(3, 5, 8, generator=torch.Generator().manual_seed(2))
    w = points(flat)
    pairs = [
        Surface(flat, lambda f, x: f(x).square().mean((1, 2)), s).loss_and_grad(w, batch) for s in ("vmap", "serial")
    ]
    torch.testing.assert_close(*pairs)


def test_faster_takes_one_chain_serially_and_many_small_ones_together():
    flat = FlatModel(network())
    assert faster(flat, squares, points(flat, 1), (X, Y)).strategy == "serial"
    assert faster(flat, squares, points(flat, 64), (X, Y)).strategy == "vmap"


def test_faster_falls_back_where_vmap_cannot_go():
    flat = FlatModel(network())

    def loss(f, batch):
        values = squares(f, batch)
        return values * (1 if float(values.sum()) > 0 else -1)

    assert faster(flat, loss, points(flat), (X, Y)).strategy == "serial"
