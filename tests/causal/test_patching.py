"""Exact patching: closed forms, the library's own ablation, TransformerLens, and hooks on ``transformers``."""

import pytest
import torch
from transformer_lens import patching

from mechlib.causal import ablate, activation_patching, sweep
from mechlib.causal.metrics import kl_from, logit_difference, target_log_prob
from tests.architectures import D_VOCAB, N_HEADS
from tests.causal.models import CLEAN, CORRUPT, bridge_and_reference
from tests.models import SHAPE, random_native

RIGHT, WRONG = torch.tensor([1, 5, 9]), torch.tensor([2, 2, 7])
METRIC = logit_difference(RIGHT, WRONG)
ROUNDING = 1e-12
SITES = ("residual", "head", "pattern", "mlp")


@pytest.fixture(scope="module")
def own():
    return random_native(scale=0.3).to(torch.float64, print_details=False)


@pytest.fixture(scope="module")
def grouped():
    return bridge_and_reference("llama grouped")[0]


def patch(model, clean=CLEAN, corrupt=CORRUPT, metric=METRIC, **options):
    return activation_patching(model, clean, corrupt, metric, progress=False, **options)


@torch.no_grad()
def metric_of(model, tokens, metric=METRIC):
    return metric(model(tokens)[:, -1])


def assert_equal(ours, theirs, tolerance=1e-9):
    torch.testing.assert_close(ours, theirs, atol=tolerance, rtol=0, check_dtype=False)


class TestClosedForms:
    @pytest.mark.parametrize(("source", "into"), [("clean", "corrupt"), ("corrupt", "clean")])
    def test_a_whole_entry_is_the_run_that_gives(self, own, source, into):
        result = patch(own, source=source, by_position=False)
        runs = {"clean": metric_of(own, CLEAN), "corrupt": metric_of(own, CORRUPT)}
        assert_equal(result.giver, runs[source])
        assert_equal(result.base, runs[into])
        assert_equal(result.values, runs[source][:, None].expand(-1, SHAPE.n_layers + 1))
        assert_equal(result.recovered, torch.ones_like(result.values), 1e-6)
        assert result.title == f"residual: {source} into {into}"

    def test_where_the_runs_are_equal_patching_does_nothing(self, own):
        corrupt = CLEAN.clone()
        corrupt[:, 4] = 20
        result = patch(own, corrupt=corrupt)
        changed = result.effect.abs() > ROUNDING
        assert not changed[:, :, :4].any() and not changed[:, 0, 5:].any()
        assert changed[:, 0, 4].all() and changed[:, 1, 4:].all()

    def test_the_last_entry_counts_where_the_metric_reads(self, own):
        result = patch(own, at=2)
        last = result.recovered[:, -1]
        assert_equal(last, torch.eye(7, dtype=torch.float64)[2].expand_as(last), 1e-6)
        assert (result.effect[:, :, 3:].abs() < ROUNDING).all()

    def test_one_direction_is_the_other_with_the_prompts_exchanged(self, own):
        one, other = patch(own, source="corrupt", site="head"), patch(own, CORRUPT, CLEAN, site="head")
        assert torch.equal(one.values, other.values)

    def test_heads_hand_on_what_differs_where_it_differs(self, own):
        alike = CORRUPT.clone()
        alike[:, -1] = (alike[:, -1] + 1) % D_VOCAB
        result = patch(own, alike, CORRUPT, site="head", only=[(0, 0), (0, 1)])
        effect = result.effect[:, 0].abs()
        assert (effect[:, :, :-1] < ROUNDING).all() and (effect[:, :, -1] > 1e-6).all()
        assert result.values[:, 1:].isnan().all()

    def test_metrics(self, own):
        logits = own(CLEAN)[:, -1].detach()
        divergence = patch(own, metric=kl_from(logits), source="corrupt", by_position=False)
        assert_equal(divergence.base, torch.zeros(3))
        p, q = (run(tokens)[:, -1].softmax(-1) for run, tokens in ((own, CLEAN), (own, CORRUPT)))
        assert_equal(divergence.values[:, 0], (p * (p / q).log()).sum(-1))
        target = patch(own, metric=target_log_prob(4), by_position=False)
        assert_equal(target.values[:, 1], p[:, 4].log())


