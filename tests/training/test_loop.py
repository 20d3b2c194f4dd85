"""The loop on a line fitted to points: what it yields, saves, keeps and refuses."""

import pytest
import torch
from torch import nn

from mechlib.training import Loop, Updates, clip_each
from mechlib.training import loop as module


def fitted(steps=7, rate=0.1):
    """A linear map of two inputs to their sum, and the loop that fits it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Linear(2, 1)

    def batch(step):
        return torch.randn(8, 2, generator=torch.Generator().manual_seed(step))

    def losses(model, x):
        return (model(x)[:, 0] - x.sum(1)).square().mean().reshape(1)

    optimiser = torch.optim.Adam(model.parameters(), lr=1.0)
    return Loop(model, Updates(steps, batch, losses, [optimiser], lambda step: rate, lambda: None))


def weights(loop):
    return {name: value.clone() for name, value in loop.model.state_dict().items()}


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


def test_it_yields_the_number_of_updates_made_from_none_to_all():
    loop = fitted()
    start = weights(loop)["weight"]
    assert list(loop.run(progress=False)) == list(range(8))
    assert (weights(loop)["weight"] - 1).norm() < (start - 1).norm() and len(loop.losses) == 7
    assert list(loop.run(progress=False)) == [7], "a finished loop has nothing left to do"


@pytest.mark.parametrize("stopped_at", [0, 1, 3, 4, 6, 7])
def test_wherever_it_is_stopped_it_goes_on_to_the_same_bits(tmp_path, monkeypatch, stopped_at):
    monkeypatch.setattr(module, "SAVE_EVERY", 3)
    whole, stopped, resumed = fitted(), fitted(), fitted()
    list(whole.run(progress=False))
    stopped.enter(tmp_path, {"it": 1})
    for step in stopped.run(progress=False):
        if step == stopped_at:
            break
    resumed.enter(tmp_path, {"it": 1})
    assert resumed.step == (7 if stopped_at == 7 else stopped_at // 3 * 3)
    seen = list(resumed.run(progress=False))
    assert seen[0] <= stopped_at, "what was to be done at that number is done"
    assert same(weights(resumed), weights(whole)) and torch.equal(resumed.losses, whole.losses)


def test_kept_weights_are_found_again_and_the_last_ones_come_back(tmp_path):
    loop, there = fitted(), {}
    loop.enter(tmp_path, {"it": 1})
    for step in loop.run(progress=False):
        if step in (2, 5):
            loop.keep()
            there[step] = weights(loop)
    last = weights(loop)
    assert same(loop.weights(2), there[2])
    assert [step for step in loop.past({5, 2, 7}) if same(weights(loop), there[step])] == [2, 5]
    assert same(weights(loop), last)
    with pytest.raises(RuntimeError, match="stop"):
        for _ in loop.past({2}):
            raise RuntimeError("stop")
    assert same(weights(loop), last)
    with pytest.raises(ValueError, match="has passed step 3"):
        list(loop.past({2, 3}))


def test_losses_lie_in_one_block_from_the_first_on(tmp_path):
    """Memory grew by the size of the logits at every step when each loss had a small block of its own."""
    loop = fitted()
    loop.enter(tmp_path, {"it": 1})
    places = {loop.losses.untyped_storage().data_ptr() for step in loop.run(progress=False) if step}
    assert len(places) == 1 and loop.losses.shape == (7, 1)
    resumed = fitted()
    resumed.enter(tmp_path, {"it": 1})
    assert torch.equal(resumed.losses, loop.losses) and resumed.losses.untyped_storage().nbytes() == 7 * 4


def test_without_a_folder_it_trains_and_keeps_nothing():
    loop = fitted()
    for _ in loop.run(progress=False):
        loop.keep()
    with pytest.raises(ValueError, match="has entered none"):
        loop.weights(2)


def test_another_run_is_refused_before_anything_is_read(tmp_path):
    loop = fitted()
    loop.enter(tmp_path, {"it": 1})
    list(loop.run(progress=False))
    (tmp_path / "state.pt").write_bytes(b"not read")
    with pytest.raises(ValueError, match=r"another it .*it is 1 there and 2 here"):
        fitted().enter(tmp_path, {"it": 2})


def test_a_loss_that_is_not_finite_stops_the_loop_and_leaves_the_weights():
    loop = fitted(rate=float("inf"))
    steps = loop.run(progress=False)
    next(steps)
    next(steps)
    before = weights(loop)
    with pytest.raises(FloatingPointError, match="at step 1; try a smaller learning rate"):
        next(steps)
    assert all(torch.equal(before[name].isfinite(), weights(loop)[name].isfinite()) for name in before)


def test_each_model_is_clipped_by_its_own_norm():
    matrix, vector = nn.Parameter(torch.zeros(2, 3, 1)), nn.Parameter(torch.zeros(2, 1))
    matrix.grad = torch.tensor([[[3.0], [0], [0]], [[0.3], [0], [0]]])
    vector.grad = torch.tensor([[4.0], [0.4]])
    clip_each([matrix, nn.Parameter(torch.zeros(2, 4)), vector], 1.0)
    torch.testing.assert_close(matrix.grad[:, 0, 0], torch.tensor([0.6, 0.3]))
    torch.testing.assert_close(vector.grad[:, 0], torch.tensor([0.8, 0.4]))
    clip_each([matrix, vector], float("inf"))
    torch.testing.assert_close(vector.grad[:, 0], torch.tensor([0.8, 0.4]))
