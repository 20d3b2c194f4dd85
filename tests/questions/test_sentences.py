"""What a question says: hints that work on the notebook's own examples, sentences that are true of what they name."""

import re

import pytest
import torch

from mechlib.authoring import checkout
from mechlib.checks import registry
from mechlib.checks.judging import Trial, judge

ROOT = checkout.root()


def follow(question_id, **inputs):
    """The last value of a third hint's code, with these inputs."""
    names = {"torch": torch, **inputs}
    *statements, last = re.sub(
        r"(?:the prediction is|the weights are) ", "", registry.find(question_id).hints[2]
    ).split(";")
    for statement in statements:
        exec(statement.strip(), names)
    return eval(last.strip().rstrip("."), names), names


def test_the_hint_on_neighbours_gives_the_example():
    x, y = torch.tensor([[[0], [3], [1]]]), torch.tensor([[5, 7, 9]])
    assert follow("ch11.neighbours", x=x, y=y, k=1)[0].tolist() == [[0, 5, 5]]
    assert follow("ch11.neighbours", x=x, y=y, k=2)[0].tolist() == [[0, 5, 6]]
    assert follow("ch11.neighbours", x=x, y=y, k=7)[0].tolist() == [[0, 5, 6]]


def test_the_hint_on_the_posterior_gives_the_example_whose_last_value_is_not_known():
    inputs = {"x": torch.tensor([[[1.0], [2.0]]]), "pool": torch.tensor([[1.0], [3.0]]), "noise_var": 2}
    found, _ = follow("ch12.posterior", y=torch.tensor([[1.0, torch.nan]]), **inputs)
    torch.testing.assert_close(found, torch.tensor([[2.0, 3.076]]), atol=5e-4, rtol=0)


def test_the_hint_on_matched_errors_gives_the_example():
    inputs = {
        "model": torch.tensor([1, 1]),
        "truth": torch.tensor([0, 0]),
        "families": torch.tensor([[[0, 1], [3, 1]]]),
    }
    found, names = follow("ch10.matched", **inputs)
    assert names["chosen"].tolist() == [0]
    torch.testing.assert_close(found, torch.tensor([0.5**0.5], dtype=torch.float64))


def said(question_id, answer, seed=0):
    trial = Trial(registry.find(question_id), seed)
    return judge(trial, trial.run(answer)).headline


def test_the_likeliest_slip_with_the_best_rates_is_among_those_that_are_named():
    """The fourth moment counts v_a's own share of |x|² already; the same numbers come from n² pairs."""

    def own_share_twice(var, fourth, n):
        squared = (fourth + var * var.sum()) / n + (n - 1) / n * var**2
        rates = var / squared
        return rates, 0.5 * (var * (1 - rates * var)).sum(), var.square().sum() / (var * squared).sum()

    headline = said("ch09.best_rates", own_share_twice)
    assert "its own among them, which the fourth moment holds already" in headline and "pairs" in headline


def test_a_ratio_less_one_is_named_as_the_one_that_it_is():
    def chosen_by(score):
        def answer(model, truth, families):
            own, theirs = model - truth, families - truth
            chosen = score(theirs.square().mean(-1) / own.square().mean()).argmin(1)
            cosines = torch.cosine_similarity(own, theirs[torch.arange(len(theirs)), chosen], dim=-1)
            return chosen, cosines, cosines.argmax()

        return answer

    assert "the setting's error over the model's, less one" in said("ch10.matched", chosen_by(lambda r: (r - 1).abs()))
    assert "the model's error over the setting's, less one" in said(
        "ch10.matched", chosen_by(lambda r: (1 / r - 1).abs())
    )
    assert "their ratio less one" in said("ch10.matched", chosen_by(lambda r: (r.sqrt() - 1).abs()))


def test_the_antisymmetric_part_is_that_of_the_centred_table():
    sentence = registry.find("ch01.asymmetry").misconceptions["not_halved"].sentence
    assert "(A - A.T) / 2" in sentence


def test_a_single_dimension_without_an_example_has_a_finite_error():
    """n = 0 and d = 1 differ by one, and nothing is infinite: the clause on the peak says from where on it holds."""
    question = registry.find("ch11.curve")
    assert question.reference(1, 0.5, 3)[0] == 1 and question.reference(1, 0.5, 3)[1].isinf()
    assert "from one example on" in question.misconceptions["finite_at_peak"].sentence


@pytest.mark.parametrize("question", registry.questions(), ids=lambda question: question.id)
def test_messages_use_names_that_the_notebook_uses(question):
    (path,) = (ROOT / "exercises").glob(f"{question.chapter[2:]}_*.ipynb")
    cells = [cell["source"] for cell in checkout.read_notebook(path)["cells"]]
    (place,) = [index for index, text in enumerate(cells) if f'check("{question.id}"' in text]
    asked = "\n".join(cells[place - 2 : place]).replace("pos - 1", "pos-1")
    names = {*(field.name for field in question.fields), *question.axes}
    names |= {axis for field in question.fields for axis in field.axes.split()}
    missing = {name for name in names if not re.search(rf"(?<!\w){re.escape(name)}s?(?!\w)", asked)}
    assert missing == set()
