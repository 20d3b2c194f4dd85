"""The references of chapter 06 against the library, a real model, and the identities they stand for."""

import math

import pytest
import torch

from mechlib.bridge import Shape, native
from mechlib.causal import ablate
from mechlib.checks.open_task import Unfit
from mechlib.checks.plain import plain
from mechlib.checks.registry import find, questions
from mechlib.heads import composition_scores, copying_scores, head_scores
from mechlib.questions.ch06 import keep
from mechlib.zoo.decoder import Decoder
from mechlib.zoo.evaluation import token_losses

INDUCTION, COMPOSITION, COPYING, ABLATION, REFUTE = (
    find(f"ch06.{name}").reference
    for name in (
        "induction_score",
        "composition_score",
        "copying_score",
        "ablation_effect",
        "refute_period",
    )
)
SHAPE = Shape(n_layers=2, d_model=12, n_heads=3, d_head=5, d_mlp=0, n_ctx=15, d_vocab=6)


@pytest.fixture(scope="module")
def model():
    generator = torch.Generator().manual_seed(1)
    weights = {k: 0.6 * torch.randn(w.shape, generator=generator) for k, w in Decoder(SHAPE, 0).state_dict().items()}
    return native(SHAPE, weights, device="cpu")


def run(model, tokens):
    with torch.no_grad():
        return model.run_with_cache(tokens)[1]


def patterns(model, tokens):
    cache = run(model, tokens)
    return torch.stack([cache["pattern", layer] for layer in range(SHAPE.n_layers)]).transpose(1, 2)


