import pytest
import torch

from mechlib import text, zoo
from mechlib.stream import invert, residual_entries


@pytest.fixture(scope="module")
def model():
    return zoo.load("code-2l", device="cpu")


@pytest.fixture(scope="module")
def prompt():
    return text.encode("def f(x): return")[:5]


@pytest.mark.parametrize("entry", [0, 1, 2])
def test_a_prompt_is_found_at_every_entry(model, prompt, entry):
    found = invert(model, residual_entries(model, prompt)[entry, 0], entry, at_once=2048)
    assert torch.equal(found.tokens, prompt)
    assert torch.equal(found.tried, prompt + 1)  # candidates by their numbers
    assert found.missed.max() < 1e-5
    assert found.next_best.min() > 1e-3


def test_a_good_order_tries_one_candidate_a_position(model, prompt):
    vectors = residual_entries(model, prompt)[0, 0]
    tokens = iter(prompt.tolist())
    found = invert(model, vectors, 0, order=lambda h: torch.arange(2048).roll(-next(tokens)), at_once=1)
    assert torch.equal(found.tokens, prompt)
    assert found.tried.tolist() == [1] * 5
    assert found.next_best.isinf().all()


def test_vectors_of_another_model_are_no_prompts(model, prompt):
    vectors = residual_entries(zoo.load("code-2l", step=0, device="cpu"), prompt)[2, 0]
    with pytest.raises(
        ValueError, match=r"no candidate for position 0 gives its vector at entry 2: the nearest misses"
    ):
        invert(model, vectors, 2, at_once=2048)


def test_a_candidate_that_is_left_out_is_not_found(model, prompt):
    vectors = residual_entries(model, prompt)[1, 0]
    with pytest.raises(ValueError, match="no candidate for position 0"):
        invert(model, vectors, 1, order=lambda h: torch.arange(1, 50))


@pytest.mark.parametrize(
    ("shape", "entry", "options", "message"),
    [
        ((3, 5), 0, {}, r"vectors have the axes \[pos, d_model = 128\], got \(3, 5\)"),
        ((0, 128), 0, {}, r"got \(0, 128\)"),
        ((3, 128), 3, {}, "entry 3 is out of range: there are entries 0 to 2"),
        ((3, 128), 0, {"at_once": 0}, "at_once is 0"),
    ],
)
def test_what_does_not_fit_is_refused(model, shape, entry, options, message):
    with pytest.raises(ValueError, match=message):
        invert(model, torch.zeros(shape), entry, **options)
