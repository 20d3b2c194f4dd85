"""A folder with a small Llama, Qwen, Gemma, GPT-NeoX or GPT-2 goes through every instrument.

Each is held to hooks, gradients and runs of ``transformers``' own model, in double precision. Circuits, the logit lens
and direct logit attribution are held to it in ``tests/test_architectures.py``, for these and for more kinds.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
import torch
import transformers
from torch import Tensor, nn

from mechlib import heads, stream, zoo
from mechlib.bridge import TransformerBridge
from mechlib.causal import activation_patching, attribution_patching, interchange, path_patching
from mechlib.causal.interchange import NOTHING, WHOLE
from mechlib.causal.metrics import logit_difference
from tests.architectures import D_MODEL, D_VOCAB, KINDS, N_HEADS, N_LAYERS, Reference, build

FAMILIES = ("llama grouped", "qwen2", "qwen3", "gemma", "gemma2", "gpt-neox", "gpt2")
CLEAN, CORRUPT = torch.randint(D_VOCAB, (2, 3, 7), generator=torch.Generator().manual_seed(5))
METRIC = logit_difference(torch.tensor([1, 5, 9]), torch.tensor([2, 2, 7]))
ROUNDING = 1e-6
"""Angles of positions and many norms are in single precision in ``transformers`` too."""


@dataclass
class Theirs:
    """A model of ``transformers``, with what goes into or comes out of its modules seen and replaced."""

    reference: Reference

    def z(self, layer: int) -> tuple[nn.Module, bool]:
        """What the heads hand on, side by side: it goes into their output projection."""
        return self.reference.output_projection(layer), True

    def mlp(self, layer: int) -> tuple[nn.Module, bool]:
        """What it adds: Gemma 2 has a norm behind it."""
        block = self.reference.layers[layer]
        return getattr(block, "post_feedforward_layernorm", block.mlp), False

    def queries(self, layer: int) -> tuple[nn.Module, bool]:
        attention = self.reference.attention(layer)
        fused = getattr(attention, "c_attn", getattr(attention, "query_key_value", None))
        return (attention.q_proj if fused is None else fused), False

    def query(self, head: int) -> slice:
        """Where the query of a head stands in what :meth:`queries` puts out."""
        d_head = self.reference.matrices(0)[0].shape[-1]
        step = 3 * d_head if self.reference.kind.config == "GPTNeoX" else d_head
        return slice(head * step, head * step + d_head)

    def run(self, tokens: Tensor, hooks: dict[tuple[nn.Module, bool], Callable[[Tensor], Tensor | None]]) -> Tensor:
        """The logits at the last position."""
        with ExitStack() as stack:
            for (module, before), function in hooks.items():
                stack.callback(_hooked(module, before, function).remove)
            return self.reference.model(tokens).logits[:, -1]

    def seen(self, tokens: Tensor, places: list[tuple[nn.Module, bool]]) -> list[Tensor]:
        caught: dict[tuple[nn.Module, bool], Tensor] = {}
        self.run(tokens, {place: lambda x, place=place: caught.update({place: x}) for place in places})
        return [caught[place] for place in places]


def _hooked(module: nn.Module, before: bool, function: Callable[[Tensor], Tensor | None]):
    def enters(module, inputs):
        new = function(inputs[0])
        return None if new is None else (new, *inputs[1:])

    if before:
        return module.register_forward_pre_hook(enters)
    return module.register_forward_hook(lambda module, inputs, output: function(output))


@pytest.fixture(scope="module", params=FAMILIES)
def both(request, tmp_path_factory) -> tuple[TransformerBridge, Theirs]:
    kind = KINDS[request.param]
    path = str(tmp_path_factory.mktemp("family"))
    build(kind).save_pretrained(path)
    load = transformers.AutoModelForCausalLM.from_pretrained
    theirs = load(path, dtype=torch.float64, attn_implementation="eager").eval().requires_grad_(False)
    return zoo.load(path, device="cpu", dtype=torch.float64), Theirs(Reference(theirs, kind))


def assert_equal(ours: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(ours, theirs, atol=ROUNDING, rtol=0)


def of_head(x: Tensor, head: int) -> Tensor:
    return x.unflatten(-1, (N_HEADS, -1))[..., head, :]


def with_head(old: Tensor, new: Tensor, head: int) -> Tensor:
    """The heads' outputs ``old`` with one head's from ``new``."""
    patched = old.clone()
    of_head(patched, head).copy_(of_head(new, head))
    return patched


def test_activation_patching_of_mlps(both):
    model, theirs = both
    ours = activation_patching(model, CLEAN, CORRUPT, METRIC, site="mlp", only=[1], progress=False)
    (new,) = theirs.seen(CLEAN, [theirs.mlp(1)])
    for position in range(CLEAN.shape[1]):
        here = torch.arange(CLEAN.shape[1])[:, None] == position
        logits = theirs.run(CORRUPT, {theirs.mlp(1): lambda x, here=here: torch.where(here, new, x)})
        assert_equal(ours.values[:, 1, position], METRIC(logits))
    assert ours.effect[:, 1].abs().max() > 1e-3


@pytest.mark.parametrize("site", ["head", "mlp", "residual"])
def test_attribution_patching(both, site):
    model, theirs = both
    block = {"head": theirs.z, "mlp": theirs.mlp, "residual": lambda layer: (theirs.reference.layers[layer], True)}
    places = [block[site](layer) for layer in range(N_LAYERS)]
    new = theirs.seen(CLEAN, places)
    embedding = theirs.reference.model.get_input_embeddings().weight.requires_grad_()
    with torch.enable_grad():
        kept: dict = {}
        logits = theirs.run(CORRUPT, {place: lambda x, place=place: kept.update({place: x}) for place in places})
        old = [kept[place] for place in places]
        gradients = torch.autograd.grad(METRIC(logits).sum(), old)
    embedding.requires_grad_(False)
    slopes = torch.stack([(a - b.detach()) * g for a, b, g in zip(new, old, gradients, strict=True)], 1)
    ours = attribution_patching(model, CLEAN, CORRUPT, METRIC, site=site).effect
    expected = slopes.unflatten(-1, (N_HEADS, -1)).sum(-1).transpose(2, 3) if site == "head" else slopes.sum(-1)
    assert_equal(ours[:, :N_LAYERS], expected)
    assert expected.abs().max() > 1e-3


@pytest.mark.parametrize("site", ["head", "mlp"])
def test_path_patching(both, site):
    """All heads and MLPs frozen but the sender; to a query, what is read there is put into a run of its own."""
    model, theirs = both
    every = [place(layer) for layer in range(N_LAYERS) for place in (theirs.z, theirs.mlp)]
    sender = theirs.z(0) if site == "head" else theirs.mlp(0)
    frozen = dict(zip(every, theirs.seen(CORRUPT, every), strict=True))
    (new,) = theirs.seen(CLEAN, [sender])
    frozen[sender] = with_head(frozen[sender], new, 3) if site == "head" else new
    hooks = {place: lambda x, value=value: value for place, value in frozen.items()}
    unit = (0, 3) if site == "head" else (0,)
    senders = [(0, 3)] if site == "head" else [0]
    straight = path_patching(model, CLEAN, CORRUPT, METRIC, site=site, senders=senders, progress=False)
    assert_equal(straight.values[(slice(None), *unit)], METRIC(theirs.run(CORRUPT, hooks)))

    queries, one = theirs.queries(2), theirs.query(1)
    read: list[Tensor] = []
    theirs.run(CORRUPT, hooks | {queries: lambda x: read.append(x)})

    def put(x: Tensor) -> Tensor:
        x = x.clone()
        x[..., one] = read[0][..., one]
        return x

    given = {"site": site, "senders": senders, "receivers": [(2, 1)], "progress": False}
    through = path_patching(model, CLEAN, CORRUPT, METRIC, **given)
    assert_equal(through.values[(slice(None), *unit)], METRIC(theirs.run(CORRUPT, {queries: put})))
    assert straight.effect.nan_to_num().abs().max() > 1e-3 and through.effect.nan_to_num().abs().max() > 1e-6


def entries_of(theirs: Theirs, tokens: Tensor) -> Tensor:
    """What goes into every layer, and what comes out of the last."""
    into = [(layer, True) for layer in theirs.reference.layers]
    last: list[Tensor] = []

    def keep(module: nn.Module, inputs: object, output: Tensor | tuple) -> None:
        last.append(output[0] if isinstance(output, tuple) else output)

    handle = theirs.reference.layers[-1].register_forward_hook(keep)
    seen = theirs.seen(tokens, into)
    handle.remove()
    return torch.stack([*seen, *last])


def test_a_tuned_lens_is_the_best_affine_map_and_is_read_by_the_models_own_end(both):
    """Least squares by ``lstsq`` of stacked equations, those of the ridge among them."""
    model, theirs = both
    tokens = torch.randint(D_VOCAB, (40, 8), generator=torch.Generator().manual_seed(1))
    lens = stream.fit_tuned_lens(model, tokens, start="least-squares", steps=0, ridge=1e-2, progress=False)
    assert (lens.kl_after <= lens.kl_before).all() and (lens.kl_after < lens.kl_before).sum() >= 1
    entries = entries_of(theirs, tokens).flatten(1, 2)
    weights = 1 / entries[-1].square().mean(-1, keepdim=True)
    for layer in range(N_LAYERS):
        x, missing = entries[layer], entries[-1] - entries[layer]
        means = [(weights * side).sum(0) / weights.sum() for side in (x, missing)]
        root = (weights / weights.sum()).sqrt()
        centred = [root * (side - mean) for side, mean in zip((x, missing), means, strict=True)]
        ridge = (1e-2 * centred[0].square().sum(0).mean()).sqrt() * torch.eye(D_MODEL, dtype=torch.float64)
        rows = torch.cat([centred[0], ridge]), torch.cat([centred[1], torch.zeros_like(ridge)])
        expected = torch.linalg.lstsq(*rows).solution.T
        if lens.weight[layer].any():
            torch.testing.assert_close(lens.weight[layer].double(), expected, atol=1e-4, rtol=1e-4)
            torch.testing.assert_close(lens.bias[layer].double(), means[1] - expected @ means[0], atol=1e-4, rtol=1e-4)
    found = stream.layer_log_probs(model, CLEAN, lens=lens)
    translated = entries_of(theirs, CLEAN)
    translated[:-1] += torch.einsum("lbpi,loi->lbpo", translated[:-1], lens.weight) + lens.bias[:, None, None]
    assert_equal(found, theirs.reference.read_out(translated).log_softmax(-1))


def test_a_jacobian_lens_is_the_mean_gradient(both):
    model, theirs = both
    ours = stream.fit_jacobian_lens(model, CLEAN[:1], skip=2, progress=False).weight
    embedding = theirs.reference.model.get_input_embeddings().weight.requires_grad_()
    counted = slice(2, CLEAN.shape[1] - 1)
    with torch.enable_grad():
        kept: list[Tensor] = []
        hooks = {(layer, True): kept.append for layer in theirs.reference.layers}
        last: list[Tensor] = []
        handle = _hooked(theirs.reference.layers[-1], False, lambda y: last.append(y[0] if isinstance(y, tuple) else y))
        theirs.run(CLEAN[:1], hooks)
        handle.remove()
        expected = [
            torch.stack([g[0, counted].mean(0) for g in torch.autograd.grad(out, kept, retain_graph=True)])
            for out in last[0][0, counted].sum(0)
        ]
    embedding.requires_grad_(False)
    assert_equal(ours, torch.stack(expected, 1))


def test_scores_of_heads_are_attention(both):
    model, theirs = both
    attention = torch.stack(theirs.reference.model(CLEAN, output_attentions=True).attentions)
    scores = heads.head_scores(model, CLEAN)
    previous = attention.diagonal(-1, dim1=-2, dim2=-1).sum(-1).mean(1) / CLEAN.shape[1]
    torch.testing.assert_close(scores.previous_token.double(), previous, atol=ROUNDING, rtol=0)


def test_interchange_of_a_whole_entry_is_the_source(both):
    model, theirs = both
    base, source = torch.randint(D_VOCAB, (2, 12, 5), generator=torch.Generator().manual_seed(3))
    answers = [theirs.run(run, {})[:, [3, 7, 11]].argmax(-1) for run in (base, source)]
    classes = torch.tensor([3, 7, 11])
    result = interchange(model, base, source, answers[1], classes, entry=N_LAYERS, rank=2, epochs=1, placebos=1)
    assert result.held_out[WHOLE] == 1
    assert result.held_out[NOTHING] == pytest.approx((answers[0] == answers[1])[6:].double().mean())