def random_tokens(seed, *shape):
    return torch.randint(SHAPE.d_vocab, shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("tokens", [random_tokens(2, 4, 15), random_tokens(3, 2, 7).repeat(1, 2)])
def test_scores_are_those_of_the_library(model, tokens):
    scores = head_scores(model, tokens)
    pattern = patterns(model, tokens)
    torch.testing.assert_close(INDUCTION(pattern, tokens), scores.attained("induction"), atol=1e-6, rtol=0)


def test_composition_is_the_librarys(model):
    library = composition_scores(model, "K", fold=False)
    ours = COMPOSITION(model.W_V[0], model.W_O[0], model.W_Q[1], model.W_K[1])
    torch.testing.assert_close(ours, library.excess[0, :, 1], atol=1e-5, rtol=0)


def test_copying_is_the_librarys(model):
    library = copying_scores(model, fold=False)
    for layer in range(SHAPE.n_layers):
        ours = COPYING(model.W_E, model.W_V[layer], model.W_O[layer], model.W_U)
        torch.testing.assert_close(ours, library[layer], atol=1e-4, rtol=0)


def test_ablation_is_the_librarys(model):
    period, heads = 6, [2]
    tokens = torch.cat([random_tokens(4, 5, 1), random_tokens(5, 5, period).repeat(1, 2)], 1)
    cache = run(model, tokens)
    out = torch.einsum("bphk,hkm->hbpm", cache["z", 1], model.W_O[1])
    W_U = model.ln_final.weight[:, None] * model.W_U
    b_U = model.ln_final.bias @ model.W_U + model.b_U

    def loss():
        return token_losses(model, tokens)[:, -(period - 1) :].mean()

    def rise(chosen):
        intact = loss()
        with ablate(model, [(1, head) for head in chosen], mode="mean", reference=tokens):
            return loss() - intact

    with torch.no_grad():
        effect, control = ABLATION(cache["resid_post", 1], out, W_U, b_U, tokens, period, heads)
    assert effect == pytest.approx(float(rise([2])), abs=1e-5)
    assert control == pytest.approx(float(rise([0]) + rise([1])) / 2, abs=1e-5)


def test_a_perfect_head_scores_one():
    tokens = random_tokens(6, 3, 11)
    pos = tokens.shape[1]
    pattern = torch.zeros(3, pos, pos)
    for row, ids in enumerate(tokens.tolist()):
        for query, token in enumerate(ids):
            after = [key for key in range(1, query + 1) if ids[key - 1] == token]
            pattern[row, query, after[-1] if after else query] = 1
    assert float(INDUCTION(pattern[None, None], tokens)) == 1


def test_uniform_attention_scores_the_share_of_targets():
    """On a row of one token throughout, query t has t targets among the t + 1 keys it sees."""
    pos = 9
    uniform = torch.ones(pos, pos).tril() / torch.arange(1, pos + 1)[:, None]
    score = INDUCTION(uniform.expand(1, 1, 1, pos, pos), torch.zeros(1, pos, dtype=torch.long))
    assert float(score) == pytest.approx(sum(t / (t + 1) for t in range(1, pos)) / (pos - 1))


def test_an_undefined_score_is_nan():
    pattern = torch.eye(5).expand(2, 3, 1, 5, 5)
    assert INDUCTION(pattern, torch.arange(5)[None]).isnan().all()


def random_rotations(generator, n, size):
    matrix, signs = torch.linalg.qr(torch.randn(n, size, size, generator=generator, dtype=torch.float64))
    return matrix * signs.diagonal(dim1=-2, dim2=-1).sign()[:, None]


def test_composition_of_unrelated_heads_is_the_baseline():
    """Turning the later head by random rotations, the mean square of the ratio is 1 / d_model."""
    generator = torch.Generator().manual_seed(7)
    n, d_model = 4000, 8
    W_V, W_Q, W_K = (torch.randn(1, d_model, 3, generator=generator, dtype=torch.float64) for _ in range(3))
    W_O = torch.randn(1, 3, d_model, generator=generator, dtype=torch.float64)
    ratios = COMPOSITION(W_V, W_O, W_Q.expand(n, -1, -1), random_rotations(generator, n, d_model) @ W_K) + d_model**-0.5
    assert float(ratios.square().mean()) == pytest.approx(1 / d_model, rel=0.03)


def test_composition_depends_on_neither_size_nor_basis():
    W_V, W_O, W_Q, W_K = find("ch06.composition_score").cases(torch.Generator().manual_seed(8))[0].inputs.values()
    turn = random_rotations(torch.Generator().manual_seed(9), 1, W_V.shape[1])[0].float()
    turned = COMPOSITION(3 * turn @ W_V, 0.1 * W_O @ turn.mT, 7 * turn @ W_Q, turn @ W_K)
    torch.testing.assert_close(turned, COMPOSITION(W_V, W_O, W_Q, W_K), atol=1e-5, rtol=0)


def test_composition_is_at_most_one_and_one_where_a_head_is_read_whole():
    W_V, W_Q = torch.randn(2, 1, 6, 1, generator=torch.Generator().manual_seed(10))
    W_O = torch.randn(1, 1, 6, generator=torch.Generator().manual_seed(11))
    assert float(COMPOSITION(W_V, W_O, W_Q, W_O.mT)) == pytest.approx(1 - 6**-0.5, abs=1e-6)


def test_copying_of_circuits_with_known_eigenvalues():
    """Heads that write back what they read, with the weights 2 and 1, with 2 and -1, and turned by a right angle."""
    generator = torch.Generator().manual_seed(15)
    W_E = torch.randn(20, 6, generator=generator, dtype=torch.float64)
    W_U = torch.linalg.pinv(W_E)
    W_V = torch.linalg.qr(torch.randn(6, 2, generator=generator, dtype=torch.float64)).Q.expand(3, 6, 2)
    inside = torch.tensor([[[2, 0], [0, 1]], [[2, 0], [0, -1]], [[0, 3], [-3, 0]]], dtype=torch.float64)
    scores = COPYING(W_E, W_V, inside @ W_V.mT, W_U)
    torch.testing.assert_close(scores, torch.tensor([1, 1 / 3, 0], dtype=torch.float64), atol=1e-9, rtol=0)


def test_ablating_a_constant_head_changes_nothing():
    inputs = dict(find("ch06.ablation_effect").cases(torch.Generator().manual_seed(12))[0].inputs)
    (head,) = inputs["heads"]
    inputs["out"] = inputs["out"].clone()
    inputs["out"][head] = torch.linspace(-1, 1, inputs["out"].shape[-1])
    effect, control = ABLATION(*inputs.values())
    assert abs(effect) < 1e-6 and abs(control) > 1e-3


def test_no_head_has_no_effect():
    inputs = find("ch06.ablation_effect").cases(torch.Generator().manual_seed(13))[2].inputs
    assert inputs["heads"] == [] and ABLATION(*inputs.values()) == (0, 0)


def test_a_positional_head_is_refuted_and_an_induction_head_is_not():
    claimed, pos = 6, 30
    generator = torch.Generator().manual_seed(14)
    periods = torch.tensor([6, 6, 3, 7, 12, 5])
    rows = [torch.randperm(40, generator=generator)[: int(period)] for period in periods]
    tokens = torch.stack([row.repeat(pos)[:pos] for row in rows])
    where = torch.arange(pos)
    fixed = (where[:, None] - where == claimed - 1).float().expand(len(rows), pos, pos)
    follows = torch.stack([(where[:, None] - where == period - 1).float() for period in periods])
    answer = REFUTE(torch.stack([fixed, follows]), tokens, periods, claimed)
    torch.testing.assert_close(torch.stack(answer), torch.tensor([[1.0, 1], [0, 1], [1, 0]]))


@pytest.mark.parametrize("period", [2, 3, 4, 5, 7, 24])
def test_a_fixed_distance_scores_where_the_period_divides_the_claimed_one_and_only_there(period):
    """Which is why such rows are no test: 11 back is a target at every divisor of 12."""
    pos = 30
    where = torch.arange(pos)
    fixed = (where[:, None] - where == 11).float()[None, None]
    tokens, periods = torch.arange(period).repeat(pos)[None, :pos], torch.tensor([period])
    _, fresh, shortcut = REFUTE(fixed, tokens, periods, 12)
    score = INDUCTION(fixed[None], tokens)
    if 12 % period == 0:
        assert float(score) == pytest.approx((pos - 12) / (pos - period))
        assert math.isnan(float(fresh)) and math.isnan(float(shortcut))
    else:
        assert (float(score), float(fresh), float(shortcut)) == (0, 0, 1)


def test_rows_end_in_a_block_and_its_copy_and_nothing_else_repeats():
    drawn = keep.rows(3)
    assert drawn.shape == (6, 48)
    periods = [len(row) - len(row.unique()) for row in drawn]
    assert len({*periods}) > 1 and all(12 <= period <= 20 for period in periods)
    assert all(torch.equal(row[-n:], row[-2 * n : -n]) for row, n in zip(drawn, periods, strict=True))
    assert torch.equal(drawn, keep.rows(3)) and not torch.equal(drawn, keep.rows(4))


def test_the_loss_is_that_on_the_second_copy_without_its_first_token(smollm2):
    drawn = keep.rows(5)[:2]
    losses = token_losses(smollm2, drawn).detach()
    periods = [len(row) - len(row.unique()) for row in drawn]
    told = torch.cat([row[1 - period :] for row, period in zip(losses, periods, strict=True)])
    assert keep.loss(drawn, ()) == pytest.approx(float(told.mean()), abs=1e-4)


def test_the_baseline_has_the_highest_induction_scores(smollm2):
    scores = head_scores(smollm2, keep.rows(0)).attained("induction")[keep.FIRST :].flatten()
    assert {keep.UPPER[i] for i in scores.topk(keep.N_KEPT).indices} == {*keep.BY_SCORE}


@pytest.mark.parametrize(
    "handed",
    [
        [(16, 0)] * 16,
        [(15, head) for head in range(9)] + [(16, head) for head in range(7)],
        [(16, 0.5), *keep.UPPER[1:16]],
        [16.0] * 16,
        "the sixteen best",
        16,
        [(16, 0, 1)] * 16,
        keep.UPPER[:15],
    ],
)
def test_what_is_no_choice_of_sixteen_heads_is_told_what_is_one(handed):
    with pytest.raises(Unfit, match=r"16 different heads .* from 16 to 29 and a head from 0 to 8"):
        keep.heads_of(plain(handed))


def test_heads_come_as_pairs_or_as_a_tensor_in_any_order():
    for handed in (keep.UPPER[:16], [[*head] for head in keep.UPPER[:16]], torch.tensor(keep.UPPER[:16])):
        assert {*keep.heads_of(plain(handed))} == {*keep.UPPER[:16]}


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("question", questions("ch06"), ids=lambda q: q.id)
def test_half_precision_neither_hides_a_mistake_nor_makes_one(question, dtype, judged):
    def rounded(answer):
        def cast(value):
            return tuple(cast(part) for part in value) if isinstance(value, tuple) else torch.as_tensor(value).to(dtype)

        return lambda *inputs: cast(answer(*inputs))

    assert all(j.status == "right" for j in judged(question.id, rounded(question.reference)))
    for misconception in question.misconceptions.values():
        assert all(j.status == "wrong" for j in judged(question.id, rounded(misconception.answer)))
