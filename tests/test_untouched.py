"""No function that is given a model changes it: not its weights, its modes, its gradients or its hooks."""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch

from mechlib import bridge, causal, heads, repair, stream
from mechlib.bridge import Shape, TransformerBridge, from_transformers
from mechlib.stream.lens import readings
from mechlib.zoo.decoder import Decoder
from tests.models import untrained

SHAPE = Shape(n_layers=2, d_model=24, n_heads=2, d_head=12, d_mlp=30, n_ctx=20, d_vocab=83)
TOKENS = torch.randint(SHAPE.d_vocab, (3, 9), generator=torch.Generator().manual_seed(1))
TOO_LONG = torch.zeros(2, 21, dtype=torch.long)


def ablated_run(model: TransformerBridge, mode: str, layer: int = 1, tokens: torch.Tensor = TOKENS) -> None:
    with causal.ablate(model, [(0, 1), (layer, 0)], mode=mode, reference=tokens), causal.ablate(model, [(1, 1)]):
        own_run(lambda: model(tokens))


def edited_run(model: TransformerBridge, entry: int) -> None:
    own_run(lambda: causal.run_with_edit(model, TOKENS, entry, lambda residual: 2 * residual))


DIFFERENCE = causal.logit_difference(1, 2)


def patched_run(model: TransformerBridge, **options: object) -> None:
    options = {"progress": False, "positions": 3} | options
    causal.activation_patching(model, TOKENS, TOKENS.flip(1), DIFFERENCE, **options)


def sent(model: TransformerBridge, **options: object) -> None:
    causal.path_patching(model, TOKENS, TOKENS.flip(1), DIFFERENCE, progress=False, **options)


PAIRS = torch.randint(SHAPE.d_vocab, (2, 6, 5), generator=torch.Generator().manual_seed(2))


def interchanged(model: TransformerBridge, **options: object) -> None:
    answers, classes = torch.tensor([0, 1, 1, 0, 1, 0]), torch.tensor([4, 9])
    causal.interchange(model, *PAIRS, answers, classes, **{"entry": 1, "rank": 2, "epochs": 1, "placebos": 1} | options)


def own_run(run: Callable[[], object]) -> None:
    """A run in the caller's mode, where the caller's dropout may draw."""
    with torch.random.fork_rng(devices=[]):
        run()


def fails(*arguments: object, **named: object) -> None:
    raise KeyboardInterrupt


RUNS: dict[Callable, list[Callable[[TransformerBridge], object]]] = {
    heads.head_scores: [lambda m: heads.head_scores(m, TOKENS)],
    heads.find_heads: [lambda m: heads.find_heads(m, "induction", seeds=2, batch=1)],
    causal.ablate: [lambda m, mode=mode: ablated_run(m, mode) for mode in ("mean", "zero", "resample")],
    stream.logit_lens: [lambda m: stream.logit_lens(m, TOKENS, targets=TOKENS)],
    readings: [lambda m: readings(m, TOKENS, top_k=0)],
    stream.layer_log_probs: [lambda m: stream.layer_log_probs(m, TOKENS)],
    stream.residual_entries: [lambda m: stream.residual_entries(m, TOKENS)],
    stream.fit_tuned_lens: [lambda m: stream.fit_tuned_lens(m, TOKENS, steps=2, rows=4, progress=False)],
    stream.fit_jacobian_lens: [lambda m: stream.fit_jacobian_lens(m, TOKENS, skip=5, progress=False)],
    stream.direct_logit_attribution: [
        lambda m: stream.direct_logit_attribution(m, TOKENS, 3, against=5, by="component"),
        lambda m: stream.direct_logit_attribution(m, TOKENS, 3, measure="log_prob", norm="recomputed"),
    ],
    causal.run_with_edit: [lambda m: edited_run(m, 1)],
    causal.entries_with_edit: [lambda m: causal.entries_with_edit(m, TOKENS, 1, torch.neg)],
    causal.activation_patching: [lambda m: patched_run(m, site="pattern"), lambda m: patched_run(m, source="mean")],
    causal.attribution_patching: [
        lambda m, site=site: causal.attribution_patching(m, TOKENS, TOKENS.flip(1), DIFFERENCE, site=site)
        for site in ("residual", "pattern")
    ],
    causal.path_patching: [
        lambda m: sent(m),
        lambda m: sent(m, receivers=[(1, 0)], inputs="k"),
        lambda m: sent(m, site="mlp", through_mlps=True),
    ],
    causal.interchange: [interchanged],
    repair.cut_heads: [lambda m: repair.cut_heads(m, TOKENS, 3, 5, [(0, 1), [(0, 0), (1, 1)]])],
    repair.direct_effects: [lambda m: repair.direct_effects(m, TOKENS, 3, 5, source="resample")],
    stream.prefix_invariance: [lambda m: stream.prefix_invariance(m, TOKENS, lengths=[2])],
    stream.continue_text: [lambda m: stream.continue_text(m, TOKENS, 2, cached=False)],
    stream.prediction: [lambda m: stream.prediction(m, TOKENS)],
    stream.empty_prompt: [lambda m: stream.empty_prompt(m, bos=0)],
}
"""Calls that run the model, of every public function that does."""