class TestAgainstAblation:
    """All positions of a head together, on the clean run."""

    REFERENCE = torch.randint(D_VOCAB, (4, 9), generator=torch.Generator().manual_seed(8))

    @pytest.mark.parametrize("source", ["zero", "mean", "resample"])
    @pytest.mark.parametrize("reference", [None, REFERENCE], ids=["running", "reference"])
    def test_heads(self, grouped, source, reference):
        def generator():
            return torch.Generator().manual_seed(3)

        result = patch(
            grouped,
            corrupt=None,
            site="head",
            source=source,
            by_position=False,
            only=[(0, 1), (1, 3)],
            reference=reference,
            generator=generator(),
        )
        for head in ((0, 1), (1, 3)):
            with ablate(grouped, [head], mode=source, reference=reference, generator=generator()):
                assert_equal(result.values[:, *head], metric_of(grouped, CLEAN))
        assert result.giver is None and result.effect[:, 0, 1].abs().min() > 1e-4

    def test_patterns(self, own):
        """A pattern of zeros is a head of zeros; a mean over equal rows is the row's own."""
        zero = {site: patch(own, corrupt=None, site=site, source="zero") for site in ("pattern", "head")}
        assert_equal(zero["pattern"].values, zero["head"].values)
        same = CLEAN[:1].expand(3, -1)
        for source in ("mean", "resample"):
            for reference in (None, torch.cat([same, CLEAN[:, :2]], 1)):
                result = patch(own, same, None, site="pattern", source=source, reference=reference)
                assert_equal(result.effect, torch.zeros_like(result.effect))
                other = patch(own, CLEAN, None, site="pattern", source=source, reference=reference)
                assert other.effect.abs().max() > 1e-3


THEIRS = {
    ("residual", True): patching.get_act_patch_resid_pre,
    ("mlp", True): patching.get_act_patch_mlp_out,
    ("head", True): patching.get_act_patch_attn_head_out_by_pos,
    ("head", False): patching.get_act_patch_attn_head_out_all_pos,
    ("pattern", True): patching.get_act_patch_attn_head_pattern_by_pos,
    ("pattern", False): patching.get_act_patch_attn_head_pattern_all_pos,
}


@pytest.mark.parametrize(("site", "by_position"), THEIRS)
@pytest.mark.parametrize("format", ["own", "grouped"])
def test_transformer_lens_agrees(request, format, site, by_position):
    model = request.getfixturevalue(format)
    with torch.no_grad():
        _, cache = model.run_with_cache(CLEAN)
        theirs = THEIRS[site, by_position](
            model, CORRUPT, cache, lambda logits: METRIC(logits[:, -1]), reduce="none", baseline=True
        )
    ours = patch(model, site=site, by_position=by_position)
    values = ours.values[:, : model.cfg.n_layers].movedim(0, -1)
    if (site, by_position) == ("head", True):
        values = values.transpose(1, 2)
    assert_equal(values, theirs.values.double(), 1e-5)  # theirs are kept in single precision
    assert_equal(ours.base, theirs.baseline.double(), 1e-5)


EVERY_ORDER = ("gpt2", "llama grouped", "gpt-neox", "gemma2", "olmo2", "opt normed after", "falcon one group", "phi")


@pytest.mark.parametrize("site", ["head", "residual"])
@pytest.mark.parametrize("name", EVERY_ORDER)
def test_hooks_on_transformers_agree(name, site):
    """Grouped queries, parallel blocks, norms before, behind and in the stream."""
    model, reference = bridge_and_reference(name)
    of_head = site == "head"
    module = reference.output_projection(1) if of_head else reference.layers[1]
    ours = patch(model, site=site, only=[(1, 2)] if of_head else [2])

    def place(activation, position):
        return activation.unflatten(-1, (N_HEADS, -1))[:, position, 2] if of_head else activation[:, position]

    kept = []
    with hooked(module, lambda x: kept.append(x.clone()), before=of_head):
        reference.model(CLEAN)
    for position in range(7):

        def put(x, position=position):
            x = x.clone()
            place(x, position).copy_(place(kept[0], position))
            return x

        with hooked(module, put, before=of_head):
            theirs = METRIC(reference.model(CORRUPT).logits[:, -1])
        values = ours.values[:, 1, 2] if of_head else ours.values[:, 2]
        assert_equal(values[:, position], theirs, 1e-6)  # angles of positions are single precision
    assert ours.effect.abs().nan_to_num().max() > 1e-3


