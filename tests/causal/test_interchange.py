"""Interchange: what must come out where everything or nothing is exchanged, and controls that are controls."""

import pytest
import torch

from mechlib.bridge import untrained
from mechlib.causal import interchange
from mechlib.causal.interchange import ARBITRARY, LEARNED, NOTHING, PLACEBO, UNTRAINED, WHOLE
from tests.causal.models import bridge_and_reference
from tests.models import ATTENTION_ONLY, random_native

BASE, SOURCE = torch.randint(83, (2, 40, 6), generator=torch.Generator().manual_seed(4))


@pytest.fixture(scope="module")
def model():
    return random_native(ATTENTION_ONLY)


@pytest.fixture(scope="module")
def classes(model):
    """Three tokens that are about as likely as each other, so that the prompts decide between them."""
    with torch.no_grad():
        likely = model(torch.cat([BASE, SOURCE]))[:, -1].mean(0).sort()
    first = (likely.values[2:] - likely.values[:-2]).argmin()
    return likely.indices[first : first + 3]


@pytest.fixture(scope="module")
def own_answers(model, classes):
    """What the model answers on each prompt."""
    with torch.no_grad():
        return [model(run)[:, -1, classes].argmax(-1) for run in (BASE, SOURCE)]


@pytest.fixture(scope="module")
def run(model, classes):
    def run(targets, **options):
        return interchange(model, BASE, SOURCE, targets, classes, **{"entry": 2, "rank": 24, "epochs": 1} | options)

    return run


def test_the_whole_of_the_last_entry_is_the_source_and_a_basis_of_all_of_it_too(run, own_answers):
    base, source = own_answers
    result = run(source, placebos=3)
    assert result.held_out[WHOLE] == result.held_out[LEARNED] == result.fitted[LEARNED] == 1
    assert result.placebos.tolist() == [1, 1, 1] and result.held_out[PLACEBO] == 1
    assert result.held_out[NOTHING] == pytest.approx((base == source)[20:].double().mean())
    assert 0.1 < result.held_out[NOTHING] < 0.9 and result.chance == 1 / 3
    torch.testing.assert_close(result.basis.T @ result.basis, torch.eye(24), atol=1e-4, rtol=0)
    rows = result.table().rows
    assert set(rows) == {LEARNED, WHOLE, NOTHING, PLACEBO, ARBITRARY, UNTRAINED}
    assert rows[NOTHING][0] == "" and rows[LEARNED] == ("1.00", "1.00")


def test_another_position_of_the_last_entry_does_nothing(run, own_answers):
    result = run(own_answers[1], at=2, placebos=1, rank=2)
    assert result.held_out[WHOLE] == result.held_out[LEARNED] == result.held_out[NOTHING] == result.held_out[PLACEBO]


def test_prompts_of_unequal_length_are_filled_up_behind_and_are_as_they_are_alone(model, classes):
    """What stands behind the named positions changes nothing, and the pairs of one length give what they give alone."""
    lengths = torch.tensor([4, 6]).repeat(20)
    other = torch.randint(83, BASE.shape, generator=torch.Generator().manual_seed(7))
    filled = torch.where(torch.arange(6) < lengths[:, None], BASE, other)
    shorter = SOURCE[:, :5]
    targets = torch.arange(40) % 3
    given = {"entry": 1, "rank": 3, "epochs": 2, "placebos": 1, "source_at": 3}
    ends = {"at": lengths - 2, "answer_at": (lengths - 1).tolist()}
    results = [interchange(model, base, shorter, targets, classes, **given, **ends) for base in (BASE, filled)]
    torch.testing.assert_close(results[0].basis, results[1].basis, atol=1e-5, rtol=0)
    assert results[0].held_out == results[1].held_out and results[0].losses == pytest.approx(results[1].losses)


