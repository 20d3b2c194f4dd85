"""Small random models of many kinds, built by ``transformers``, and what is read off their own modules and weights.

Nothing here comes from mechlib or TransformerLens: it is what both are held to.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
import transformers
from torch import Tensor, nn

N_LAYERS, N_HEADS, D_MODEL, D_VOCAB, N_POS = 3, 4, 16, 23, 12

LLAMA = {
    "vocab_size": D_VOCAB,
    "hidden_size": D_MODEL,
    "num_hidden_layers": N_LAYERS,
    "num_attention_heads": N_HEADS,
    "intermediate_size": 20,
    "max_position_embeddings": 16,
    "pad_token_id": 1,
    "bos_token_id": 1,
    "eos_token_id": 1,
}
GPT2 = {"vocab_size": D_VOCAB, "n_positions": 16, "n_embd": D_MODEL, "n_layer": N_LAYERS, "n_head": N_HEADS}
NEO = {
    "vocab_size": D_VOCAB,
    "hidden_size": D_MODEL,
    "num_layers": N_LAYERS,
    "num_heads": N_HEADS,
    "intermediate_size": 20,
    "max_position_embeddings": 16,
    "attention_types": [[["global", "local", "global"], 1]],
    "window_size": 4,
}
OPT = {key: LLAMA[key] for key in LLAMA if key != "intermediate_size"} | {"ffn_dim": 20, "word_embed_proj_dim": D_MODEL}
BLOOM = {"vocab_size": D_VOCAB, "hidden_size": D_MODEL, "n_layer": N_LAYERS, "n_head": N_HEADS}
FALCON = {key: LLAMA[key] for key in LLAMA if key != "intermediate_size"} | {"multi_query": False}
GROUPS = {"num_key_value_heads": 2}
SLIDING = {"sliding_window": 4, "layer_types": ["sliding_attention", "full_attention", "sliding_attention"]}
GRANITE = {"embedding_multiplier": 3.0, "residual_multiplier": 0.4, "logits_scaling": 2.0, "attention_multiplier": 0.3}


@dataclass(frozen=True)
class Kind:
    config: str
    """The name of the configuration's class in ``transformers``, without ``Config``."""
    options: dict[str, object]
    before: str | None = "input_layernorm"
    """The norm before attention, in a layer of the model."""
    after: str | None = None
    """The norm of what attention adds."""
    scale: Callable[[int], float] | None = None
    """What a layer's scores are multiplied by, where that is not ``1 / sqrt(d_head)``."""
    foldable: bool = True