class hooked:
    """What enters a module, or leaves it first, seen and replaced by a function."""

    def __init__(self, module, function, *, before):
        def enters(module, inputs):
            new = function(inputs[0])
            return None if new is None else (new, *inputs[1:])

        def leaves(module, inputs, output):
            first, *rest = output if isinstance(output, tuple) else (output,)
            new = function(first)
            return output if new is None else (new, *rest) if isinstance(output, tuple) else new

        self.handle = module.register_forward_pre_hook(enters) if before else module.register_forward_hook(leaves)

    def __enter__(self): ...

    def __exit__(self, *error):
        self.handle.remove()


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("site", SITES)
@pytest.mark.parametrize("format", ["own", "grouped"])
def test_rows_with_pads_are_patched_as_they_are_alone(request, format, site, side):
    model = request.getfixturevalue(format)
    lengths = (7, 4, 5)
    mask = torch.stack([torch.arange(7) < n for n in lengths])
    tokens = [torch.full_like(CLEAN, 3).masked_scatter(mask, run[mask]) for run in (CLEAN, CORRUPT)]
    if side == "left":
        mask, tokens = mask.flip(1), [run.flip(1) for run in tokens]
    together = patch(model, *tokens, site=site, attention_mask=mask)
    for row, real in enumerate(mask):
        clean, corrupt = (run[row : row + 1, real] for run in tokens)
        alone = patch(model, clean, corrupt, logit_difference(RIGHT[row], WRONG[row]), site=site)
        assert_equal(together.values[row][..., real], alone.values[0], 1e-5 if format == "grouped" else 1e-9)
        assert together.values[row][..., ~real].isnan().all()
    assert_equal(together.mean(), together.effect.nansum(0) / mask.sum(0))


@pytest.mark.parametrize("at_once", [7, 20, 40])
def test_how_many_run_together_does_not_matter(own, monkeypatch, at_once):
    whole = patch(own, site="head")
    monkeypatch.setattr(sweep, "TOKENS_AT_ONCE", at_once)
    assert_equal(patch(own, site="head").values, whole.values)


def test_one_run_more_of_each_row_for_each_place(own):
    passes = []
    with own.hooks(fwd_hooks=[("blocks.0.hook_resid_pre", lambda x, hook: passes.append(len(x)))]):
        patch(own, site="head", positions=[2, 5])
    n_places = SHAPE.n_layers * SHAPE.n_heads * 2
    assert sum(passes) == 3 * (n_places + 2)  # and each run as it is