BY_HAND: dict[Callable, list[Callable[[TransformerBridge], object]]] = {
    stream.extend: [lambda m: stream.extend(m, TOKENS)],
    stream.continue_text: [lambda m: stream.continue_text(m, TOKENS, 2)],
    stream.invert: [lambda m: stream.invert(m, stream.extend(m, TOKENS)[0][1, 0, :2], 1)],
}
"""Calls that compute a pass from the weights and refuse a model with hooks."""

READINGS: dict[Callable, list[Callable[[TransformerBridge], object]]] = {
    heads.qk_circuit: [lambda m, fold=fold: heads.qk_circuit(m, 0, 1, fold=fold).AB for fold in (True, False)],
    heads.ov_circuit: [lambda m, fold=fold: heads.ov_circuit(m, 1, 0, fold=fold).AB for fold in (True, False)],
    heads.copying_scores: [heads.copying_scores],
    heads.composition_scores: [lambda m, kind=kind: heads.composition_scores(m, kind) for kind in "QKV"],
    heads.weights: [lambda m: heads.weights(m, (0, 1), (1, "attn"), "embed")],
    stream.read_out: [lambda m: stream.read_out(m, torch.ones(2, getattr(m, "cfg", SHAPE).d_model))],
    bridge.shuffled: [lambda m: bridge.shuffled(m, seed=0)],
    bridge.untrained: [lambda m: bridge.untrained(m, seed=0)],
    bridge.attention_scales: [bridge.attention_scales],
    bridge.kind_of: [bridge.kind_of],
    stream.multiply_adds: [lambda m: stream.multiply_adds(m, 1, 3)],
}
"""Calls that look at the weights alone, or at a part of the model."""