def test_each_pair_is_answered_where_it_ends(model, classes):
    lengths = torch.tensor([3, 6, 5, 4]).repeat(10)
    with torch.no_grad():
        answers = [model(run[None, :n])[0, -1, classes].argmax() for run, n in zip(SOURCE, lengths, strict=True)]
    last = {"at": lengths - 1, "answer_at": lengths - 1}
    result = interchange(model, BASE, SOURCE, torch.stack(answers), classes, entry=2, rank=2, epochs=1, **last)
    assert result.held_out[WHOLE] == 1 and result.held_out[NOTHING] < 0.9


def test_a_few_dimensions_are_learned_and_random_ones_are_worse(run, own_answers):
    """Three logits hang on three directions, up to the norm; ten pairs held out tell little, so six times ten are."""
    results = [run(own_answers[1], rank=3, epochs=40, lr=3e-2, held_out=0.25, seed=seed) for seed in range(6)]

    def mean(shares, which):
        return sum(shares(result)[which] for result in results) / len(results)

    held_out, fitted = (lambda result: result.held_out), (lambda result: result.fitted)
    assert mean(held_out, LEARNED) > mean(held_out, PLACEBO)
    assert mean(fitted, LEARNED) > mean(fitted, ARBITRARY) + 0.1
    assert all(result.losses[-1] < result.losses[0] and len(result.losses) == 40 for result in results)


def test_the_seed_decides(run, own_answers):
    first, again, other = (run(own_answers[1], rank=2, placebos=2, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first.basis, again.basis) and first.held_out == again.held_out
    assert not torch.equal(first.basis, other.basis)


@pytest.mark.parametrize("name", ["native", "llama grouped"])
def test_an_untrained_model_has_the_sizes_and_nothing_else(name):
    model = random_native() if name == "native" else bridge_and_reference(name)[0]
    control, again = (untrained(model, seed=3) for _ in range(2))
    tokens = BASE[:2] % model.cfg.d_vocab
    assert {k: v.shape for k, v in control.state_dict().items()} == {k: v.shape for k, v in model.state_dict().items()}
    assert torch.equal(control(tokens), again(tokens)) and control.W_U.dtype == model.W_U.dtype
    assert (untrained(model, seed=4)(tokens) - control(tokens)).abs().max() > 1e-4
    assert control.W_E.std() < 0.6 * model.W_E.std()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"entry": 3}, ValueError, "entry 3 is out of range"),
        ({"rank": 25}, ValueError, r"rank is from 1 to 24 \(d_model\), not 25"),
        ({"epochs": 0}, ValueError, "at least 1, not 0 and 10"),
        ({"at": 6}, ValueError, "6 is out of range; there are 6 positions"),
        (
            {"source_at": [0, 1]},
            ValueError,
            r"source_at is one position, or one for each of .* not \[0, 1\]",
        ),
        ({"answer_at": [0] * 39}, ValueError, "answer_at is one position, or one for each of the 40 pairs"),
        ({"answer_at": 1.0}, TypeError, "positions are integers"),
        ({"source": SOURCE[:, :4], "source_at": 4}, ValueError, "4 is out of range; there are 4 positions"),
        ({"held_out": 0}, ValueError, "of 40 pairs leaves 40 to learn from"),
        ({"held_out": 1}, ValueError, "leaves 0 to learn from"),
        ({"source": SOURCE[:4]}, ValueError, r"their shapes are \(40, 6\) and \(4, 6\)"),
        ({"classes": torch.tensor([3, 3])}, ValueError, r"at least two different token ids, \[class\], not \[3, 3\]"),
        ({"classes": torch.tensor([3, 83])}, ValueError, "classes hold 83"),
        ({"targets": torch.zeros(39, dtype=torch.long)}, ValueError, r"each of the 40 pairs; their shape is \(39,\)"),
        ({"targets": torch.full((40,), 2)}, ValueError, "targets hold 2"),
        ({"targets": torch.zeros(40)}, TypeError, "float32"),
    ],
)
def test_bad_input(model, options, error, message):
    given = {"base": BASE, "source": SOURCE, "targets": torch.zeros(40, dtype=torch.long), "classes": [3, 30]}
    given["classes"] = torch.tensor(given["classes"])
    with pytest.raises(error, match=message):
        interchange(model, **given | {"entry": 1, "rank": 2} | options)