KINDS = {
    "gpt2": Kind("GPT2", GPT2, "ln_1"),
    "gpt2 untied": Kind("GPT2", GPT2 | {"tie_word_embeddings": False}, "ln_1"),
    "gpt2 inverse": Kind(
        "GPT2", GPT2 | {"scale_attn_by_inverse_layer_idx": True}, "ln_1", None, lambda i: 0.5 / (i + 1)
    ),
    "gpt-neo": Kind("GPTNeo", NEO, "ln_1", None, lambda i: 1.0),
    "gpt-neox": Kind("GPTNeoX", LLAMA | {"rotary_pct": 0.5}),
    "gpt-neox serial": Kind("GPTNeoX", LLAMA | {"use_parallel_residual": False}),
    "gpt-j": Kind("GPTJ", GPT2 | {"rotary_dim": 2}, "ln_1"),
    "llama": Kind("Llama", LLAMA),
    "llama grouped": Kind("Llama", LLAMA | GROUPS | {"head_dim": 6, "attention_bias": True, "mlp_bias": True}),
    "llama one group": Kind("Llama", LLAMA | {"num_key_value_heads": 1, "tie_word_embeddings": True}),
    "mistral": Kind("Mistral", LLAMA | GROUPS | {"sliding_window": 4}),
    "mistral ungrouped": Kind("Mistral", LLAMA | {"num_key_value_heads": 4, "sliding_window": None}),
    "qwen2": Kind("Qwen2", LLAMA | GROUPS),
    "qwen2 sliding": Kind(
        "Qwen2", LLAMA | GROUPS | {"use_sliding_window": True, "sliding_window": 4, "max_window_layers": 1}
    ),
    "qwen3": Kind("Qwen3", LLAMA | GROUPS | {"head_dim": 6}),
    "gemma": Kind("Gemma", LLAMA | GROUPS | {"head_dim": 6}),
    "gemma2": Kind(
        "Gemma2",
        LLAMA | GROUPS | SLIDING | {"head_dim": 6, "query_pre_attn_scalar": 9},
        after="post_attention_layernorm",
        scale=lambda i: 1 / 3,
    ),
    "gemma2 uncapped": Kind(
        "Gemma2",
        LLAMA
        | {"num_key_value_heads": 4, "head_dim": 4, "query_pre_attn_scalar": 9}
        | {"attn_logit_softcapping": None, "final_logit_softcapping": None},
        after="post_attention_layernorm",
        scale=lambda i: 1 / 3,
    ),
    "gemma3": Kind(
        "Gemma3Text",
        LLAMA | GROUPS | SLIDING | {"head_dim": 6, "query_pre_attn_scalar": 9},
        after="post_attention_layernorm",
        scale=lambda i: 1 / 3,
    ),
    "phi": Kind("Phi", LLAMA),
    "phi grouped": Kind("Phi", LLAMA | GROUPS),
    "phi3": Kind("Phi3", LLAMA | GROUPS),
    "olmo": Kind("Olmo", LLAMA),
    "olmo grouped": Kind("Olmo", LLAMA | GROUPS | {"clip_qkv": 0.5}),
    "olmo2": Kind("Olmo2", LLAMA, None, "post_attention_layernorm"),
    "olmo2 grouped": Kind("Olmo2", LLAMA | GROUPS, None, "post_attention_layernorm"),
    "olmo3": Kind("Olmo3", LLAMA | GROUPS, None, "post_attention_layernorm"),
    "opt": Kind("OPT", OPT, "self_attn_layer_norm"),
    "opt without weights of norms": Kind(
        "OPT", OPT | {"layer_norm_elementwise_affine": False, "enable_bias": False}, "self_attn_layer_norm"
    ),
    "opt without final norm": Kind("OPT", OPT | {"_remove_final_layer_norm": True}, "self_attn_layer_norm"),
    "opt narrow": Kind("OPT", OPT | {"word_embed_proj_dim": 8}, "self_attn_layer_norm"),
    "opt normed after": Kind("OPT", OPT | {"do_layer_norm_before": False}, foldable=False),
    "opt normed after, narrow": Kind(
        "OPT", OPT | {"do_layer_norm_before": False, "word_embed_proj_dim": 8}, foldable=False
    ),
    "bloom": Kind("Bloom", BLOOM),
    "bloom normed stream": Kind("Bloom", BLOOM | {"apply_residual_connection_post_layernorm": True}, foldable=False),
    "falcon": Kind("Falcon", FALCON),
    "falcon one group": Kind("Falcon", FALCON | {"multi_query": True}),
    "falcon alibi": Kind("Falcon", FALCON | {"parallel_attn": False, "alibi": True, "bias": True}),
    "granite": Kind("Granite", LLAMA | GROUPS | GRANITE, scale=lambda i: 0.3),
    "cohere": Kind("Cohere", LLAMA | GROUPS | {"logit_scale": 0.3}),
    "cohere normed queries": Kind("Cohere", LLAMA | GROUPS | {"use_qk_norm": True}),
    "cohere2": Kind("Cohere2", LLAMA | GROUPS | SLIDING | {"logit_scale": 0.3}),
    "exaone4": Kind("Exaone4", LLAMA | GROUPS, None, "post_attention_layernorm"),
    "smollm3": Kind("SmolLM3", LLAMA | GROUPS),
    "stablelm": Kind("StableLm", LLAMA | GROUPS | {"partial_rotary_factor": 0.5}),
    "starcoder2": Kind("Starcoder2", LLAMA | GROUPS),
    "gpt-bigcode": Kind("GPTBigCode", GPT2, "ln_1"),
    "nemotron": Kind("Nemotron", LLAMA | GROUPS | {"head_dim": 4}),
}


