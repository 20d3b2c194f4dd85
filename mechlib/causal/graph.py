"""A model of attention only as a graph, whose edges can be cut one by one.

The stream that a head reads is a sum: the embedding, and what each head below has added. So every pair of a sender and
a receiver is an edge, and the receivers are the queries, keys and values of each head apart, and the logits
(Conmy et al. 2023, "Towards Automated Circuit Discovery", arXiv:2304.14997; Heimersheim and Janiak 2023). A gate of 1
lets the sender's output through, a gate of 0 puts something else in its place on this edge alone: zeros, a mean, or
what the sender puts out in another run. What a circuit is worth depends on which (Miller, Chughtai and Saunders 2024,
arXiv:2407.08734).

A gate can lie between, and the slope of a metric along all gates is had from one backward pass (edge attribution
patching, Syed et al. 2023, arXiv:2310.10348), or, averaged on the way from nothing to the whole model, with little
error from what saturates (Hanna et al. 2024, arXiv:2403.17806).

>>> import torch
>>> from mechlib import zoo
>>> graph = attention_graph(zoo.load("code-2l", device="cpu"))
>>> len(graph.senders), len(graph.receivers), int(graph.there.sum())
(9, 25, 81)
>>> tokens = torch.randint(300, 2000, (4, 10), generator=torch.Generator().manual_seed(0))
>>> logits = graph.logits(tokens, gates=graph.gates([("embed", "logits")]), instead="zero")
>>> bool((logits.argmax(-1) == tokens[:, -1]).all())
True
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import layer_norm

from mechlib.bridge import TransformerBridge, require_bridge
from mechlib.bridge.norms import norm_at
from mechlib.causal.metrics import Metric, evaluated
from mechlib.stream.inputs import checked_tokens
from mechlib.stream.running import at_rest, run_reading

Edge = tuple[str, str]
"""A sender, ``"embed"`` or a head ``"0.3"``, and a receiver, ``"1.2 q"``, ``"1.2 k"``, ``"1.2 v"`` or ``"logits"``."""
Instead = Literal["zero", "mean"] | Float[Tensor, "sender row pos d_model"]
INPUTS = "qkv"
LARGEST_GAP = 1e-3


@dataclass(frozen=True)
class Graph:
    """The senders, receivers and edges of a model of attention only."""

    model: TransformerBridge
    senders: tuple[str, ...]
    """``"embed"``, then the heads, layer by layer."""
    receivers: tuple[str, ...]
    """The queries, keys and values of the heads, layer by layer, then ``"logits"``."""

    @cached_property
    def there(self) -> Tensor:
        """Where an edge is, ``[receiver, sender]``, of booleans: from a layer to a later one."""
        depth = torch.tensor([-1, *(int(name.split(".")[0]) for name in self.senders[1:])])
        reads = torch.tensor([*(int(name.split(".")[0]) for name in self.receivers[:-1]), self.model.cfg.n_layers])
        return (depth[None] < reads[:, None]).to(self.model.W_U.device)

    @property
    def edges(self) -> list[Edge]:
        """All edges, receiver by receiver."""
        return self.named(self.there)

    def gates(self, edges: Iterable[Edge]) -> Float[Tensor, "receiver sender"]:
        """1 at the given edges, 0 elsewhere.

        Raises:
            ValueError: if the model has no such edge.
        """
        found = torch.zeros_like(self.there, dtype=torch.float32)
        for sender, receiver in edges:
            known = sender in self.senders and receiver in self.receivers
            if not known or not self.there[place := (self.receivers.index(receiver), self.senders.index(sender))]:
                raise ValueError(
                    f"there is no edge {(sender, receiver)!r}; one leads from 'embed' or a head such as '0.1' to a "
                    "head of a later layer such as '1.0 q', or to 'logits'"
                )
            found[place] = 1.0
        return found

    def named(self, gates: Tensor) -> list[Edge]:
        """The edges whose gates are not 0."""
        return [(self.senders[s], self.receivers[r]) for r, s in (gates * self.there).nonzero().tolist()]

    def outputs(self, tokens: Int[Tensor, "row pos"]) -> Float[Tensor, "sender row pos d_model"]:
        """What every sender adds to the stream in an ordinary run."""
        return torch.stack(self._run(checked_tokens(self.model, tokens), None, None))

    def logits(
        self,
        tokens: Int[Tensor, "row pos"],
        *,
        gates: Float[Tensor, "receiver sender"] | None = None,
        instead: Instead = "zero",
        at: int = -1,
    ) -> Float[Tensor, "row d_vocab"]:
        """The logits at one position with every edge as open as its gate.

        Senders are computed from what reaches them, so that a cut edge changes all that follows.

        Args:
            gates: from 0, cut, to 1, open; all open when left out. Where no edge is they have no effect.
            instead: what stands in the place of a sender on a cut edge: ``"zero"``; ``"mean"``, its mean over these
                rows at each position; or outputs of the senders in another run, as :meth:`outputs` gives them, of
                whose rows there may be one for all.
            at: the position whose logits are wanted.

        Raises:
            TypeError: if ``tokens`` are no integers.
            ValueError: if they are no token ids of the model, or gates or ``instead`` are of another shape.
        """
        tokens = checked_tokens(self.model, tokens)
        if gates is None:
            stream = torch.stack(self._run(tokens, None, None)).sum(0)[:, at]
            return self._unembedded(stream)
        other = self._other(tokens, instead)
        if gates.shape != self.there.shape:
            raise ValueError(f"gates have the shape {tuple(self.there.shape)}, not {tuple(gates.shape)}")
        gates = gates.to(self.there.device)
        now, then = (x[:, :, at] for x in (torch.stack(self._run(tokens, gates * self.there, other)), other))
        return self._unembedded(then.sum(0) + torch.einsum("s,srd->rd", gates[-1], now - then))

    def attribution(
        self, tokens: Int[Tensor, "row pos"], metric: Metric, *, instead: Instead = "mean", steps: int = 5, at: int = -1
    ) -> Float[Tensor, "receiver sender"]:
        """What opening each edge adds to the mean of a metric, to first order: the slope along its gate.

        The mean slope at ``steps`` points of the way from all gates shut to all open, in the middle of as many equal
        parts; with one step it is the slope half way. The sum over all edges is then near what the whole model has over
        nothing (Hanna et al. 2024).

        Raises:
            ValueError: if ``steps`` is below 1; otherwise as :meth:`logits`.
        """
        if steps < 1:
            raise ValueError(f"steps is at least 1, got {steps}")
        other = self._other(checked_tokens(self.model, tokens), instead)
        total = torch.zeros_like(self.there, dtype=other.dtype)
        for step in range(steps):
            gates = (self.there * ((step + 0.5) / steps)).requires_grad_()
            with torch.enable_grad():
                value = evaluated(metric, self.logits(tokens, gates=gates, instead=other, at=at)).mean()
                total += torch.autograd.grad(value, gates)[0]
        return total / steps * self.there

    def _other(self, tokens: Tensor, instead: Instead) -> Float[Tensor, "sender row pos d_model"]:
        if isinstance(instead, Tensor):
            wanted = (len(self.senders), (1, len(tokens)), tokens.shape[1], self.model.cfg.d_model)
            shape = tuple(instead.shape)
            if len(shape) != 4 or shape[1] not in wanted[1] or (shape[0], *shape[2:]) != (wanted[0], *wanted[2:]):
                raise ValueError(f"instead has the axes [sender, row, pos, d_model], {wanted} here, not {shape}")
            return instead.to(tokens.device).expand(-1, len(tokens), -1, -1)
        if instead not in get_args(get_args(Instead)[0]):
            raise ValueError(f"instead is 'zero', 'mean' or outputs of another run, not {instead!r}")
        outputs = self.outputs(tokens)
        return torch.zeros_like(outputs) if instead == "zero" else outputs.mean(1, keepdim=True).expand_as(outputs)

    def _run(self, tokens: Tensor, gates: Tensor | None, other: Tensor | None) -> list[Tensor]:
        """What every sender puts out."""
        cfg, weights = self.model.cfg, self._weights
        outputs = [self._embedded(tokens)]
        future = torch.ones(tokens.shape[1], tokens.shape[1], dtype=torch.bool, device=tokens.device).triu(1)
        for layer in range(cfg.n_layers):
            below = torch.stack(outputs)
            if gates is None or other is None:
                read = below.sum(0).expand(3 * cfg.n_heads, *below.shape[1:])
            else:
                n, first = len(outputs), 3 * cfg.n_heads * layer
                own = gates[first : first + 3 * cfg.n_heads, :n]
                read = other[:n].sum(0) + torch.einsum("is,srpd->irpd", own, below - other[:n])
            gain, bias = weights["ln1"][layer]
            read = layer_norm(read, read.shape[-1:], gain, bias, cfg.eps).unflatten(0, (cfg.n_heads, 3))
            q, k, v = (
                torch.einsum("hrpd,hde->rhpe", read[:, i], weights[f"W_{name}"][layer])
                + weights[f"b_{name}"][layer][:, None]
                for i, name in enumerate("QKV")
            )
            scores = q @ k.transpose(-1, -2) / cfg.d_head**0.5
            z = scores.masked_fill(future, -torch.inf).softmax(-1) @ v
            shared = weights["b_O"][layer] / cfg.n_heads
            outputs += list(torch.einsum("rhpe,hed->hrpd", z, weights["W_O"][layer]) + shared)
        return outputs

    def _embedded(self, tokens: Tensor) -> Float[Tensor, "row pos d_model"]:
        caught: list[Tensor] = []
        with at_rest(self.model):
            run_reading(self.model, tokens, [("blocks.0.hook_resid_pre", lambda x, hook: caught.append(x.clone()))])
        return caught[0]

    def _unembedded(self, stream: Float[Tensor, "row d_model"]) -> Float[Tensor, "row d_vocab"]:
        gain, bias = self._weights["final"][0]
        return layer_norm(stream, stream.shape[-1:], gain, bias, self.model.cfg.eps) @ self.model.W_U.detach()

    @cached_property
    def _weights(self) -> dict[str, list]:
        names = ("W_Q", "W_K", "W_V", "W_O", "b_Q", "b_K", "b_V", "b_O")
        found: dict[str, list] = {name: [w.detach() for w in getattr(self.model, name)] for name in names}
        norms = [norm_at(block, "ln1") for block in self.model.blocks]
        for key, own in (("ln1", norms), ("final", [norm_at(self.model, "ln_final")])):
            if any(norm is None or norm.bias is None for norm in own):
                raise ValueError("a graph is of a model with LayerNorms before its layers and before the unembedding")
            found[key] = [(norm.gain.detach(), norm.bias.detach()) for norm in own if norm and norm.bias is not None]
        return found


def attention_graph(model: TransformerBridge) -> Graph:
    """The graph of a model of attention only, with learned positions and LayerNorms.

    A layer's bias ``b_O`` belongs to its heads in equal parts.

    Raises:
        ValueError: if the model is another, so that the graph does not compute what it does.
    """
    require_bridge(model)
    heads = [f"{layer}.{head}" for layer in range(model.cfg.n_layers) for head in range(model.cfg.n_heads)]
    graph = Graph(model, ("embed", *heads), (*(f"{head} {kind}" for head in heads for kind in INPUTS), "logits"))
    probe = torch.arange(min(8, model.cfg.d_vocab), device=model.W_U.device)[None]
    with torch.no_grad(), at_rest(model):
        gap = (graph.logits(probe) - model(probe)[:, -1]).abs().max().item()
    if not gap < LARGEST_GAP:
        raise ValueError(f"the model is not one of attention only with LayerNorms: its logits differ by {gap:.2g}")
    return graph
