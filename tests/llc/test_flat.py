import pytest
import torch
from torch import nn

from mechlib.llc.flat import FlatModel


def network() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2))


X = torch.linspace(-1, 1, 12).view(4, 3)


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(4, 4, bias=False)
        self.second = nn.Linear(4, 4, bias=False)
        self.second.weight = self.first.weight

    def forward(self, x):
        return self.second(self.first(x))


def test_at_w_star_it_is_the_model(device):
    model = network().to(device)
    flat = FlatModel(model)
    assert flat.size == sum(p.numel() for p in model.parameters()) == sum(flat.sizes)
    assert flat.names == ("0.weight", "0.bias", "2.weight", "2.bias")
    assert torch.equal(flat.w_star, nn.utils.parameters_to_vector(model.parameters()).detach())
    assert torch.equal(flat.call(flat.w_star)(X.to(device)), model(X.to(device)))


def test_elsewhere_it_is_the_model_with_those_weights():
    model, other = network(), network()
    flat = FlatModel(model)
    row = torch.randn(flat.size, generator=torch.Generator().manual_seed(1))
    nn.utils.vector_to_parameters(row, other.parameters())
    torch.testing.assert_close(flat.call(row)(X), other(X))
    before = nn.utils.parameters_to_vector(model.parameters())
    assert torch.equal(before, flat.w_star), "the model moved"


def test_gradients_are_the_models():
    model = network()
    flat = FlatModel(model)
    row = flat.w_star.clone().requires_grad_()
    flat.call(row)(X).square().sum().backward()
    expected = torch.autograd.grad(model(X).square().sum(), list(model.parameters()))
    torch.testing.assert_close(row.grad, torch.cat([g.flatten() for g in expected]))
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize(
    ("params", "names"),
    [
        ("0.weight", ("0.weight",)),
        ("*.bias", ("0.bias", "2.bias")),
        (["2.*", "0.bias"], ("0.bias", "2.weight", "2.bias")),
        ({"*.bias"}, ("0.bias", "2.bias")),
    ],
)
def test_names_and_globs(params, names):
    assert FlatModel(network(), params).names == names


def test_a_mask_frees_entries_and_holds_the_others():
    model = network()
    mask = torch.zeros(5, 3, dtype=torch.bool)
    mask[1, 2] = mask[4, 0] = True
    flat = FlatModel(model, {"0.weight": mask, "2.bias": torch.tensor([False, True])})
    assert flat.size == 3
    moved = network()
    with torch.no_grad():
        moved[0].weight[1, 2], moved[0].weight[4, 0], moved[2].bias[1] = 7.0, -8.0, 9.0
    torch.testing.assert_close(flat.call(torch.tensor([7.0, -8.0, 9.0]))(X), moved(X))


def test_frozen_weights_stay_unless_named():
    model = network()
    model[0].requires_grad_(False)
    assert FlatModel(model).names == ("2.weight", "2.bias")
    assert FlatModel(model, "*").names == ("0.weight", "0.bias", "2.weight", "2.bias")
    model.requires_grad_(False)
    with pytest.raises(ValueError, match=r'no parameter of the model requires gradients; params="\*" frees all'):
        FlatModel(model)


@pytest.mark.parametrize("params", [None, "first.weight", "second.weight", "*"])
def test_tied_weights_are_one_weight_under_every_name(params):
    model = Tied()
    flat = FlatModel(model, params)
    assert flat.names == ("first.weight",) and flat.size == 16
    row = torch.eye(4).flatten() * 3
    assert torch.equal(flat.call(row)(torch.ones(1, 4)), torch.full((1, 4), 9.0))


def test_it_runs_in_eval_mode_and_leaves_buffers_alone():
    model = nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5), nn.Dropout(0.5)).train()
    buffers = {name: b.clone() for name, b in model.named_buffers()}
    f = FlatModel(model).call(nn.utils.parameters_to_vector(model.parameters()).detach())
    assert torch.equal(f(X), f(X))
    assert model.training and model[2].training
    assert all(torch.equal(b, buffers[name]) for name, b in model.named_buffers())
    torch.testing.assert_close(f(X), model.eval()(X))


class Counter(nn.Module):
    """Writes into its buffer at every call, in eval mode too."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        self.calls.add_(1)
        return self.scale * x


def test_a_buffer_that_is_written_to_is_a_copy():
    model = Counter()
    flat = FlatModel(model)
    assert flat.leaf_shapes == ((),)
    flat.call(flat.w_star)(X)
    assert float(model.calls) == 0


def test_matches_nothing_shows_the_nearest_names():
    with pytest.raises(ValueError, match=r"'0.wieght' matches no parameter; the nearest of its 4 names: '0.weight'"):
        FlatModel(network(), "0.wieght")
    with pytest.raises(ValueError, match="params is empty; the model has the nearest of its 4 names"):
        FlatModel(network(), [])


@pytest.mark.parametrize(
    ("mask", "error", "match"),
    [
        (torch.ones(5, 2, dtype=torch.bool), ValueError, r"mask of '0.weight' has shape \(5, 2\), the weight \(5, 3\)"),
        (torch.ones(5, 3), TypeError, "is a boolean tensor, not torch.float32"),
        (torch.zeros(5, 3, dtype=torch.bool), ValueError, "the mask of '0.weight' frees no entry"),
        ("all", TypeError, "is a boolean tensor, not str"),
    ],
)
def test_bad_masks(mask, error, match):
    with pytest.raises(error, match=match):
        FlatModel(network(), {"0.weight": mask})


def test_integer_weights_are_refused_by_name():
    model = network()
    model.register_parameter("table", nn.Parameter(torch.arange(3), requires_grad=False))
    for params in (None, "*", "table"):
        with pytest.raises(TypeError, match=r"parameter 'table' is torch\.int64: only real floating-point"):
            FlatModel(model, params)
    assert FlatModel(model, ["0.*", "2.*"]).size == 32


def test_complex_weights_are_refused():
    model = network()
    model.register_parameter("phase", nn.Parameter(torch.ones(2, dtype=torch.complex64)))
    with pytest.raises(TypeError, match=r"'phase' is torch.complex64"):
        FlatModel(model)


def test_half_and_mixed_precision_are_refused():
    with pytest.raises(ValueError, match=r"torch.float16 \('0.weight'\): cast with model.float\(\)"):
        FlatModel(network().half())
    model = network()
    model[2].double()
    with pytest.raises(ValueError, match=r"torch.float64 \('2.weight'\), torch.float32 \('0.weight'\)"):
        FlatModel(model)


def test_w_star_must_be_finite():
    model = network()
    with torch.no_grad():
        model[2].weight[0, 1] = float("nan")
        model[2].weight[1, 1] = float("inf")
    with pytest.raises(ValueError, match=r"w\* is not finite: 2 of the 10 free entries of '2.weight'"):
        FlatModel(model)
    assert FlatModel(model, "0.*").size == 20
