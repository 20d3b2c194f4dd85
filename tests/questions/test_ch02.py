"""The references of chapter 02 against the lens itself, a real model, and the statistics they stand for."""

import pytest
import torch
from scipy.stats import entropy

from mechlib.authoring import checkout
from mechlib.bridge import Shape, native
from mechlib.checks.registry import find, questions
from mechlib.questions.ch02 import refute
from mechlib.stream import layer_log_probs, logit_lens, residual_entries
from mechlib.zoo.decoder import Decoder
from tests.questions.ways.ch02.refute import interval

READ_OUT, RANK, KL, READABLE = (
    find(f"ch02.{name}").reference for name in ("read_out", "target_rank", "kl_to_final", "readable")
)
SOLUTION = checkout.read_notebook(next(checkout.root().glob("solutions/02_*.ipynb")))
SHAPE = Shape(n_layers=3, d_model=12, n_heads=2, d_head=5, d_mlp=20, n_ctx=9, d_vocab=31)


@pytest.fixture(scope="module")
def weights():
    generator = torch.Generator().manual_seed(1)
    return {k: 0.4 * torch.randn(w.shape, generator=generator) for k, w in Decoder(SHAPE, 0).state_dict().items()}


@pytest.fixture(scope="module")
def model(weights):
    return native(SHAPE, weights, device="cpu")


@pytest.fixture(scope="module")
def tokens():
    return torch.randint(SHAPE.d_vocab, (4, 7), generator=torch.Generator().manual_seed(2))


def test_read_out_is_the_model_at_the_last_entry(model, weights, tokens):
    read = READ_OUT(
        residual_entries(model, tokens),
        weights["ln_out.weight"],
        weights["ln_out.bias"],
        model.cfg.eps,
        weights["head.weight"].T,
        torch.zeros(SHAPE.d_vocab),
    )
    torch.testing.assert_close(read[-1], model(tokens).log_softmax(-1), atol=1e-5, rtol=0)
    torch.testing.assert_close(read, layer_log_probs(model, tokens), atol=1e-5, rtol=0)


def test_rank_and_divergence_are_those_of_the_lens(model, tokens):
    log_probs = layer_log_probs(model, tokens)
    result = logit_lens(model, tokens[:, :-1], targets=tokens[:, 1:])
    assert torch.equal(RANK(log_probs, tokens), result.target_rank)
    torch.testing.assert_close(KL(log_probs)[:, :, :-1], result.kl_to_final, atol=1e-5, rtol=1e-4)


def test_divergence_is_scipys():
    log_probs = torch.randn(3, 2, 4, 7).log_softmax(-1)
    probs = log_probs.exp().numpy()
    expected = entropy(probs[-1:], probs, axis=-1)
    torch.testing.assert_close(KL(log_probs), torch.tensor(expected), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    "ratio",
    [
        lambda p, q: ((p + 1e-10) / (q + 1e-10)).log(),
        lambda p, q: (p + 1e-10).log() - (q + 1e-10).log(),
    ],
)
def test_a_floor_is_named_however_it_is_written(ratio, judged):
    def answer(log_probs):
        probs = log_probs.exp()
        return (probs[-1] * ratio(probs[-1], probs)).sum(-1)

    assert {j.misconception for j in judged("ch02.kl_to_final", answer)} == {"floor_1e-10"}


def test_a_clamp_is_mostly_named_as_the_floor_that_it_is(judged):
    def answer(log_probs):
        logs = log_probs.exp().clamp(min=1e-10).log()
        return (log_probs[-1].exp() * (logs[-1] - logs)).sum(-1)

    judgements = judged("ch02.kl_to_final", answer)
    assert all(j.status == "wrong" and j.misconception in ("floor_1e-10", None) for j in judgements)
    assert any(j.misconception for j in judgements)


def test_readable_on_a_text_made_by_hand():
    """Two positions with a next token; entry 0 holds the current token first, entry 1 the guess."""
    tokens = torch.tensor([[0, 1, 2]])
    scores = torch.full((2, 1, 3, 4), -9.0)
    scores[0, 0, torch.arange(3), tokens[0]] = 0
    scores[1, 0, torch.arange(3), torch.tensor([1, 3, 0])] = 0  # right at position 0, wrong at position 1
    current, guess = READABLE(scores, tokens, 1)
    assert current.tolist() == [[1, 1], [0, 0]]
    assert guess.tolist() == [[0, 0], [1, 1]]


def test_readable_never_falls_with_top_k_and_ends_at_one():
    log_probs, tokens, _ = find("ch02.readable").cases(torch.Generator().manual_seed(3))[0].inputs.values()
    shares = torch.stack([torch.stack(READABLE(log_probs, tokens, k)) for k in range(1, log_probs.shape[-1] + 1)])
    assert (shares.diff(dim=0) >= 0).all()
    assert (shares[-1] == 1).all()


def test_a_report_is_wrong_on_the_untrained_model_and_the_control_is_not():
    """On the models that the exercises read, measured as there."""
    report, trained = shares(0), shares(None)
    assert float((report["guess"] - report["truth"]).mean()) > 10 * float(report["truth"].mean())
    for system, verdict in ((report, False), (trained, True)):
        of_untrained = {"untrained": report["guess"], "untrained_other": report["other"]}
        assert interval(*(({**system, **of_untrained})[name] for name in refute.TOOLS)) == verdict


def shares(step):
    source = next(c["source"] for c in SOLUTION["cells"] if c["source"].startswith("from mechlib import text, zoo"))
    space = {}
    exec(source.partition("report = ")[0], space)
    return space["shares"](step)


def test_kinds_differ_in_what_training_adds_and_shares_are_shares():
    assert [kind.holds for kind in refute.KINDS] == [False] * 5 + [True] * 5
    systems = refute.QUESTION.draw(torch.Generator().manual_seed(0))
    assert all(((values >= 0) & (values <= 1)).all() for shares in systems.measured for values in shares.values())
    assert {len(shares["guess"]) for shares in systems.measured} <= set(range(20, 41))


def test_what_training_adds_is_what_the_control_measures():
    """The mean over 100 systems of a kind is the addition that it was made with, where nothing is cut at 0 or 1."""
    generator = torch.Generator().manual_seed(1)
    for kind in refute.KINDS[:8]:
        found = []
        for _ in range(100):
            drawn = kind.drawn(generator)
            lead = (drawn["guess"] - drawn["other"]) - (drawn["untrained"] - drawn["untrained_other"])
            found.append(float(lead.mean()))
        error = 2 * kind.within / (100 * 20) ** 0.5
        assert sum(found) / len(found) == pytest.approx(kind.added, abs=5 * error + 0.01), kind.about


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("question", questions("ch02"), ids=lambda q: q.id)
def test_half_precision_neither_hides_a_mistake_nor_makes_one(question, dtype, judged):

    def rounded(answer):
        def cast(value):
            return tuple(cast(part) for part in value) if isinstance(value, tuple) else torch.as_tensor(value).to(dtype)

        return lambda *inputs: cast(answer(*inputs))

    assert all(j.status == "right" for j in judged(question.id, rounded(question.reference)))
    for misconception in question.misconceptions.values():
        assert all(j.status == "wrong" for j in judged(question.id, rounded(misconception.answer)))
