"""The repair explorer's data against the cuts that it shows, its size, and what it refuses."""

import json
from dataclasses import replace

import pytest
import torch

from mechlib.repair import cut_heads, direct_effects, recorded
from mechlib.widgets import repair_explorer
from mechlib.widgets.repair import explorer_data
from tests.models import ATTENTION_ONLY, SHAPE, random_native


def run_of(shape, seed=0):
    model = random_native(shape, seed=seed)
    rows = torch.randint(shape.d_vocab, (6, 5), generator=torch.Generator().manual_seed(seed))
    found = cut_heads(model, rows, 3, 5, [(0, 1), (1, 0), [(0, 1), (1, 1)]])
    return recorded.kept(found, 2, direct_effects(model, rows, 3, 5), first_shown=0)


@pytest.fixture(scope="module")
def run():
    return run_of(SHAPE)


def test_the_account_of_a_cut_is_the_identity(run):
    """Direct effect less all changes and the norm is the total effect; the embedding changes nothing."""
    (kind,) = explorer_data({"names": run}, {"names": "Mary ..."})["kinds"]
    for cut in kind["cuts"]:
        changes = sum(value for line in cut["change"] for value in line)
        assert cut["direct"] - changes - cut["norm"] == pytest.approx(cut["total"], abs=0.03)


def test_every_cell_is_the_part_that_it_says(run):
    data = explorer_data({"names": run}, {"names": "Mary ..."})
    assert (data["first"], data["heads"]) == (0, 2)
    for part, share, change in zip(run.parts, run.shares, run.made_up[1], strict=True):
        if part.kind in ("head", "MLP"):
            column = data["heads"] if part.kind == "MLP" else part.head
            assert data["kinds"][0]["shares"][part.layer][column] == pytest.approx(share, abs=6e-4)
            assert data["kinds"][0]["cuts"][1]["change"][part.layer][column] == pytest.approx(change, abs=6e-4)
    assert [cut["heads"] for cut in data["kinds"][0]["cuts"]] == [[[0, 1]], [[1, 0]], [[0, 1], [1, 1]]]
    assert data["kinds"][0]["cuts"][2]["name"] == "0.1 + 1.1"


def test_without_mlps_their_column_is_empty():
    data = explorer_data({"names": run_of(ATTENTION_ONLY)}, {"names": "Mary ..."})
    assert all(line[-1] is None for line in data["kinds"][0]["shares"])


def test_the_real_record_is_small_and_opens_with_nothing_cut():
    runs = recorded.load("smollm2-135m")
    kinds = {name: runs[f"{name}, mean"] for name in ("names", "repeats", "agreement")}
    widget = repair_explorer(kinds, dict.fromkeys(kinds, "a prompt"))
    state = widget.get_state()
    assert {"data", "kind", "cut", "shown", "_esm", "_css"} <= state.keys()
    assert (state["kind"], state["cut"], state["shown"]) == (0, -1, "change")
    assert len(json.dumps(state)) < 150_000


@pytest.mark.parametrize(
    ("runs", "examples", "message"),
    [
        (lambda run: {}, {}, "runs are empty"),
        (lambda run: {"names": run}, {"name": ""}, "examples has no line for 'names'"),
        (lambda run: {"a": run, "b": run_of(ATTENTION_ONLY)}, {"a": "", "b": ""}, "the parts of 'b' are others"),
        (lambda run: {"a": replace(run, intact=run.intact * torch.nan)}, {"a": ""}, "must be finite, got nan"),
    ],
)
def test_what_cannot_be_shown_is_refused(run, runs, examples, message):
    with pytest.raises(ValueError, match=message):
        repair_explorer(runs(run), examples)