MISTAKES: dict[Callable, list[Callable[[TransformerBridge], object]]] = {
    heads.head_scores: [lambda m: heads.head_scores(m, TOO_LONG)],
    heads.find_heads: [
        lambda m: heads.find_heads(m, "copying"),
        lambda m: heads.find_heads(m, "induction", periods=(3, 11)),
        lambda m: heads.find_heads(m, "induction", bos=83),
    ],
    causal.ablate: [
        lambda m: ablated_run(m, "mean", layer=2),
        lambda m: ablated_run(m, "median"),
        lambda m: ablated_run(m, "resample", tokens=TOO_LONG),
    ],
    heads.qk_circuit: [lambda m: heads.qk_circuit(m, 2, 0)],
    heads.ov_circuit: [lambda m: heads.ov_circuit(m, 0, 2)],
    heads.composition_scores: [lambda m: heads.composition_scores(m, "O")],
    heads.weights: [heads.weights, lambda m: heads.weights(m, (2, 0))],
    stream.logit_lens: [
        lambda m: stream.logit_lens(m, TOO_LONG),
        lambda m: stream.logit_lens(m, TOKENS, lens=fails),
        lambda m: stream.logit_lens(m, TOKENS, lens=lambda entries: entries[1:]),
    ],
    readings: [lambda m: readings(m, TOKENS, lens=fails)],
    stream.layer_log_probs: [lambda m: stream.layer_log_probs(m, TOKENS, lens=fails)],
    stream.residual_entries: [lambda m: stream.residual_entries(m, TOO_LONG)],
    stream.read_out: [lambda m: stream.read_out(m, torch.ones(2, 3))],
    stream.fit_tuned_lens: [lambda m: stream.fit_tuned_lens(m, TOKENS, steps=0)],
    stream.prefix_invariance: [lambda m: stream.prefix_invariance(m, TOKENS, lengths=[9])],
    stream.extend: [lambda m: stream.extend(m, TOO_LONG)],
    stream.invert: [lambda m: stream.invert(m, torch.ones(2, 3), 1)],
    stream.continue_text: [lambda m: stream.continue_text(m, TOKENS, 12)],
    stream.multiply_adds: [lambda m: stream.multiply_adds(m, 4, 3)],
    stream.prediction: [lambda m: stream.prediction(m, TOO_LONG)],
    stream.empty_prompt: [lambda m: stream.empty_prompt(m, bos=83)],
    causal.activation_patching: [
        lambda m: patched_run(m, site="heads"),
        lambda m: causal.activation_patching(m, TOKENS, TOKENS.flip(1), fails),
    ],
    stream.fit_jacobian_lens: [lambda m: stream.fit_jacobian_lens(m, TOKENS, skip=8)],
    stream.direct_logit_attribution: [lambda m: stream.direct_logit_attribution(m, TOO_LONG, 3)],
    causal.attribution_patching: [lambda m: causal.attribution_patching(m, TOKENS, TOKENS.flip(1), fails)],
    causal.path_patching: [
        lambda m: sent(m, receivers=[(2, 0)]),
        lambda m: causal.path_patching(m, TOKENS, TOKENS.flip(1), fails, receivers=[(1, 0)], progress=False),
    ],
    causal.interchange: [lambda m: interchanged(m, rank=50), lambda m: interchanged(m, lr=-1.0)],
    causal.attention_graph: [causal.attention_graph],  # of a model with MLPs
    repair.cut_heads: [lambda m: repair.cut_heads(m, TOKENS, 3, 5, [(2, 0)])],
    repair.direct_effects: [lambda m: repair.direct_effects(m, TOO_LONG, 3, 5)],
    causal.entries_with_edit: [lambda m: causal.entries_with_edit(m, TOKENS, 1, fails)],
    causal.run_with_edit: [
        lambda m: edited_run(m, 3),
        lambda m: own_run(lambda: causal.run_with_edit(m, TOKENS, 1, fails)),
    ],
}
"""Calls that raise, before they run the model or in the middle."""


def each(table: dict[Callable, list[Callable]]) -> list:
    return [
        pytest.param(call, id=f"{function.__name__}-{number}")
        for function, calls in table.items()
        for number, call in enumerate(calls)
    ]


def state(model: TransformerBridge) -> dict:
    """All of a model that a call could leave changed, weights apart."""
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return {
        "modes": {name: module.training for name, module in model.named_modules()},
        "module hooks": {name: [list(getattr(m, kind)) for kind in kinds] for name, m in model.named_modules()},
        "hook points": {name: (list(p.fwd_hooks), list(p.bwd_hooks)) for name, p in model.hook_dict.items()},
        "trained": {name: (p.requires_grad, p.grad) for name, p in model.named_parameters()},
        "random state": torch.get_rng_state().tolist(),
    }


@contextmanager
def unchanged(model: TransformerBridge) -> Iterator[None]:
    def tensors() -> dict[str, torch.Tensor]:
        return {name: t.detach().clone() for name, t in (*model.named_parameters(), *model.named_buffers())}

    before, weights = state(model), tensors()
    yield
    after = state(model)
    assert {what for what in before if before[what] != after[what]} == set()
    assert all(torch.equal(tensor, weights[name]) for name, tensor in tensors().items())


