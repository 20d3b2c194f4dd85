import pytest
import torch
from torch import nn
from torch.func import functional_call, hessian, jacrev

from mechlib.llc.curvature import curvature_trace
from mechlib.llc.result import Unreliable

from .conftest import Point, everything, untouched


def network(seed=0):
    generator = torch.Generator().manual_seed(seed)
    model = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2)).double()
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.randn(p.shape, generator=generator, dtype=torch.float64))
    x, y = (torch.randn(40, k, generator=generator, dtype=torch.float64) for k in (3, 2))
    return model, (x, y)


def squared(f, batch):
    x, y = batch
    return (f(x) - y).square().sum(-1) / 2


def matrix(model, loss_fn, data, kind):
    """The matrix whose trace is estimated, by torch.func: of the weights, or of the samples' gradients."""
    weights = {name: p.detach() for name, p in model.named_parameters()}
    sizes = [p.numel() for p in weights.values()]

    def losses(flat):
        parts = [part.view(p.shape) for part, p in zip(flat.split(sizes), weights.values(), strict=True)]
        return loss_fn(lambda x: functional_call(model, dict(zip(weights, parts, strict=True)), (x,)), data)

    flat = torch.cat([p.flatten() for p in weights.values()])
    if kind == "hessian":
        return hessian(lambda w: losses(w).mean())(flat)
    gradients = jacrev(losses)(flat)
    return gradients @ gradients.T / len(gradients)


def exact(model, loss_fn, data, kind):
    return float(matrix(model, loss_fn, data, kind).trace())


@pytest.mark.parametrize("kind", ["hessian", "fisher"])
@pytest.mark.parametrize(("probes", "seed"), [(100, 0), (400, 1), (1600, 2)])
def test_the_trace_is_that_of_the_matrix_within_its_error(kind, probes, seed, device):
    """With signs v, ``v'Mv`` has twice the variance of the squares off the diagonal (Hutchinson 1990)."""
    model, data = network()
    found = curvature_trace(model.to(device), squared, data, kind, probes=probes, seed=seed, progress=False)
    whole = matrix(model.cpu(), squared, data, kind)
    error = (2 * (whole.square().sum() - whole.diagonal().square().sum()) / probes).sqrt().item()
    assert abs(found.value - whole.trace().item()) < 5 * error
    assert found.std_error == pytest.approx(error, rel=6 / probes**0.5)  # itself off by about 1.5 / sqrt(probes)
    assert found.per_probe.shape == (probes,) and found.n_params == 32 and found.kind == kind


@pytest.mark.parametrize("kind", ["hessian", "fisher"])
def test_batches_that_do_not_divide_the_data_give_the_trace_over_all_of_them(kind):
    model, data = network()
    found = curvature_trace(model, squared, data, kind, probes=400, batch_size=17, progress=False)
    assert abs(found.value - exact(model, squared, data, kind)) < 4 * found.std_error


def test_batches_change_no_probe_of_the_hessian():
    model, data = network()
    whole, parts = (curvature_trace(model, squared, data, batch_size=b, progress=False) for b in (None, 7))
    torch.testing.assert_close(whole.per_probe, parts.per_probe)


def test_a_diagonal_hessian_has_no_error():
    found = curvature_trace(
        Point(torch.tensor([0.0, 0.0])), lambda f, _: (torch.tensor([3.0, 4.0]) * f() ** 2).sum(), None, progress=False
    )
    assert (found.value, found.std_error) == (pytest.approx(14), pytest.approx(0, abs=1e-6))
    assert str(found).startswith("14 ± ")


def test_a_crossing_has_no_curvature_at_its_centre_and_a_linear_loss_none_anywhere():
    assert (
        curvature_trace(Point(torch.tensor([0.0, 0.0])), lambda f, _: f().prod() ** 2, None, progress=False).value == 0
    )
    assert curvature_trace(Point(torch.tensor([1.0, 2.0])), lambda f, _: f().sum(), None, progress=False).value == 0


def test_params_restrict_the_trace():
    model, data = network()
    head = curvature_trace(model, squared, data, params="2.*", probes=400, progress=False)
    with torch.no_grad():
        hidden = model[:2](data[0])
    # The loss is quadratic in the head: its Hessian is the second moment of (hidden, 1), once for each output.
    assert head.n_params == 12
    assert abs(head.value - 2 * float(hidden.square().sum(1).mean() + 1)) < 4 * head.std_error


@pytest.mark.parametrize("kind", ["hessian", "fisher"])
def test_the_model_is_left_as_it_was_and_its_mode_is_named(kind):
    model, x = everything()
    with untouched(model), pytest.warns(Unreliable, match="^eval_mode: the model was in training mode"):
        found = curvature_trace(model, lambda f, b: f(b).square().sum(1), x, kind, probes=4, progress=False)
    assert [reason.code for reason in found.warnings] == ["eval_mode"]


def test_a_loss_that_throws_coins_is_named():
    model, data = network()
    with pytest.warns(Unreliable, match="^random_loss: two evaluations at w"):
        curvature_trace(model, lambda f, b: nn.functional.dropout(squared(f, b)), data, progress=False)


def test_an_interrupted_trace_is_that_of_the_probes_that_were_made():
    model, data = network()
    calls: list[int] = []

    def loss(f, b):
        calls.append(len(calls))
        if len(calls) == last:
            raise KeyboardInterrupt
        return squared(f, b)

    last = None
    six = curvature_trace(model, loss, data, probes=6, progress=False)
    last = len(calls) + 1
    calls.clear()
    with pytest.warns(Unreliable, match="^interrupted: interrupted after 6 of 64 probes"):
        found = curvature_trace(model, loss, data, progress=False)
    assert torch.equal(found.per_probe, six.per_probe)


def test_one_loss_per_sample_is_needed():
    model, data = network()
    with pytest.raises(ValueError, match="one loss per sample is needed"):
        curvature_trace(model, lambda f, b: squared(f, b).mean(), data, progress=False)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "gauss"}, "'hessian' or 'fisher', not 'gauss'"),
        ({"probes": 1}, "at least two probes, got 1"),
        ({"params": "3.*"}, r"'3\.\*' matches no parameter"),
        ({"batch_size": 41}, "from 1 to 40"),
    ],
)
def test_what_has_no_trace_is_refused(options, message):
    model, data = network()
    with pytest.raises(ValueError, match=message):
        curvature_trace(model, squared, data, progress=False, **options)


def test_fisher_needs_data_and_both_need_finite_weights():
    with pytest.raises(ValueError, match="needs data, got None"):
        curvature_trace(Point(torch.tensor([1.0])), lambda f, _: f().sum(), None, "fisher", progress=False)
    with pytest.raises(ValueError, match="64 of 64 probes are not finite"):
        curvature_trace(Point(torch.tensor([0.0])), lambda f, _: f().abs().sqrt().sum(), None, progress=False)
