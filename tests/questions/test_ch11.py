"""The references of chapter 11 against the library, Monte Carlo, and samples whose answer is known."""

import math

import pytest
import torch
from sklearn.neighbors import KNeighborsRegressor

from mechlib.checks.open_task import Unfit
from mechlib.checks.registry import find
from mechlib.icl import LinearRegression, ReluNetwork, knn, least_squares, sparse_posterior
from mechlib.questions.ch11 import refute, unseen

NEIGHBOURS, CURVE, SPARSE, RATIO = (
    find(f"ch11.{name}").reference for name in ("neighbours", "curve", "sparse", "ratio")
)


def inputs(name, case=0, seed=3):
    return tuple(find(f"ch11.{name}").cases(torch.Generator().manual_seed(seed))[case].inputs.values())


def test_neighbours_are_those_of_scikit_learn():
    x, y, k = inputs("neighbours")
    found = NEIGHBOURS(x, y, k)
    for b, n in ((0, 1), (1, k), (1, 7)):
        fit = KNeighborsRegressor(min(k, n)).fit(x[b, :n], y[b, :n])
        assert float(found[b, n]) == pytest.approx(float(fit.predict(x[b, n : n + 1])[0]), abs=1e-5)
    assert not found[:, 0].any()


@pytest.mark.parametrize("noise_var", [0.0625, 1.0])
def test_the_curve_is_the_one_that_least_squares_has(noise_var):
    """Away from the peak, where a mean over prompts settles."""
    d = 6
    task = LinearRegression(d, noise=noise_var**0.5)
    prompts = task.sample(30_000, 16, generator=torch.Generator().manual_seed(0))
    clean = torch.einsum("bnd,bd->bn", prompts.x, prompts.task)
    measured = (least_squares(prompts.x, prompts.y) - clean).square().mean(0) / d
    expected = CURVE(d, noise_var, 15)
    for n in (0, 1, 2, 3, 10, 12, 15):
        assert float(measured[n]) == pytest.approx(float(expected[n]), rel=0.05), n
    assert expected[[d - 1, d, d + 1]].isinf().all() and expected.isfinite().sum() == 13


def test_one_dimension_has_no_examples_too_few():
    assert CURVE(1, 0.5, 4).tolist() == [1.0, math.inf, math.inf, 0.5, 0.25]


@pytest.mark.parametrize("case", [0, 1, 3])
def test_the_sparse_answer_is_that_of_the_library(case):
    x, y, query, nonzero, var = inputs("sparse", case)
    found, _ = SPARSE(x, y, query, nonzero, var)
    whole = sparse_posterior(
        torch.cat([x, query[:, None]], 1), torch.cat([y, y[:, :1]], 1), nonzero=nonzero, noise_var=var
    )
    torch.testing.assert_close(found, whole[:, -1])


def test_inclusion_finds_the_coordinates_that_matter():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(6, 40, 5, generator=generator, dtype=torch.float64)
    w = torch.tensor([0.0, 1.5, 0.0, 0.0, -2.0], dtype=torch.float64)
    _, inclusion = SPARSE(x, x @ w, x[:, 0], 2, 0.01)
    torch.testing.assert_close(inclusion, (w != 0).double().expand(6, -1), atol=1e-6, rtol=0)
    _, unsure = SPARSE(x[:, :2], x[:, :2] @ w, x[:, 0], 2, 0.5)
    torch.testing.assert_close(unsure.sum(1), torch.full((6,), 2.0, dtype=torch.float64))


def test_the_interval_of_the_ratio_covers_the_truth_as_often_as_it_says():
    generator = torch.Generator().manual_seed(0)
    shared, own, other = torch.randn(3, 2000, 200, generator=generator, dtype=torch.float64).exp()
    found = [RATIO(a, b) for a, b in zip(shared + 0.5 * own, shared + other, strict=True)]
    low, high = (torch.stack([row[i] for row in found]) for i in (1, 2))
    covered = ((low < 0.75) & (high > 0.75)).double().mean()
    assert 0.92 < float(covered) < 0.97
    same = RATIO(own[0], own[0])
    assert [float(part) for part in same] == pytest.approx([1.0, 1.0, 1.0])


def drawn(seed=0):
    return torch.Generator().manual_seed(seed)


def test_the_neighbours_are_those_of_the_library():
    x, y, k = inputs("neighbours")
    torch.testing.assert_close(NEIGHBOURS(x, y, k), knn(x, y, k=k))


def lead(kind, seed=0):
    """How much nearer the networks' mean is than the nearest rival."""
    tools = {name: tool.double() for name, tool in kind.drawn(drawn(seed)).items()}
    assert tuple(tools) == refute.TOOLS
    model, networks, *rivals = tools.values()
    own = refute.apart(model, networks.mean(0)).mean()
    return float(min(refute.apart(model, rival).mean() for rival in rivals) - own)


def test_the_systems_of_the_refutation_hold_what_their_kinds_say():
    for kind in refute.KINDS:
        if not kind.between:
            assert (lead(kind) > 0) == kind.holds, kind


def test_what_is_half_way_is_nearer_to_neither_side():
    for kind in (kind for kind in refute.KINDS if kind.between):
        leads = torch.tensor([lead(kind, seed) for seed in range(60)])
        assert not kind.holds
        assert abs(leads.mean()) < 3 * leads.std() / 60**0.5 and 15 < (leads > 0).sum() < 45, kind


def test_most_reports_are_right_about_the_error():
    """Of models that are no networks, kernel regression and errors of one's own are about as good."""
    for kind in refute.KINDS[:1] + refute.KINDS[2:3]:
        tools = kind.drawn(drawn())
        errors = [refute.apart(answers, tools["truth"]).mean() for answers in (tools["model"], tools["networks"][0])]
        assert 0.5 < float(errors[0] / errors[1]) < 1.7


def test_the_covariance_of_the_family_is_the_one_that_prompts_have():
    x = torch.tensor([[[1.0, -0.5, 1.0], [0.3, 1.2, 1.0]]]).expand(400_000, -1, -1)
    y = ReluNetwork(3, hidden=unseen.UNITS).at(x, drawn()).y
    one, other = x[0]
    angle = torch.cosine_similarity(one, other, dim=0).acos()
    expected = one.norm() * other.norm() / math.pi * (angle.sin() + (math.pi - angle) * angle.cos())
    assert float((y[:, 0] * y[:, 1]).mean()) == pytest.approx(float(expected), rel=0.05)


@pytest.mark.parametrize("handed", ["a word", 3.0, [1.0], torch.full((unseen.QUERIES,), math.nan), None])
def test_what_are_no_predictions_is_refused(handed):
    functions = unseen.draw(drawn())
    with pytest.raises(Unfit):
        unseen.outcome(functions, [handed] * len(functions))


def test_right_predictions_have_no_error_and_zero_has_all_of_it():
    functions = unseen.draw(drawn())
    assert unseen.outcome(functions, [f.truth for f in functions]).value == 0
    assert unseen.outcome(functions, [torch.zeros(unseen.QUERIES)] * len(functions)).value == pytest.approx(1)