@pytest.fixture(params=["native", "gpt2"])
def half_training(request, gpt2_folder) -> TransformerBridge:
    """Partly in train mode, partly frozen, with a hook of the caller's own; it has run, which wires up a bridge."""
    model = untrained(SHAPE) if request.param == "native" else from_transformers(gpt2_folder, device="cpu")
    with torch.no_grad():
        model(TOKENS)
    model.train()
    model.blocks[1].eval()
    model.ln_final.weight.requires_grad_(False)
    model.add_hook("blocks.0.hook_resid_post", lambda residual, hook: None)
    return model


def test_every_public_function_is_called_here():
    public = {
        function
        for module in (bridge, causal, heads, repair, stream, stream.lens)
        for name, function in vars(module).items()
        if inspect.isfunction(function)
        and not name.startswith("_")
        and function.__module__.startswith(module.__name__)
        and "model" in inspect.signature(function).parameters
    }
    of_one_format = {stream.without_mask}  # shown in tests/stream/test_columns.py
    of_any_module = {bridge.weights_digest}
    of_a_cache = {stream.keep_tuned_lens, stream.load_tuned_lens, stream.tuned_lens_at_hand}  # test_kept_lens.py
    public -= of_one_format | of_any_module | of_a_cache
    of_attention_only = {causal.attention_graph}  # shown below
    assert public - of_attention_only == set(RUNS) | set(BY_HAND) | set(READINGS)
    assert public - set(MISTAKES) == {
        heads.copying_scores,
        bridge.attention_scales,
        bridge.kind_of,
        bridge.shuffled,
        bridge.untrained,
    }


@pytest.mark.parametrize("call", each(RUNS) + each(READINGS))
def test_after_a_call(half_training, call):
    with unchanged(half_training):
        call(half_training)


@pytest.mark.parametrize("call", each(BY_HAND))
def test_after_a_call_that_takes_no_hooks(half_training, call):
    with unchanged(half_training), pytest.raises(ValueError, match="hooks on the model"):
        call(half_training)
    half_training.reset_hooks()
    with unchanged(half_training):
        call(half_training)


@pytest.mark.parametrize("call", each(MISTAKES))
def test_after_a_mistake(half_training, call):
    with unchanged(half_training), pytest.raises((ValueError, TypeError, KeyboardInterrupt)):
        call(half_training)


@pytest.mark.parametrize("call", each(RUNS))
@pytest.mark.parametrize("point", ["blocks.0.hook_resid_pre", "blocks.0.hook_resid_post", "blocks.1.attn.hook_pattern"])
def test_after_an_interrupted_run(half_training, call, point):
    half_training.add_hook(point, fails)
    with unchanged(half_training), pytest.raises(KeyboardInterrupt):
        call(half_training)


@pytest.mark.parametrize("call", each(RUNS) + each(BY_HAND) + each(READINGS))
def test_another_object_in_the_place_of_the_model_is_refused(call):
    with pytest.raises(TypeError, match=r"model is a TransformerBridge, as zoo\.load gives .* not Decoder"):
        call(Decoder(SHAPE, seed=0))


def test_a_change_would_be_seen(half_training):
    weight = half_training.blocks[0].attn.q.weight
    changes = {
        "a mode": lambda: half_training.blocks[1].train(),
        "a hook": lambda: half_training.add_hook("blocks.1.attn.hook_z", lambda outputs, hook: None),
        "a gradient": lambda: setattr(weight, "grad", torch.ones_like(weight)),
        "a weight": lambda: weight.data[0, 0].add_(1),
        "the random state": lambda: torch.rand(1),
    }
    for change in changes.values():
        with pytest.raises(AssertionError), unchanged(half_training):
            change()


def test_a_graph_of_edges_leaves_its_model():
    model = untrained(replace(SHAPE, d_mlp=0))
    with torch.no_grad():
        model(TOKENS)  # which wires up a bridge
    model.train()
    with unchanged(model):
        graph = causal.attention_graph(model)
        graph.attribution(TOKENS, DIFFERENCE, instead=graph.outputs(TOKENS))
