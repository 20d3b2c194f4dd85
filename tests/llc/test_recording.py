"""A recording against the function that it was made of: the same numbers, fewer operations."""

import pytest
import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from mechlib.llc.recording import RECORD_AT, Recorded, shortened

X = torch.linspace(-1, 1, 12).view(4, 3)
W = torch.linspace(0, 2, 6).view(2, 3)


def operations(recording) -> list[str]:
    return [str(node.target) for node in recording.graph.nodes if node.op == "call_function"]


def short(function, *tensors: Tensor):
    return shortened(make_fx(function)(*tensors), list(tensors))


def gradient(w: Tensor, x: Tensor, into: Tensor) -> Tensor:
    """The gradient of a mean square, written into an argument."""
    with torch.enable_grad():
        leaf = w.detach().requires_grad_()
        loss = (x.expand(2, 4, 3) @ leaf[..., None]).square().mean()
        (found,) = torch.autograd.grad(loss, leaf)
    into.view(-1).copy_(found.flatten())
    return loss.detach()


def test_a_short_recording_gives_and_leaves_what_the_function_does():
    recording = short(gradient, W.clone(), X.clone(), torch.empty(2, 3))
    mine, theirs = torch.empty(2, 3), torch.empty(2, 3)
    torch.testing.assert_close(recording(3 * W, X + 1, mine), gradient(3 * W, X + 1, theirs))
    torch.testing.assert_close(mine, theirs)
    assert len(operations(recording)) < 0.7 * len(operations(make_fx(gradient)(W, X, torch.empty(2, 3))))


@pytest.mark.parametrize(
    "function",
    [
        lambda w: w.transpose(0, 1).transpose(0, 1) * 2,
        lambda w: w.view(2, 3).expand(2, 3).detach() * 2,
        lambda w: w.unsqueeze(0).squeeze(0) * 2,
        lambda w: w.pow(1) * 2,
    ],
)
def test_what_changes_nothing_is_left_out(function):
    recording = short(function, W.clone())
    assert len(operations(recording)) == 1
    assert torch.equal(recording(W + 1), function(W + 1))


def test_a_view_of_the_same_shape_in_another_order_stays():
    square = torch.arange(4.0).view(2, 2)
    recording = short(lambda w: w.t() - 2 * w, square.clone())
    assert torch.equal(recording(square + 1), (square + 1).t() - 2 * (square + 1))


def test_what_is_the_same_at_every_call_is_computed_once():
    recording = short(lambda w: w + torch.ones_like(w).div(2).mul(3).t().t(), W.clone())
    assert len(operations(recording)) == 1
    assert torch.equal(recording(W + 1), W + 2.5)


def test_what_is_written_to_is_not_the_same_at_every_call():
    def total(w: Tensor) -> Tensor:
        return torch.zeros_like(w).add_(w).div(1)

    recording = short(total, W.clone())
    for factor in (1, 2, 3):
        assert torch.equal(recording(factor * W), factor * W)


def test_a_choice_by_number_is_not_recorded_but_run():
    def chosen(_, w: Tensor) -> Tensor:
        return w * (1 if float(w.sum()) > 0 else -1)

    recorded = Recorded(chosen)
    for sign in (1, -1) * RECORD_AT:
        assert torch.equal(recorded(None, sign * W), chosen(None, sign * W))


def test_each_shape_has_a_recording_of_its_own():
    calls = []

    def scaled(batch: Tensor, w: Tensor) -> Tensor:
        calls.append(1)
        return w.sum() * batch.mean()

    recorded = Recorded(scaled)
    for rows in (4, 3, 4, 3, 4, 3, 4, 3, 4, 3):
        torch.testing.assert_close(recorded(X[:rows], W), W.sum() * X[:rows].mean())
    made = len(calls)
    recorded(X, W), recorded(X[:3], W)
    assert len(calls) == made, "recordings call the function no more"
