"""Argmaxable tokens against hulls by another algorithm, closed forms, and certificates that somebody has spoilt."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from scipy.spatial import ConvexHull

from mechlib.argmax import Enclosed, Readout, Spoken, ascend, check, decide, directions, leads, screen, survey
from mechlib.argmax.screening import CORRECTED

SQUARE = np.array([[1.0, 1], [1, -1], [-1, 1], [-1, -1], [0.25, 0.5], [0.0, 0.0]])


def rows(seed: int, n: int, d: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return (generator.normal(size=(n, d)) * np.exp(generator.normal(size=(n, 1)) / 2)).astype(np.float32)


@pytest.mark.parametrize(("n", "d"), [(60, 2), (80, 3), (120, 5)])
def test_speakable_tokens_are_the_corners_of_the_hull(n, d):
    table = rows(n, n, d)
    found = survey(Readout(table))
    assert np.flatnonzero(found.speakable).tolist() == sorted(ConvexHull(table.astype(float)).vertices)
    assert (found.lead[found.speakable] > 0).all()
    assert (found.lead[~found.speakable] == 0).all()


def test_every_certificate_of_an_enclosed_token_is_exact():
    readout = Readout(rows(0, 90, 4))
    for token, certificate in survey(readout).certificates.items():
        if isinstance(certificate, Enclosed):
            assert certificate.exact and check(readout, certificate) == 0
            mean = sum(float(w) * readout.rows[v] for v, w in certificate.weights.items())
            np.testing.assert_allclose(mean, readout.rows[token], atol=1e-12)


def test_rows_of_unit_length_are_all_speakable():
    table = rows(1, 100, 3)
    assert survey(Readout(table / np.linalg.norm(table, axis=1, keepdims=True))).speakable.all()


def test_a_bias_can_lift_a_token_over_the_hull_and_sink_a_corner():
    inside = SQUARE[[0, 1, 2, 3, 5]]
    assert survey(Readout(inside)).speakable.tolist() == [True] * 4 + [False]
    assert survey(Readout(inside, np.array([0, 0, 0, 0, 0.1]))).speakable.all()
    collinear = Readout(np.array([[-1.0], [0.5], [1.0]]), np.array([0.0, -9.0, 0.0]))
    assert survey(collinear).speakable.tolist() == [True, False, True]


def test_a_bias_without_a_radius_makes_lines_whose_upper_envelope_is_known():
    slopes = np.linspace(-1, 1, 9)
    tangents = Readout(slopes[:, None], -(slopes**2))  # tangents of a parabola: each is the highest somewhere
    assert survey(tangents).speakable.all()
    lowered = Readout(slopes[:, None], -(slopes**2) - 0.1 * (np.arange(9) == 4))
    assert np.flatnonzero(~survey(lowered).speakable).tolist() == [4]


def test_within_a_radius_a_token_needs_a_lead_that_the_radius_allows():
    table, bias = np.array([[1.0, 0], [0, 1]]), np.array([0.0, -3.0])
    for radius, speakable in ((2.1, False), (2.2, True)):  # the second leads by h2 - h1 - 3, at most sqrt(2) radius - 3
        assert survey(Readout(table, bias, radius)).speakable.tolist() == [True, speakable]
    enclosed = decide(Readout(table, bias, 2.1), 1)
    assert check(Readout(table, bias, 2.1), enclosed) == pytest.approx(3 - 2.1 * 2**0.5)


def test_twins_never_lead_alone():
    table = np.vstack([SQUARE, SQUARE[:1]])
    readout = Readout(table)
    assert survey(readout).speakable.tolist() == [False, True, True, True, False, False, False]
    assert decide(readout, 0).weights == {6: Fraction(1)}


def test_of_what_a_norm_lets_through():
    generator = np.random.default_rng(3)
    table, gain, shift, bias = (generator.normal(size=s) for s in ((12, 6), 6, 6, 12))
    x = generator.normal(size=(40, 6)) * 3
    for centred in (False, True):
        y = x - x.mean(1, keepdims=True) if centred else x
        normed = y / np.sqrt((y**2).mean(1, keepdims=True) + 1e-5)
        readout = Readout.after_norm(table, gain, shift, bias, centred=centred)
        ours = normed @ readout.rows.T + readout.bias
        np.testing.assert_allclose(ours, (normed * gain + shift) @ table.T + bias, atol=1e-9)
        assert (np.linalg.norm(normed, axis=1) < readout.radius).all()


class TestCheck:
    readout = Readout(SQUARE)

    def test_a_lead_is_bounded_from_below_in_rationals(self):
        readout = Readout(rows(5, 50, 7))
        vector = np.random.default_rng(0).normal(size=7)
        logits = [sum(Fraction(x) * Fraction(h) for x, h in zip(r, vector, strict=True)) for r in readout.rows]
        best = int(np.argmax([float(x) for x in logits]))
        exact = logits[best] - max(x for v, x in enumerate(logits) if v != best)
        bound = check(readout, Spoken(best, vector))
        assert bound <= exact and float(exact) - bound < 1e-12

    def test_a_large_vocabulary_is_bounded_in_single_precision_first(self):
        generator = np.random.default_rng(1)
        readout = Readout(generator.normal(size=(9000, 5)) * np.exp(generator.normal(size=(9000, 1))))
        tokens = np.argsort(np.linalg.norm(readout.rows, axis=1))[-30:]
        vectors = readout.rows[tokens]
        logits = vectors @ readout.rows.T
        own = logits[np.arange(30), tokens].copy()
        logits[np.arange(30), tokens] = -np.inf
        exact = own - logits.max(1)
        found, rival = leads(readout, tokens, vectors)
        assert ((found > 0) == (exact > 0)).all() and (exact > 0).any() and (rival == logits.argmax(1)).all()
        assert (found <= exact).all() and np.allclose(found, exact, atol=1e-3, rtol=1e-4)

    def test_a_vector_that_does_not_lead_proves_nothing(self):
        assert check(self.readout, Spoken(4, np.array([1.0, 1.0]))) < 0
        assert check(self.readout, Spoken(0, np.array([1.0, 0.0]))) < 0  # a tie with token 1

    def test_weights_that_miss_the_row_prove_nothing_without_a_radius(self):
        missing = Enclosed(5, {0: 0.5, 3: 0.499999999, 1: 0.000000001})
        assert check(self.readout, missing) == -np.inf
        assert check(Readout(SQUARE, radius=2.0), missing) == pytest.approx(-2 * 2e-9, rel=1e-3)

    @pytest.mark.parametrize(
        "weights", [{0: 0.5, 3: 0.6}, {0: 1.5, 3: -0.5}, {5: 1.0}, {}, {0: Fraction(1, 2), 3: Fraction(1, 3)}]
    )
    def test_what_are_no_weights_is_refused(self, weights):
        with pytest.raises(ValueError, match="weights are above 0"):
            check(self.readout, Enclosed(5, weights))

    def test_a_vector_beyond_the_radius_or_of_another_length_is_refused(self):
        with pytest.raises(ValueError, match="shorter than 1"):
            check(Readout(SQUARE, radius=1.0), Spoken(0, np.array([1.0, 1.0])))
        with pytest.raises(ValueError, match="2 entries"):
            check(self.readout, Spoken(0, np.ones(3)))


def test_screening_says_only_what_holds():
    readout = Readout(rows(7, 200, 6))
    found, all_of_them = screen(readout), survey(readout)
    assert all_of_them.speakable[found.settled].all()
    assert all(check(readout, certificate) > 0 for certificate in found.certificates.values())
    assert (
        set(np.unique(found.by)) <= {-1, *range(len(directions(readout)) + 1)} and len(directions(readout)) == CORRECTED
    )


class TestAscent:
    def test_it_never_finds_what_is_certified_not_to_be_there(self):
        readout = Readout(rows(9, 80, 3))
        speakable = survey(readout).speakable
        found = (ascend(readout, np.arange(80), steps=100) >= 0).any(0)
        assert found.any() and not found[~speakable].any()

    def test_a_corner_is_found_and_the_step_counted(self):
        first = ascend(Readout(SQUARE), np.array([0, 5]), steps=60, starts=4)
        assert first.shape == (4, 2) and (first[:, 0] >= 0).all() and (first[:, 1] == -1).all()
        again = ascend(Readout(SQUARE), np.array([0, 5]), steps=1, starts=4)
        assert ((again[:, 0] >= 0) == ((first[:, 0] >= 0) & (first[:, 0] <= 1))).all()

    @pytest.mark.parametrize("optimiser", ["adam", "sgd"])
    def test_its_steps_are_those_of_torch(self, optimiser):
        readout = Readout(rows(11, 40, 4), np.linspace(-1, 1, 40))
        table, bias = torch.tensor(readout.rows).float(), torch.tensor(readout.bias).float()
        first = ascend(readout, np.arange(40), steps=30, starts=2, rate=0.2, optimiser=optimiser, seed=5).ravel()
        h = torch.randn(80, 4, generator=torch.Generator().manual_seed(5)).requires_grad_()
        update = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}[optimiser]([h], lr=0.2)
        wanted, seen = torch.arange(40).repeat(2), np.full(80, -1)
        for step in range(31):
            logits = h @ table.T + bias
            seen[(seen < 0) & (logits.argmax(1) == wanted).numpy()] = step
            update.zero_grad()
            torch.nn.functional.cross_entropy(logits, wanted, reduction="sum").backward()
            update.step()
        assert (first == seen).mean() > 0.97 and len(np.unique(seen)) > 5

    @pytest.mark.parametrize(
        ("options", "message"),
        [({"steps": 0}, "one step"), ({"starts": 0}, "one start"), ({"optimiser": "lbfgs"}, "lbfgs")],
    )
    def test_bad_settings_are_refused(self, options, message):
        with pytest.raises(ValueError, match=message):
            ascend(Readout(SQUARE), np.array([0]), **options)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((np.ones(3),), r"\(3,\)"),
        ((np.ones((1, 3)),), r"\(1, 3\)"),
        ((SQUARE, np.ones(3)), r"6 tokens; its shape is \(3,\)"),
        ((np.where(SQUARE == 0, np.nan, SQUARE),), r"entry \[5, 0\] is nan"),
        ((SQUARE, np.zeros(6), -1.0), "not -1"),
    ],
)
def test_a_read_out_says_what_is_wrong_with_it(given, message):
    with pytest.raises(ValueError, match=message):
        Readout(*given)


def test_a_token_that_is_not_there_is_named():
    with pytest.raises(IndexError, match="0 to 5, not 6"):
        decide(Readout(SQUARE), 6)