class TestResult:
    def test_axes_labels_and_choices(self, own):
        result = patch(own, site="mlp", positions=slice(-2, None), only=[1])
        assert result.axes == ("row", "layer", "pos") and result.values.shape == (3, SHAPE.n_layers, 2)
        assert result.labels == {"layer": ("0", "1", "2"), "pos": ("5", "6")}
        assert result.values[:, [0, 2]].isnan().all() and not result.values[:, 1].isnan().any()
        assert result.largest(9) == sorted(
            ({"layer": 1, "pos": i} for i in range(2)), key=lambda c: -abs(float(result.mean()[1, c["pos"]]))
        )
        assert result.metric == METRIC.label

    def test_the_mean_of_shares_is_the_share_of_means(self, own):
        result = patch(own)
        expected = result.effect.mean(0) / (result.giver - result.base).mean()
        assert_equal(result.mean("recovered"), expected)
        assert_equal(result.mean("values") - result.mean(), result.base.mean().expand(4, 7))

    def test_it_draws_itself(self, own):
        result = patch(own, site="head")
        ax = result.plot()
        assert [text.get_text() for text in ax.get_yticklabels()] == ["0.0", "0.1", "1.0", "1.1", "2.0", "2.1"]
        assert_equal(torch.tensor(ax.images[0].get_array()), result.mean().flatten(0, 1))
        assert ax.get_title(loc="left") == "head: clean into corrupt" and ax.get_xlabel() == "pos"
        one_axis = patch(own, site="residual", by_position=False).plot("recovered")
        assert [text.get_text() for text in one_axis.get_xticklabels()] == [
            "embedding",
            *(f"layer {i}" for i in range(3)),
        ]

    def test_what_it_refuses(self, own):
        result = patch(own, corrupt=None, source="zero", only=[1], positions=0)
        for ask in (lambda: result.recovered, lambda: result.mean("recovered")):
            with pytest.raises(ValueError, match=r"there is none here \(residual: zero into clean\)"):
                ask()
        with pytest.raises(ValueError, match="shown is one of effect, recovered, values, not 'share'"):
            result.plot("share")
        with pytest.raises(ValueError, match="at least 1, not 0"):
            result.largest(0)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"site": "attention"}, ValueError, "site is one of residual, head, pattern, mlp, not 'attention'"),
        ({"source": "noise"}, ValueError, "source is one of clean, corrupt, zero, mean, resample, not 'noise'"),
        ({"into": "zero"}, ValueError, "into is clean or corrupt, not 'zero'"),
        ({"source": "clean", "into": "clean"}, ValueError, "source and into are both 'clean'"),
        ({"corrupt": None}, ValueError, "source='clean' into the corrupt run needs the corrupt prompts"),
        ({"corrupt": CORRUPT[:, :5]}, ValueError, r"their shapes are \(3, 7\) and \(3, 5\)"),
        ({"corrupt": CORRUPT + 83}, ValueError, "token ids are from 0 to 82"),
        ({"clean": CLEAN.float()}, TypeError, "float32"),
        ({"attention_mask": torch.ones(3, 6)}, ValueError, r"that of the tokens, \(3, 7\), not \(3, 6\)"),
        ({"at": 7}, ValueError, "at=7 is out of range: the shortest row has 7 tokens, -7 to 6"),
        ({"at": 1.0}, TypeError, "an integer, or None for all; not 1.0"),
        ({"positions": 7}, ValueError, "7 is out of range; there are 7 positions"),
        ({"only": [4]}, ValueError, "there is no entry 4: they are 0 to 3"),
        ({"only": [(1, 0)]}, TypeError, r"numbers, each of one entry for the site 'residual', not \(1, 0\)"),
        ({"only": [3], "site": "head"}, TypeError, r"only holds pairs \(layer, head\) for the site 'head', not 3"),
        ({"only": [(0, 2)], "site": "head"}, ValueError, "there is no head 2 in layer 0"),
        ({"only": []}, ValueError, "names none of the places"),
        ({"reference": CLEAN}, ValueError, "the clean run needs none"),
        ({"source": "mean", "reference": CLEAN.float()}, TypeError, "float32"),
        ({"source": "resample", "reference": CLEAN[:, :6]}, ValueError, "reference has 6 positions"),
        ({"source": "resample", "clean": CLEAN[:1], "corrupt": None}, ValueError, "run at least two"),
        ({"source": "mean", "site": "pattern", "reference": CLEAN[:, :6]}, ValueError, "has 6 positions"),
        ({"metric": lambda logits: logits[0]}, ValueError, r"for logits of \(3, 83\); <lambda> gives \(83,\)"),
        ({"metric": lambda logits: 1.0}, TypeError, "<lambda> gives float"),
        ({"metric": lambda logits: logits.argmax(-1)}, TypeError, "<lambda> gives torch.int64"),
        ({"metric": logit_difference([1, 2], 3)}, ValueError, r"one for each of the 3 rows; its shape is \(2,\)"),
        ({"metric": logit_difference(1, 83)}, ValueError, "wrong hold 83"),
        ({"metric": kl_from(torch.zeros(3, 80))}, ValueError, r"shape \(3, 80\), not \(3, 83\)"),
        ({"at": None}, ValueError, r"the logit difference \(nats\) is read at one position"),
    ],
)  # fmt: skip
def test_bad_input(own, options, error, message):
    with pytest.raises(error, match=message):
        patch(own, **options)


def test_means_of_patterns_want_rows_without_pads(own):
    mask = torch.ones(3, 7, dtype=torch.long)
    mask[0, 0] = 0
    with pytest.raises(ValueError, match="position by position: give rows without pads"):
        patch(own, source="mean", site="pattern", attention_mask=mask)


@pytest.mark.parametrize("name", ["gpt-neo", "gpt-j", "opt"])
def test_patterns_that_are_shown_and_not_used_are_refused(name):
    model, _ = bridge_and_reference(name)
    with pytest.raises(ValueError, match="can be read here but not replaced: patch its heads' outputs"):
        patch(model, site="pattern")
    assert patch(model, site="head").effect.abs().max() > 1e-3


def test_a_model_without_such_places_is_refused(without_patterns):
    with pytest.raises(ValueError, match=r"no attention heads in layers \[1\]"):
        patch(without_patterns, site="head")
    with pytest.raises(ValueError, match="no MLP in layers"):
        from tests.models import ATTENTION_ONLY

        patch(random_native(ATTENTION_ONLY), site="mlp")


def test_all_positions_of_the_logits(own):
    with torch.no_grad():
        expected = own(CLEAN)[:, 2:4, 5].sum(1)
    result = patch(own, metric=lambda logits: logits[:, 2:4, 5].sum(1), at=None, by_position=False, only=[0])
    assert_equal(result.values[:, 0], expected)
    assert result.metric == "<lambda>"