def build(kind: Kind, scale: float = 0.35) -> nn.Module:
    """A model in single precision: every parameter normal, those of norms around .7."""
    config = getattr(transformers, f"{kind.config}Config")(**kind.options)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = transformers.AutoModelForCausalLM.from_config(config).float()
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                parameter.normal_(0.7 if "norm" in name or "ln_" in name else 0.0, scale)
    return model.eval()


def module_at(model: nn.Module, *paths: str) -> nn.Module | None:
    """The first of the paths at which there is a module."""
    for path in paths:
        here = model
        for name in path.split("."):
            here = getattr(here, name, None)
        if here is not None:
            return here
    return None


@dataclass
class Reference:
    """A model of ``transformers`` in double precision."""

    model: nn.Module
    kind: Kind
    layers: nn.ModuleList = field(init=False)
    final_norm: nn.Module | None = field(init=False)

    def __post_init__(self) -> None:
        stacks = ("transformer.h", "gpt_neox.layers", "model.decoder.layers", "model.layers")
        self.layers = module_at(self.model, *stacks)
        self.final_norm = module_at(
            self.model,
            "transformer.ln_f",
            "gpt_neox.final_layer_norm",
            "model.final_layernorm",
            "model.decoder.final_layer_norm",
            "model.norm",
        )

    def read_out(self, hidden: Tensor) -> Tensor:
        """Through the model's own final norm and head, and what it does to its logits."""
        config = self.model.config
        logits = hidden if self.final_norm is None else self.final_norm(hidden)
        for part in self.head:
            logits = part(logits)
        logits = logits * self.logits_factor
        cap = getattr(config, "final_logit_softcapping", None)
        return logits if cap is None else cap * torch.tanh(logits / cap)

    @property
    def head(self) -> list[nn.Module]:
        """What turns a normed vector into logits."""
        project_out = module_at(self.model, "model.decoder.project_out")
        return [part for part in (project_out, self.model.get_output_embeddings()) if part is not None]

    @property
    def logits_factor(self) -> float:
        config = self.model.config
        return getattr(config, "logit_scale", 1.0) / getattr(config, "logits_scaling", 1.0)

    def attention(self, layer: int) -> nn.Module:
        return module_at(self.layers[layer], "attn.attention", "attn", "attention", "self_attn", "self_attention")

    def output_projection(self, layer: int) -> nn.Module:
        return module_at(self.attention(layer), "c_proj", "out_proj", "dense", "o_proj")

    def scale(self, layer: int) -> float:
        own = self.kind.scale
        return self.matrices(layer)[0].shape[-1] ** -0.5 if own is None else own(layer)

    def matrices(self, layer: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Query and output ``[head, ...]``, key and value ``[group, ...]``, in the convention "row times matrix"."""
        attention, out = self.attention(layer), self.output_projection(layer).weight.detach()
        out = out if type(self.output_projection(layer)).__name__ == "Conv1D" else out.T
        d_head = out.shape[0] // N_HEADS
        if (fused := module_at(attention, "c_attn", "query_key_value", "qkv_proj")) is None:
            parts = [getattr(attention, f"{name}_proj").weight.detach() for name in "qkv"]
        else:
            weight = fused.weight.detach()
            weight = weight.T if type(fused).__name__ == "Conv1D" else weight
            groups = (len(weight) // d_head - N_HEADS) // 2
            if (
                type(self.model).__name__ in ("GPTNeoXForCausalLM", "BloomForCausalLM", "FalconForCausalLM")
                and groups > 1
            ):
                parts = [w.flatten(0, 1) for w in weight.unflatten(0, (N_HEADS, 3, d_head)).unbind(1)]
            else:
                parts = weight.split([N_HEADS * d_head, groups * d_head, groups * d_head])
        query, key, value = (w.unflatten(0, (-1, d_head)).mT for w in parts)
        return query, key, value, out.unflatten(0, (N_HEADS, d_head))

    def stored_embedding(self) -> tuple[Tensor, Tensor]:
        """The embedding and unembedding as they are stored, through the projections of a narrow one."""
        embed, unembed = self.model.get_input_embeddings().weight, self.model.get_output_embeddings().weight.T
        if (project_in := module_at(self.model, "model.decoder.project_in")) is not None:
            project_out = self.model.model.decoder.project_out
            embed, unembed = embed @ project_in.weight.T, project_out.weight.T @ unembed
        return embed.detach(), unembed.detach()

    def embedding(self) -> Tensor:
        """What each token puts into the stream, without a position."""
        embed, _ = self.stored_embedding()
        if (norm := module_at(self.model, "transformer.word_embeddings_layernorm")) is not None:
            return undivided(norm, embed)
        if module_at(self.model, "transformer.wpe", "model.decoder.embed_positions") is not None:
            return embed
        return self.model(torch.arange(D_VOCAB)[:, None], output_hidden_states=True).hidden_states[0][:, 0]

    def reads(self, layer: int, stream: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Query, key and value ``[head, row, d_head]`` of rows of the stream, linear in them: norms do not divide."""
        block, attention = self.layers[layer], self.attention(layer)
        normed = undivided(module_at(block, self.kind.before or "none"), stream)
        query, key, value, _ = self.matrices(layer)
        vectors = [torch.einsum("rd,hdk->rhk", normed, w) for w in (query, key, value)]
        for index, name in enumerate(("q_norm", "k_norm")):
            if (norm := module_at(attention, name)) is not None:
                flat = norm.weight.numel() == vectors[index][0].numel() and norm.weight.dim() == 1
                normed = undivided(norm, vectors[index].flatten(1) if flat else vectors[index])
                vectors[index] = normed.reshape(vectors[index].shape)
        query, key, value = (v.transpose(0, 1) for v in vectors)
        return query, *(w.repeat_interleave(N_HEADS // len(w), 0) for w in (key, value))

    def writes(self, layer: int, value: Tensor) -> Tensor:
        """What ``value[head, row, d_head]`` adds to the stream, linear in it."""
        added = value @ self.matrices(layer)[3]
        added = undivided(module_at(self.layers[layer], self.kind.after or "none"), added)
        return added * getattr(self.model.config, "residual_multiplier", 1.0)

    def added_by_heads(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """What every head adds to the stream, ``[layer, head, batch, pos, d_model]``, and the stream at its end.

        From a run on ``tokens``, with the divisions of a norm behind attention as they are there.
        """
        caught: dict[str, Tensor] = {}
        handles = [module.register_forward_hook(self._keeping(name, caught)) for name, module in self._ends().items()]
        self.model(tokens)
        for handle in handles:
            handle.remove()
        added = []
        for layer in range(N_LAYERS):
            outputs = caught[f"into {layer}"].unflatten(-1, (N_HEADS, -1)).movedim(-2, 0)
            written = self.writes(layer, outputs.flatten(1, 2)).unflatten(1, tokens.shape)
            if (norm := module_at(self.layers[layer], self.kind.after or "none")) is not None:
                whole = caught[f"out of {layer}"]
                written = written * ((norm(whole) - norm(0 * whole)) / undivided(norm, whole)).nanmean(-1, keepdim=True)
            added.append(written)
        return torch.stack(added), caught["into the end"]

    def _ends(self) -> dict[str, nn.Module]:
        ends = {str(layer): self.output_projection(layer) for layer in range(N_LAYERS)}
        return ends | {"the end": self.final_norm or self.head[0]}

    @staticmethod
    def _keeping(name: str, caught: dict[str, Tensor]) -> Callable[..., None]:
        def keep(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            caught[f"into {name}"], caught[f"out of {name}"] = inputs[0], output

        return keep

    @property
    def removes_means(self) -> bool:
        return self.final_norm is not None and "RMS" not in type(self.final_norm).__name__


def undivided(norm: nn.Module | None, x: Tensor) -> Tensor:
    """A norm without its division and its bias, by its own forward pass on vectors so long that epsilon is nothing."""
    if norm is None:
        return x
    longer = 1e4 * x
    centred = longer if "RMS" in type(norm).__name__ else longer - longer.mean(-1, keepdim=True)
    divisor = centred.square().mean(-1, keepdim=True).sqrt()
    return (norm(longer) - norm(torch.zeros_like(x))) * divisor / 1e4
