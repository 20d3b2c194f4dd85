"""A mixture against the families that it is made of."""

import pytest
import torch

from mechlib.icl import tasks
from mechlib.icl.mixture import Mixture
from tests.sampling import mean_is

FAMILIES = (tasks.LinearRegression(3), tasks.DecisionTree(3, depth=2), tasks.ReluNetwork(3, hidden=4))


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_every_prompt_is_of_its_family_at_its_scale():
    mixture = Mixture(3, families=FAMILIES, scales=(1.0, 2.0, 0.5))
    prompts = mixture.sample(8, 5, generator=generator())
    for i, (family, scale) in enumerate(zip(FAMILIES, mixture.scales, strict=True)):
        own = family.evaluate(prompts.task[i], prompts.x[i::3])
        torch.testing.assert_close(prompts.y[i::3], scale * own)
    assert [len(prompts.task[0]), len(prompts.task[1].leaf), len(prompts.task[2].second)] == [3, 3, 2]


def test_one_family_is_that_family():
    x = torch.randn(4, 5, 3, generator=generator(1))
    alone = tasks.LinearRegression(3).at(x, generator(2))
    torch.testing.assert_close(Mixture(3, families=FAMILIES[:1], scales=(3.0,)).at(x, generator(2)).y, 3 * alone.y)


def test_noise_is_added_once_after_scaling():
    clean, noisy = (Mixture(3, noise=noise, families=FAMILIES, scales=(9.0,) * 3) for noise in (0.0, 0.5))
    x = torch.randn(600, 20, 3, generator=generator(3))
    gap = noisy.at(x, generator(4)).y - clean.at(x, generator(4)).y
    mean_is(gap.flatten().square(), 0.5**2, within=0.02)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Mixture(3, families=FAMILIES, scales=(1.0,)), "got 3 and 1"),
        (lambda: Mixture(3), "got 0 and 0"),
        (lambda: Mixture(2, families=FAMILIES, scales=(1.0,) * 3), "dimension, 2,"),
        (lambda: Mixture(3, families=(tasks.LinearRegression(3, noise=0.1),), scales=(1.0,)), "no noise of their own"),
        (
            lambda: Mixture(3, families=FAMILIES, scales=(1.0,) * 3).sample(2, 4, generator=generator()),
            "at least 3 prompts, got 2",
        ),
    ],
)
def test_bad_mixtures_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
