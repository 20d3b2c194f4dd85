"""The references of chapter 10 against the library, scikit-learn, Monte Carlo and closed forms."""

import pytest
import torch
from sklearn.linear_model import Ridge

from mechlib.checks.open_task import Unfit
from mechlib.checks.registry import find
from mechlib.icl import LinearRegression, averaging, implicit_weight, least_squares, ridge
from mechlib.icl.prompts import Prompts
from mechlib.questions.ch10 import direction, refute

ACTING, PROBING, MATCHED, BAYES = (find(f"ch10.{name}").reference for name in ("acting", "probing", "matched", "bayes"))


def inputs(name, case=0, seed=3):
    return tuple(find(f"ch10.{name}").cases(torch.Generator().manual_seed(seed))[case].inputs.values())


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def prompts(noise=0.0, batch=40, d=3, n_points=9):
    drawn = LinearRegression(d, noise=noise).sample(batch, n_points, generator=torch.Generator().manual_seed(2))
    return type(drawn)(drawn.x.double(), drawn.y.double(), drawn.task.double())


def test_the_weights_of_a_linear_predictor_are_its_gradient_and_nothing_is_left():
    sample, k = prompts(), 6
    queries = normal(12, 3)
    answers = []
    for query in queries:
        x = sample.x[:, : k + 1].clone()
        x[:, k] = query
        answers.append(ridge(x, sample.y[:, : k + 1], lam=0.7)[:, k])
    weights, left = ACTING(queries, torch.stack(answers, 1) + 3.0)
    torch.testing.assert_close(weights, implicit_weight(lambda x, y: ridge(x, y, lam=0.7), sample, k))
    assert float(left) == pytest.approx(0, abs=1e-20)


def test_a_parabola_leaves_what_a_line_cannot_follow():
    queries = torch.tensor([[-1.0], [0.0], [1.0]], dtype=torch.float64)
    weights, left = ACTING(queries, queries.T.square())
    assert float(weights) == pytest.approx(0, abs=1e-12) and float(left) == pytest.approx(1)


def test_the_scores_are_those_of_scikit_learn():
    acts, untrained, targets, order, n_fit, penalty = inputs("probing")
    found = PROBING(acts, untrained, targets, order, n_fit, penalty)
    for score, a, t in zip(found, (acts, untrained, acts), (targets, targets, targets[order]), strict=True):
        model = Ridge(alpha=penalty).fit(a[:n_fit], t[:n_fit])
        assert float(score) == pytest.approx(model.score(a[n_fit:], t[n_fit:]))


def test_the_cases_of_the_probe_tell_training_from_wiring():
    learnt, wired, nowhere, _ = (PROBING(*inputs("probing", case)) for case in range(4))
    assert learnt[0] > learnt[1] + 0.3
    assert wired[1] > wired[0] - 0.2 and wired[1] > 0.5
    assert nowhere[0] < 0.3


def test_a_family_that_holds_the_model_is_found_at_its_setting():
    sample, lams = prompts(batch=200), (0.01, 0.1, 0.5, 2.0, 8.0)
    shrunk = torch.stack([c * least_squares(sample.x, sample.y)[:, -1] for c in (0.95, 0.9, 0.8, 0.6, 0.3)])
    ridges = torch.stack([ridge(sample.x, sample.y, lam=lam)[:, -1] for lam in lams])
    chosen, cosine, nearest = MATCHED(ridges[3], sample.y[:, -1], torch.stack([shrunk, ridges]))
    assert (int(chosen[1]), int(nearest)) == (3, 1)
    assert float(cosine[1]) == pytest.approx(1) and float(cosine[0]) < 0.95


def test_the_posterior_mean_is_ridge_regression_and_its_error_is_the_one_that_happens():
    noise, prior, n = 0.5, 1.3, 5
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(1, n, 3, generator=generator, dtype=torch.float64).expand(100_000, -1, -1)
    w = prior**0.5 * torch.randn(100_000, 3, generator=generator, dtype=torch.float64)
    y = torch.einsum("bnd,bd->bn", x, w) + noise**0.5 * torch.randn(
        100_000, n, generator=generator, dtype=torch.float64
    )
    weights, error = BAYES(x, y, noise, prior)
    query = torch.eye(3, dtype=torch.float64)[0].expand(100_000, 1, -1)
    by_library = ridge(torch.cat([x, query], 1), torch.cat([y, y[:, :1]], 1), lam=noise / prior)[:, -1]
    torch.testing.assert_close(weights[:, 0], by_library)
    assert float((weights - w).square().sum(1).mean()) == pytest.approx(float(error[0]), rel=0.01)


