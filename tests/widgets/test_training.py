"""The training explorer holds what it is given, loads one model for each step, and refuses what does not fit."""

import json

import pytest
import torch

from mechlib.bridge import Shape
from mechlib.widgets import training_explorer
from mechlib.widgets.attention import percentages
from tests.models import untrained

SHAPE = Shape(n_layers=2, d_model=24, n_heads=3, d_head=8, d_mlp=0, n_ctx=32, d_vocab=50)
STEPS = (0, 10, 40, 50)
CURVES = {("loss", "nats"): [4.0, 3.0, 2.5, 2.25], ("score", ""): torch.arange(4)}


def strings(ids):
    return [f"<{i}>" for i in ids]


def load(step):
    return untrained(SHAPE, seed=step)


@pytest.fixture(scope="module")
def tokens():
    return torch.randint(SHAPE.d_vocab, (9,), generator=torch.Generator().manual_seed(3))


@pytest.fixture(scope="module")
def scores():
    return {"induction": torch.rand(4, 2, 3, generator=torch.Generator().manual_seed(4))}


def explorer(tokens, scores, *, steps=STEPS, curves=CURVES, head=(1, 2)):
    return training_explorer(load, steps, tokens, token_strings=strings, curves=curves, scores=scores, head=head)


def test_it_holds_the_curves_the_scores_and_each_steps_own_patterns(tokens, scores):
    widget = explorer(tokens, scores)
    assert widget.data["steps"] == list(STEPS)
    assert widget.data["curves"][0] == {"name": "loss", "unit": "nats", "values": [4.0, 3.0, 2.5, 2.25]}
    assert torch.tensor(widget.data["scores"][0]["values"]) == pytest.approx(scores["induction"], abs=1e-4)
    assert widget.data["patterns"] == [percentages(load(step), tokens) for step in STEPS]
    assert widget.data["patterns"][1] != widget.data["patterns"][2]
    assert (widget.checkpoint, widget.layer, widget.head, widget.position) == (0, 1, 2, 8)


def test_everything_is_in_the_synchronised_state_and_small(scores):
    steps = range(0, 180, 10)
    many = {"induction": scores["induction"].repeat(5, 1, 1)[:18]}
    widget = explorer(torch.arange(24), many, steps=steps, curves={("loss", "nats"): [1.0] * 18})
    state = widget.get_state()
    assert {"data", "checkpoint", "layer", "head", "position", "_esm", "_css"} <= state.keys()
    assert len(json.dumps(state)) < 300_000


@pytest.mark.parametrize("steps", [(5,), (0, 10, 10, 20), (0, 20, 10, 30)])
def test_steps_ascend(tokens, scores, steps):
    with pytest.raises(ValueError, match="ascending"):
        explorer(tokens, scores, steps=steps)


def test_a_curve_has_a_number_for_each_step(tokens, scores):
    with pytest.raises(ValueError, match=r"'loss' needs the axes \['step'\] with the sizes \(4,\), got \(3,\)"):
        explorer(tokens, scores, curves={("loss", "nats"): [1.0, 2.0, 3.0]})


def test_a_score_has_a_number_for_each_head(tokens, scores):
    with pytest.raises(ValueError, match=r"\(4, 2, 3\), got \(4, 2, 2\)"):
        explorer(tokens, {"induction": scores["induction"][..., :2]})


def test_what_is_not_finite_is_refused(tokens, scores):
    with pytest.raises(ValueError, match="not finite"):
        explorer(tokens, scores, curves={("loss", "nats"): [1.0, float("nan"), 2.0, 3.0]})


def test_a_head_out_of_range_is_told_what_there_is(tokens, scores):
    with pytest.raises(ValueError, match="2 layers of 3 heads"):
        explorer(tokens, scores, head=(2, 0))
