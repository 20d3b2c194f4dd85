"""Attribution: exact where what follows is linear, else the slope of exact patching, and TransformerLens's estimate."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformer_lens.tools.analysis import attribution_patch

from mechlib.causal import activation_patching, attribution_patching
from mechlib.causal.metrics import kl_from, logit_difference, target_log_prob
from mechlib.stream import running
from tests.architectures import N_LAYERS
from tests.causal.models import CLEAN, CORRUPT, bridge_and_reference
from tests.models import SHAPE, random_native

RIGHT, WRONG = torch.tensor([1, 5, 9]), torch.tensor([2, 2, 7])
METRIC = logit_difference(RIGHT, WRONG)
SITES = ("residual", "head", "pattern", "mlp")
POINTS = {
    "residual": "blocks.{}.hook_resid_post",
    "head": "blocks.{}.attn.hook_z",
    "pattern": "blocks.{}.attn.hook_pattern",
    "mlp": "blocks.{}.hook_mlp_out",
}


@pytest.fixture(scope="module")
def own():
    return random_native(scale=0.3).to(torch.float64, print_details=False)


@pytest.fixture(scope="module")
def linear():
    """A stream that is unembedded without a norm."""
    return bridge_and_reference("opt without final norm")[0]


def estimate(model, clean=CLEAN, corrupt=CORRUPT, metric=METRIC, **options):
    return attribution_patching(model, clean, corrupt, metric, **options)


def exact(model, clean=CLEAN, corrupt=CORRUPT, metric=METRIC, **options):
    return activation_patching(model, clean, corrupt, metric, progress=False, **options)


def assert_equal(ours, theirs, tolerance=1e-9):
    torch.testing.assert_close(ours, theirs, atol=tolerance, rtol=0, check_dtype=False, equal_nan=True)


@pytest.mark.parametrize("source", ["clean", "zero", "mean", "resample"])
@pytest.mark.parametrize(("site", "only"), [("residual", [N_LAYERS]), ("mlp", [N_LAYERS - 1])])
@pytest.mark.parametrize("by_position", [True, False])
def test_exact_where_what_follows_is_linear(linear, site, only, source, by_position):
    options = {"site": site, "only": only, "source": source, "by_position": by_position}
    ours, patched = estimate(linear, **options), exact(linear, **options)
    for name in ("values", "base", "effect"):
        assert_equal(getattr(ours, name), getattr(patched, name))
    assert ours.axes == patched.axes and ours.labels == patched.labels
    assert ours.title == f"{patched.title}, to first order"
    assert ours.effect.abs().nan_to_num().max() > 1e-2


@pytest.mark.parametrize("metric", [METRIC, target_log_prob(RIGHT)], ids=["difference", "log-probability"])
@pytest.mark.parametrize("site", SITES)
@pytest.mark.parametrize("name", ["own", "llama grouped", "gemma2", "gpt-neox"])
def test_the_slope_of_exact_patching_at_its_beginning(request, name, site, metric):
    model = request.getfixturevalue("own") if name == "own" else bridge_and_reference(name)[0]
    point = POINTS[site].format(1)
    with torch.no_grad():
        (_, old), (_, new) = (model.run_with_cache(run, names_filter=point) for run in (CORRUPT, CLEAN))
    position = 4
    every = slice(None)
    place = {"head": (every, position, 1), "pattern": (every, 1, position)}.get(site, (every, position))

    def moved(step):
        def hook(activation, hook):
            activation = activation.clone()
            activation[place] += step * (new[point] - old[point])[place]
            return activation

        with torch.no_grad():
            return metric(model.run_with_hooks(CORRUPT, fwd_hooks=[(point, hook)])[:, -1])

    # some norms and softmaxes of transformers are in single precision: a long step, of which four points cancel more
    step, relative, closest = (1e-3, 1e-6, 1e-8) if name == "own" else (0.05, 0.02, 2e-5)
    slope = (8 * (moved(step) - moved(-step)) - moved(2 * step) + moved(-2 * step)) / (12 * step)
    effect = estimate(model, metric=metric, site=site).effect
    unit = {"residual": (2,), "mlp": (1,)}.get(site, (1, 1))
    torch.testing.assert_close(effect[(slice(None), *unit, position)], slope, rtol=relative, atol=closest)
    assert slope.abs().max() > 10 * closest


def test_places_together_are_the_sum_of_theirs(own):
    one_by_one, together = (estimate(own, site="head", by_position=each, positions=[1, 4]) for each in (True, False))
    assert_equal(one_by_one.effect.sum(-1), together.effect)


def test_transformer_lens_agrees(own):
    def difference(logits):
        return (logits[0, -1, 1] - logits[0, -1, 2]).sum()

    theirs = attribution_patch(own, CLEAN, CORRUPT, difference).node_scores
    heads, mlps = (estimate(own, metric=logit_difference(1, 2), site=site).mean() for site in ("head", "mlp"))
    seen = 0
    for node, score in theirs.items():
        if node.kind in ("attn_head_out", "mlp_out"):
            ours = heads[node.layer, node.head] if node.kind == "attn_head_out" else mlps[node.layer]
            assert float(ours[node.position]) == pytest.approx(score, abs=1e-9)
            seen += 1
    assert seen == 7 * SHAPE.n_layers * (SHAPE.n_heads + 1)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("site", SITES)
@pytest.mark.parametrize("name", ["own", "llama grouped"])
def test_rows_with_pads_are_as_they_are_alone(request, name, site, side):
    model = request.getfixturevalue("own") if name == "own" else bridge_and_reference(name)[0]
    mask = torch.stack([torch.arange(7) < n for n in (7, 4, 5)])
    tokens = [torch.full_like(CLEAN, 3).masked_scatter(mask, run[mask]) for run in (CLEAN, CORRUPT)]
    if side == "left":
        mask, tokens = mask.flip(1), [run.flip(1) for run in tokens]
    together = estimate(model, *tokens, site=site, attention_mask=mask)
    for row, real in enumerate(mask):
        alone = [run[row : row + 1, real] for run in tokens]
        expected = estimate(model, *alone, logit_difference(RIGHT[row], WRONG[row]), site=site)
        assert_equal(together.values[row][..., real], expected.values[0], 1e-9 if name == "own" else 1e-5)
        assert together.values[row][..., ~real].isnan().all()


def test_how_many_run_together_does_not_matter(own, monkeypatch):
    whole = estimate(own, site="head")
    monkeypatch.setattr(running, "TOKENS_AT_ONCE", 7)
    assert_equal(estimate(own, site="head").values, whole.values)


@pytest.mark.parametrize("trained", [True, False])
def test_all_heads_cost_three_forward_passes(trained):
    model = random_native().requires_grad_(trained)
    counts = []
    for call in (lambda: model(CLEAN), lambda: estimate(model, site="head")):
        with FlopCounterMode(display=False) as counter, torch.set_grad_enabled(True):
            call()
        counts.append(counter.get_total_flops())
    assert counts[1] <= 3 * counts[0]


def test_where_two_distributions_are_equal_their_divergence_has_no_slope(own):
    logits = own(CLEAN)[:, -1]
    result = estimate(own, metric=kl_from(logits), source="corrupt")
    assert_equal(result.effect, torch.zeros_like(result.effect))


def test_beside_exact_patching(own):
    ours = estimate(own, site="head", positions=[2, 5])
    largest = ours.largest(2)
    table = ours.beside(exact(own, site="head", positions=[2, 5], only=largest))
    patched = {(cell["layer"], cell["head"]) for cell in largest}
    assert len(table.rows) == 2 * len(patched)
    first = next(iter(table.rows))
    assert first == "layer {layer}, head {head}, pos {at}".format(**largest[0], at=[2, 5][largest[0]["pos"]])
    assert table.columns == ("to first order", "exact")
    with pytest.raises(ValueError, match=r"of the same places; their axes are .*'head', 'pos'\) and"):
        ours.beside(exact(own, site="mlp"))


def test_a_metric_without_a_gradient_is_refused(own):
    def rank(logits):
        return (logits > logits[:, :1]).double().sum(-1)

    with pytest.raises(ValueError, match="follows the gradient of the metric, and rank has none"):
        estimate(own, metric=rank)