def test_without_examples_that_tell_anything_the_prior_is_left():
    weights, error = BAYES(1e-9 * normal(2, 4, 3), normal(2, 4), 1.0, 0.7)
    assert weights.abs().max() < 1e-7
    torch.testing.assert_close(error, torch.full((2,), 2.1, dtype=torch.float64))


def drawn(seed=0):
    return torch.Generator().manual_seed(seed)


def test_one_control_explains_each_of_the_first_kinds_and_none_the_last():
    """Means over many systems of a kind: who reads the weights no worse than the probe, within the noise."""
    culprits = ["untrained", "wide", "sum", "other"]
    for number, kind in enumerate(refute.KINDS):
        lead = dict.fromkeys(culprits, 0.0)
        for seed in range(30):
            tools = kind.drawn(drawn(seed))
            assert tuple(tools) == refute.TOOLS
            w, x, y = tools["w"], tools["x"], tools["y"]
            n, d = x.shape[1:]
            slopes = implicit_weight(averaging, Prompts(torch.cat([x, x[:, :1]], 1), torch.cat([y, y[:, :1]], 1), w), n)
            ours = refute.missed(w, tools["probed"])
            read = {
                "untrained": refute.missed(w, tools["untrained"]),
                "wide": refute.missed(w, tools["wide"]),
                "sum": refute.missed(w, n / (n + d + 1) * slopes),
                "other": refute.missed(w.roll(-1, 0), tools["other"]),
            }
            for name in culprits:
                lead[name] += float((read[name] - ours).mean() / w.square().sum(1).mean()) / 30
        explained = [name for name in culprits if lead[name] < 0.01]
        if number < 4:
            assert explained == [culprits[number]], (kind, lead)
        assert (not explained) == kind.holds, (kind, lead)


def test_the_swap_of_the_column_is_that_of_a_model_run_on_the_donor():
    """Along all directions at once nothing is lacking; along none, everything."""
    pairs = direction.drawn(drawn(1), 50)
    gap = pairs.donor - pairs.own
    basis = torch.linalg.qr(torch.randn(direction.WIDTH, direction.WIDTH, generator=drawn(2)))[0]
    parts = sum((gap @ unit)[:, None] * unit for unit in basis)
    torch.testing.assert_close(direction.swapped(pairs, parts), direction.swapped(pairs, gap), atol=1e-3, rtol=1e-3)
    with torch.no_grad():
        torch.testing.assert_close(
            direction.swapped(pairs, 0.0), direction.model()(pairs.x, pairs.y)[:, direction.SEEN]
        )


def test_a_swap_does_not_depend_on_length_and_sign_and_leaves_no_hook():
    pairs = direction.drawn(drawn(3), 60)
    unit = torch.randn(direction.WIDTH, generator=drawn(4))
    assert direction.missed(pairs, unit) == pytest.approx(direction.missed(pairs, -7 * unit), rel=1e-4)
    assert not direction.model().blocks[direction.LAYER - 1]._forward_hooks


def test_the_probe_reads_the_answer_best_and_a_swap_along_it_does_nothing():
    pairs = direction.drawn(drawn(5), 400)
    answer, column = direction.swapped(pairs, 0.0), pairs.own - pairs.own.mean(0)
    read = {"probe": direction.read_direction(), "covariance": (column * answer[:, None]).mean(0)}
    alike = {name: float(torch.corrcoef(torch.stack([answer, column @ found]))[0, 1]) for name, found in read.items()}
    lacks = {name: direction.missed(pairs, found) for name, found in read.items()}
    assert alike["probe"] > alike["covariance"] and lacks["probe"] > 0.85 > 0.65 > lacks["covariance"]


@pytest.mark.parametrize("handed", [0.0, [0.0] * 64, [float("nan")] * 64, {"direction": [1.0] * 64}, [[1.0], 2.0]])
def test_what_is_no_direction_is_refused(handed):
    with pytest.raises(Unfit):
        direction.outcome(direction.drawn(drawn(), 20), handed)
