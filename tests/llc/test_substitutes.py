"""Substituted operations against the functions as written: the same numbers from other operations."""

import pytest
import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from mechlib.llc.recording import shortened
from mechlib.llc.substitutes import FEW, LARGE, log_softmax, log_softmax_backward

SIDE = int(LARGE**0.5) + 1


def uniform(*shape: int, seed: int = 0) -> Tensor:
    return 2 * torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) - 1


def operations(function, *tensors: Tensor) -> list[str]:
    """The names of the operations of the recording, after a check that it does on other numbers what is written."""
    recording = shortened(make_fx(function)(*(t.clone() for t in tensors)), [t.clone() for t in tensors])
    others = [t.clone() if t.dtype is torch.bool else 0.5 - t for t in tensors]
    mine, theirs = [t.clone() for t in others], [t.clone() for t in others]
    torch.testing.assert_close(recording(*mine), function(*theirs))
    for a, b in zip(mine, theirs, strict=True):
        torch.testing.assert_close(a, b)
    return [getattr(n.target, "__name__", str(n.target)) for n in recording.graph.nodes if n.op == "call_function"]


@pytest.mark.parametrize("shape", [(4, 3), (2, 5, FEW), (3, 1)])
@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_log_softmax_and_its_gradient(shape, scale):
    scores, gradient = scale * uniform(*shape), uniform(*shape, seed=1)
    leaf = scores.clone().requires_grad_()
    theirs = torch.log_softmax(leaf, -1)
    theirs.backward(gradient)
    mine = log_softmax(scores, -1)
    torch.testing.assert_close(mine, theirs.detach())
    torch.testing.assert_close(log_softmax_backward(gradient, mine, -1), leaf.grad)


def test_a_class_that_cannot_be_and_scores_that_are_no_numbers():
    scores = torch.tensor([[0.0, -torch.inf, 1.0], [torch.nan, 0.0, 1.0]])
    torch.testing.assert_close(log_softmax(scores, 1), torch.log_softmax(scores, 1), equal_nan=True)


@pytest.mark.parametrize(("shape", "dim", "name"), [((3, 4), -1, "log_softmax"), ((3, FEW), 1, "log_softmax")])
def test_few_classes_side_by_side_are_taken_in_whole_tensors(shape, dim, name):
    assert operations(lambda x: x.log_softmax(dim), uniform(*shape)) == [name]


@pytest.mark.parametrize(("shape", "dim"), [((3, 4), 0), ((3, FEW + 1), 1)])
def test_many_classes_and_other_axes_are_left_to_torch(shape, dim):
    assert operations(lambda x: x.log_softmax(dim), uniform(*shape)) == ["_log_softmax.default"]


def test_a_transposed_product_is_computed_the_other_way_round():
    x, g = uniform(2, 5, 3), uniform(2, 5, 4, seed=1)
    assert operations(lambda x, g: torch.bmm(x.transpose(1, 2), g).transpose(1, 2), x, g) == ["transpose", "bmm"]
    assert operations(lambda x, g: (x.t() @ g).t(), x[0], g[0]) == ["t", "mm"]


def test_a_product_that_something_else_needs_stays():
    def both(x: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
        product = torch.bmm(x, g)
        return product + 1, product.transpose(1, 2) * 2

    assert operations(both, uniform(2, 5, 3), uniform(2, 3, 5)) == ["bmm", "add", "transpose", "mul"]


def test_a_view_with_other_axes_exchanged_stays():
    x, g = uniform(3, 3, 3), uniform(3, 3, 3, seed=1)
    assert operations(lambda x, g: torch.bmm(x, g).transpose(0, 1) + 0, x, g) == ["bmm", "transpose", "add"]


@pytest.mark.parametrize(("side", "copies"), [(SIDE, 0), (3, 1)])
def test_a_large_product_is_written_where_it_belongs(side, copies):
    def write(x: Tensor, g: Tensor, into: Tensor) -> Tensor:
        into[:, 1:].view(2, side, side).copy_(torch.bmm(g.transpose(1, 2), x))
        return x.sum()

    into = torch.zeros(2, 1 + side * side)
    assert operations(write, uniform(2, 5, side), uniform(2, 5, side, seed=1), into).count("copy_") == copies


def test_a_large_product_of_another_shape_or_type_is_copied():
    def write(x: Tensor, into: Tensor) -> Tensor:
        into.copy_(torch.mm(x, x.t()))
        return x.sum()

    for into in (torch.zeros(2, SIDE, SIDE), torch.zeros(SIDE, SIDE, dtype=torch.float64)):
        assert operations(write, uniform(SIDE, 2), into).count("copy_") == 1


def test_a_mask_keeps_what_is_no_number_out():
    mask = torch.tensor([True, False, True])
    x = torch.tensor([[torch.nan, 1.0, torch.inf], [0.0, 2.0, 3.0]])
    names = operations(lambda x, mask: x.nan_to_num().masked_fill(mask, -torch.inf), x.nan_to_num(), mask)
    assert "masked_fill" in names
    recording = shortened(make_fx(lambda x, mask: x.masked_fill(mask, 0.0))(x, mask), [x, mask])
    assert torch.equal(recording(x, mask), torch.tensor([[0.0, 1.0, 0.0], [0.0, 2.0, 0.0]]))
