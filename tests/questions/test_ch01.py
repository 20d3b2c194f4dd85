"""The references of chapter 01 against the library, a real model, and the statistics they stand for."""

import pytest
import torch

from mechlib.authoring import checkout
from mechlib.bridge import Shape, native
from mechlib.checks.registry import find, questions
from mechlib.questions.ch01 import blame
from mechlib.stream import compare_prompts, continue_text
from mechlib.zoo.decoder import Decoder
from tests.questions.ways.ch01.blame import two_repairs

ATTENTION, WORK, ASYMMETRY, PROMPTS, REFUTE = (
    find(f"ch01.{name}").reference for name in ("cached_attention", "work", "asymmetry", "prompts", "refute")
)
SOLUTION = checkout.read_notebook(next(checkout.root().glob("solutions/01_*.ipynb")))
SHAPE = Shape(n_layers=3, d_model=12, n_heads=2, d_head=5, d_mlp=20, n_ctx=19, d_vocab=31)


@pytest.fixture(scope="module")
def model():
    generator = torch.Generator().manual_seed(1)
    weights = {k: 0.4 * torch.randn(w.shape, generator=generator) for k, w in Decoder(SHAPE, 0).state_dict().items()}
    return native(SHAPE, weights, device="cpu")


def test_attention_with_a_cache_is_the_models_own(model):
    tokens = torch.randint(31, (1, 11), generator=torch.Generator().manual_seed(2))
    _, cache = model.run_with_cache(tokens)
    read = {name: cache[f"blocks.1.attn.hook_{name}"][0].reshape(11, 2, 5).transpose(0, 1) for name in "qkvz"}
    q, k, v, z = (read[name] for name in "qkvz")
    for kept in (0, 4, 10):
        mixed = ATTENTION(q[:, kept:], k[:, kept:], v[:, kept:], k[:, :kept], v[:, :kept])
        torch.testing.assert_close(mixed, z[:, kept:], atol=1e-5, rtol=1e-4)


def test_work_is_what_the_library_counts(model):
    sizes = (SHAPE.n_layers, SHAPE.d_model, SHAPE.n_heads * SHAPE.d_head, SHAPE.d_mlp, SHAPE.d_vocab)
    counted = tuple(continue_text(model, torch.arange(6), 9, cached=cached).multiply_adds for cached in (False, True))
    assert WORK(6, 9, *sizes) == counted


