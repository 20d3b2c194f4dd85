"""Probes on activations of which it is known what can be read from them."""

import pytest
import torch

from mechlib.icl.probing import probe


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("kind", ["linear", "mlp"])
def test_what_is_there_is_read_and_the_controls_are_not(kind):
    targets = normal(800, 2)
    activations = torch.cat([targets @ normal(2, 6, seed=1), normal(800, 2, seed=2)], 1)
    found = probe(activations, targets, untrained=normal(800, 8, seed=3), kind=kind)
    assert found.score > 0.9
    assert found.untrained < 0.1 and found.shuffled < 0.1


def test_the_trap_of_a_random_network_that_passes():
    """Random features of the inputs carry the target too: the score alone would credit training with it."""
    inputs = normal(800, 3)
    targets = inputs.sum(1, keepdim=True)
    found = probe(
        torch.relu(inputs @ normal(3, 8, seed=1)), targets, untrained=torch.relu(inputs @ normal(3, 40, seed=2))
    )
    assert found.untrained > found.score - 0.05 and found.untrained > 0.9
    assert found.shuffled < 0.1


def test_what_is_no_linear_function_needs_the_mlp():
    activations = normal(1500, 3)
    targets = activations[:, :1] * activations[:, 1:2]
    linear, mlp = (
        probe(activations, targets, untrained=normal(1500, 3, seed=5), kind=kind) for kind in ("linear", "mlp")
    )
    assert linear.score < 0.1 and mlp.score > 0.7


def test_the_share_of_variance_is_that_of_the_noise():
    """A quarter is held out: the share has a standard error of .5 (2 / 10_000)**.5, .007."""
    activations = normal(40_000, 5)
    targets = activations[:, :1] + normal(40_000, 1, seed=1)
    assert probe(activations, targets, untrained=activations).score == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((normal(30, 3), normal(29, 1), normal(30, 3)), r"'targets': \(29, 1\)"),
        ((normal(10, 3), normal(10, 1), normal(10, 3)), "at least 20"),
        ((normal(30, 3), normal(30), normal(30, 3)), r"targets has the axes .* \(30,\)"),
        ((torch.full((30, 3), torch.nan), normal(30, 1), normal(30, 3)), "activations holds values that are NaN"),
    ],
)
def test_what_cannot_be_probed_is_refused(arguments, message):
    activations, targets, untrained = arguments
    with pytest.raises(ValueError, match=message):
        probe(activations, targets, untrained=untrained)


def test_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="'linear' or 'mlp', got 'tree'"):
        probe(normal(30, 3), normal(30, 1), untrained=normal(30, 3), kind="tree")
