"""The references of chapter 05 against hulls by another algorithm and against vectors at random."""

import numpy as np
import pytest
import torch
from scipy.spatial import ConvexHull

from mechlib.argmax import Enclosed, Readout, check, survey
from mechlib.checks.registry import find
from mechlib.questions.ch05 import certify, refute

LEAD, REACH, STRETCH = (find(f"ch05.{name}").reference for name in ("lead", "reach", "stretch"))
GENERATOR = torch.Generator().manual_seed(5)


def test_exactly_one_token_leads_at_a_vector():
    rows, bias, h = (torch.randn(*s, generator=GENERATOR) for s in ((9, 4), (9,), (4,)))
    leads = [float(LEAD(rows, bias, h, token)[0]) for token in range(9)]
    assert sum(lead > 0 for lead in leads) == 1
    best = int(np.argmax(leads))
    assert {int(LEAD(rows, bias, h, token)[1]) for token in range(9) if token != best} == {best}


def test_no_vector_of_the_radius_leads_by_more_than_it_can_reach():
    rows, bias = torch.randn(7, 3, generator=GENERATOR).double(), torch.randn(7, generator=GENERATOR).double()
    weights = torch.tensor([0, 0.5, 0.2, 0.3, 0, 0, 0], dtype=torch.float64)
    bound = float(REACH(rows, bias, weights, 0, 2.0))
    h = torch.randn(4000, 3, generator=GENERATOR).double()
    h = 2 * h / h.norm(dim=1, keepdim=True)
    logits = h @ rows.T + bias
    over_the_mean = logits[:, 0] - logits @ weights
    assert bound - 0.05 < over_the_mean.max() <= bound
    assert (logits[:, 0] - logits[:, 1:].max(1).values).max() <= bound


@pytest.mark.parametrize("d", [2, 3])
def test_a_row_stretched_by_less_is_inside_and_by_more_a_corner(d):
    rows = torch.randn(20, d, generator=GENERATOR, dtype=torch.float64)
    inside = next(v for v in range(20) if v not in ConvexHull(rows.numpy()).vertices)
    factor = STRETCH(rows, inside)
    for times, corner in ((0.999 * factor, False), (1.001 * factor, True)):
        moved = rows.clone()
        moved[inside] *= times
        assert (inside in ConvexHull(moved.numpy()).vertices) == corner


def test_what_the_judge_accepts_is_so():
    for one in certify.draw(torch.Generator().manual_seed(1)):
        speakable = survey(Readout(one.rows.numpy())).speakable
        for token in np.flatnonzero(~speakable):
            assert not certify.proves(one.rows, int(token), one.rows[token].numpy())
        for token in np.flatnonzero(speakable):
            even = np.where(np.arange(len(one.rows)) == token, 0, 1 / (len(one.rows) - 1))
            assert not certify.proves(one.rows, int(token), even)


@pytest.mark.parametrize("kind", refute.KINDS, ids=lambda kind: kind.about)
def test_weights_prove_to_rounding_or_are_flawed_as_said(kind):
    for seed in range(5):
        drawn = kind.drawn(torch.Generator().manual_seed(seed))
        readout = Readout(drawn["rows"].numpy(), radius=drawn["radius"])
        weights = {v: float(w) for v, w in enumerate(drawn["weights"]) if w}
        if kind.holds:
            assert check(readout, Enclosed(drawn["token"], weights)) > -1e-10
        elif kind.flaw in ("misses", "nearly", "another"):
            assert check(readout, Enclosed(drawn["token"], weights)) < (-0.007 if kind.flaw == "nearly" else -0.1)
        else:
            with pytest.raises(ValueError, match="weights are above 0"):
                check(readout, Enclosed(drawn["token"], weights))
        assert (drawn["best"] < 0).all()