def test_a_tied_table_is_symmetric_and_an_antisymmetric_one_is_not():
    W_E = torch.randn(30, 4, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    turn = torch.tensor([[0.0, 1, 0, 0], [-1, 0, 0, 0], [0, 0, 0, 2], [0, 0, -2, 0]], dtype=torch.float64)
    assert ASYMMETRY(W_E, W_E.T)[0] == pytest.approx(0, abs=1e-12)
    assert ASYMMETRY(W_E, turn @ W_E.T)[0] == pytest.approx(1)


def test_unrelated_matrices_are_half_antisymmetric():
    generator = torch.Generator().manual_seed(4)
    found = [
        float(ASYMMETRY(torch.randn(60, 20, generator=generator), torch.randn(20, 60, generator=generator))[0])
        for _ in range(40)
    ]
    assert sum(found) / len(found) == pytest.approx(0.5, abs=0.01)


def test_asymmetry_does_not_see_how_frequent_tokens_are():
    generator = torch.Generator().manual_seed(5)
    W_E, W_U = torch.randn(20, 6, generator=generator), torch.randn(6, 20, generator=generator)
    row, column = torch.randn(20, 1, generator=generator), torch.randn(1, 20, generator=generator)
    ones = torch.ones_like(row)
    shifted = ASYMMETRY(torch.cat([W_E, row, ones], 1), torch.cat([W_U, ones.T, column]))
    assert shifted[0] == pytest.approx(float(ASYMMETRY(W_E, W_U)[0]), abs=1e-5)
    assert ASYMMETRY(W_E, 100 * column + W_U)[1] <= 0.3  # one token for all, but for what the noise does


def test_equally_long_tied_vectors_predict_themselves():
    W_E = torch.nn.functional.normalize(torch.randn(40, 5, generator=torch.Generator().manual_seed(6)), dim=1)
    assert ASYMMETRY(W_E, W_E.T)[1] == 1


def test_prompts_are_those_of_the_library():
    generator = torch.Generator().manual_seed(7)
    prompted = torch.randn(6, 13, generator=generator).log_softmax(-1)
    empty = torch.randn(13, generator=generator).log_softmax(-1)
    effect = compare_prompts(prompted, empty)
    expected = (effect.kl.mean(), effect.information, effect.average_to_empty)
    assert [float(part) for part in PROMPTS(prompted, empty)] == pytest.approx(list(map(float, expected)), abs=1e-5)


def many(cached, regrouped, n=400, texts=60):
    """The results on ``n`` draws in which texts part with these probabilities, at their second token."""
    generator = torch.Generator().manual_seed(8)

    def part(share):
        other = torch.zeros(texts, 4, dtype=torch.long)
        other[:, 1] = (torch.rand(texts, generator=generator) < share).long()
        return other

    nothing = torch.zeros(texts, 4, dtype=torch.long)
    drawn = (REFUTE(nothing, part(cached), part(regrouped)) for _ in range(n))
    return torch.tensor([[float(value) for value in result] for result in drawn])


def test_rounding_alone_is_covered_and_a_wrong_cache_found():
    claimed, control, low, high = many(0.4, 0.4).unbind(1)
    assert claimed.mean() == pytest.approx(0.4, abs=0.02) == control.mean()
    assert 0.91 < ((low < 0) & (high > 0)).float().mean() < 0.98
    _, _, low, high = many(0.8, 0.4).unbind(1)
    assert 0.91 < ((low < 0.4) & (high > 0.4)).float().mean() < 0.98
    assert (low > 0).float().mean() > 0.95


def test_the_report_blames_the_wrong_columns():
    """On the model that the exercise reads, measured as there."""
    source = next(c["source"] for c in SOLUTION["cells"] if "def measured():" in c["source"])
    space = {"torch": torch}
    exec(source.partition("report = ")[0], space)
    report = space["measured"]()
    assert float(report["cut"].mean()) > 10 * float(report["first_afresh"].mean())
    assert not two_repairs(*(report[name] for name in blame.TOOLS))


def test_kinds_differ_in_what_the_stale_columns_do():
    assert [kind.holds for kind in blame.KINDS] == [False] * 6 + [True] * 6
    systems = blame.QUESTION.draw(torch.Generator().manual_seed(0))
    assert all((values > 0).all() for divergences in systems.measured for values in divergences.values())
    assert {len(divergences["cut"]) for divergences in systems.measured} <= set(range(20, 41))


def test_repairs_take_away_what_their_cause_adds():
    """The mean over 200 systems of a kind is what the kind was made with."""
    generator = torch.Generator().manual_seed(1)
    for kind in blame.KINDS:
        drawn = [kind.drawn(generator) for _ in range(200)]
        mean = {name: sum(float(d[name].mean()) for d in drawn) / len(drawn) for name in blame.TOOLS}
        around = pytest.approx(0, abs=0.12 * mean["cut"])
        assert mean["cut"] - mean["rest_afresh"] - kind.stale == around, kind.about
        assert mean["cut"] - mean["first_afresh"] - kind.first == around, kind.about


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("question", [q for q in questions("ch01") if q.id != "ch01.work"], ids=lambda q: q.id)
def test_half_precision_makes_no_mistake(question, dtype, judged):
    """Counts of work are left out: they are integers beyond half precision's range."""

    def rounded(*inputs):
        value = question.reference(*inputs)
        return tuple(part.to(dtype) for part in value) if isinstance(value, tuple) else value.to(dtype)

    assert all(j.status == "right" for j in judged(question.id, rounded))
