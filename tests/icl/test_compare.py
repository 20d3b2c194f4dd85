"""Comparisons of predictors whose distances are known, and projections with an answer in closed form."""

import pytest
import torch

from mechlib.icl import compare, predictors, tasks


def prompts(batch=6, n_points=8, d=3, seed=0):
    sample = tasks.LinearRegression(d, noise=0.3).sample(batch, n_points, generator=torch.Generator().manual_seed(seed))
    return type(sample)(sample.x.double(), sample.y.double(), sample.task.double())


def ridge_weights(sample, lam):
    x, y = sample.x[:, :-1], sample.y[:, :-1]
    gram = x.mT @ x + lam * torch.eye(x.shape[-1], dtype=x.dtype)
    return torch.linalg.solve(gram, (x.mT @ y[..., None]))[..., 0]


def test_the_gradient_of_a_linear_predictor_is_its_weight():
    sample = prompts()
    weights = compare.implicit_weight(lambda x, y: predictors.ridge(x, y, lam=0.4), sample, 7)
    torch.testing.assert_close(weights, ridge_weights(sample, 0.4), atol=1e-10, rtol=1e-10)
    torch.testing.assert_close(
        compare.implicit_weight(predictors.averaging, sample, 0), torch.zeros(6, 3, dtype=torch.float64)
    )


def test_two_ridges_differ_by_what_their_weights_say():
    sample = prompts()
    found = compare.compare_predictors(
        lambda x, y: predictors.ridge(x, y, lam=0.4), lambda x, y: predictors.ridge(x, y, lam=5.0)[:, -1], sample
    )
    w, v = ridge_weights(sample, 0.4), ridge_weights(sample, 5.0)
    query, target = sample.x[:, -1], sample.y[:, -1]
    expected = {
        "loss_f": 0.5 * ((w * query).sum(-1) - target) ** 2,
        "loss_g": 0.5 * ((v * query).sum(-1) - target) ** 2,
        "prediction_gap": ((w - v) * query).sum(-1).abs(),
        "gradient_cosine": (w * v).sum(-1) / w.norm(dim=-1) / v.norm(dim=-1),
        "weight_gap": (w - v).norm(dim=-1),
    }
    for name, value in expected.items():
        torch.testing.assert_close(getattr(found, name), value, atol=1e-9, rtol=1e-9)


def test_a_predictor_agrees_with_itself_and_opposes_its_negative():
    sample = prompts()
    same = compare.compare_predictors(predictors.averaging, predictors.averaging, sample)
    assert (same.prediction_gap == 0).all() and (same.weight_gap == 0).all()
    torch.testing.assert_close(same.gradient_cosine, torch.ones(6, dtype=torch.float64))
    opposite = compare.compare_predictors(predictors.averaging, lambda x, y: -predictors.averaging(x, y), sample)
    torch.testing.assert_close(opposite.gradient_cosine, -torch.ones(6, dtype=torch.float64))


def test_the_projection_reads_the_mixture_and_is_blind_to_the_rest():
    generator = torch.Generator().manual_seed(4)
    ridge, dmmse, noise = torch.randn(3, 50, 7, generator=generator, dtype=torch.float64)
    line = dmmse - ridge
    off = noise - (noise * line).sum() / (line * line).sum() * line
    for alpha in (0.0, 0.3, 1.0, 1.7):
        mixed = (1 - alpha) * ridge + alpha * dmmse + off
        assert compare.ridge_dmmse_projection(mixed, ridge, dmmse) == pytest.approx(alpha, abs=1e-12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s: compare.implicit_weight(predictors.averaging, s, 8), "0 to 7 in these prompts, got 8"),
        (lambda s: compare.implicit_weight(lambda x, y: x, s, 3), r"\(6, 4\) or \(6,\), not \(6, 4, 3\)"),
        (lambda s: compare.implicit_weight(lambda x, y: x.detach().sum(-1), s, 3), "no gradient"),
        (lambda s: compare.ridge_dmmse_projection(s.y, s.y, s.y), "agree on every point"),
        (lambda s: compare.ridge_dmmse_projection(s.y, s.y[:2], s.y), r"\(6, 8\), \(2, 8\), \(6, 8\)"),
    ],
)
def test_what_cannot_be_compared_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(prompts())
