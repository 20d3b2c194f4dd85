"""A Llama in GGUF, the format of llama.cpp, as a folder of ``transformers``: dequantised, in half precision.

GGUF keeps the rows of the query and key matrices in the order of llama.cpp's rotation, which turns neighbouring
entries together; ``transformers`` turns the two halves of a head. Every row is put back in its place. The text is cut
by byte-level BPE with the merges that the file has; how it is split before that the file names by one word, of which
``SPLITS`` has the meaning.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

if TYPE_CHECKING:
    from gguf import GGUFReader, ReaderTensor
    from tokenizers import Tokenizer
    from tokenizers.pre_tokenizers import PreTokenizer

NAMES = {
    "token_embd": "model.embed_tokens",
    "output": "lm_head",
    "output_norm": "model.norm",
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
"""What the parts of a Llama are called in GGUF and in ``transformers``; those of a layer by their ends."""

SPLITS = {"gpt-2": (), "smollm": ("digits",)}
"""What happens, by the word of ``tokenizer.ggml.pre``, before a text is split as GPT-2's: every digit on its own."""

SPECIAL = 3
"""The type of a token that stands for no text (``CONTROL`` in GGUF)."""


def convert(file: Path, folder: Path) -> None:
    """Write configuration, weights in half precision and tokenizer of the Llama in ``file`` into a new ``folder``.

    Raises:
        ValueError: if the file is no GGUF, or holds another kind of model or tokenizer, or a part that is not known.
    """
    from gguf import GGUFReader
    from transformers import LlamaConfig, PreTrainedTokenizerFast  # takes seconds, which loading does not need

    reader = GGUFReader(file)
    _require(reader, "general.architecture", ["llama"])
    _require(reader, "tokenizer.ggml.model", ["gpt2"])
    _require(reader, "tokenizer.ggml.pre", list(SPLITS))
    weights = {_name(tensor.name): _weight(tensor, reader) for tensor in reader.tensors}
    folder.mkdir()
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    options: dict[str, Any] = {**_sizes(reader), **_marks(reader, "token_id")}
    options |= {"tie_word_embeddings": "lm_head.weight" not in weights, "dtype": "float16"}
    config = LlamaConfig(**options, architectures=["LlamaForCausalLM"])
    config.save_pretrained(folder)
    tokens = _read(reader, "tokenizer.ggml.tokens")
    marks = {mark: tokens[number] for mark, number in _marks(reader, "token").items()}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=_its_tokenizer(reader),
        **marks,
        add_bos_token=bool(_read(reader, "tokenizer.ggml.add_bos_token", False)),
        chat_template=_read(reader, "tokenizer.chat_template", None),
        model_max_length=config.max_position_embeddings,
        clean_up_tokenization_spaces=False,
    )
    tokenizer.save_pretrained(folder)


def _read(reader: GGUFReader, key: str, *default: Any) -> Any:
    field = reader.fields.get(key)
    if field is None and not default:
        raise ValueError(f"the GGUF file has no {key}")
    return default[0] if field is None else field.contents()


def _require(reader: GGUFReader, key: str, known: list[str]) -> None:
    if (found := _read(reader, key)) not in known:
        raise ValueError(f"the GGUF file has {key} {found!r}; known here: {', '.join(known)}")


def _sizes(reader: GGUFReader) -> dict[str, Any]:
    """The sizes and numbers of the model, by the names of ``LlamaConfig``."""

    def of(key: str, *default: Any) -> Any:
        return _read(reader, f"llama.{key}", *default)

    width, n_heads = of("embedding_length"), of("attention.head_count")
    epsilon = np.float32(of("attention.layer_norm_rms_epsilon"))
    return {
        "vocab_size": len(_read(reader, "tokenizer.ggml.tokens")),
        "hidden_size": width,
        "intermediate_size": of("feed_forward_length"),
        "num_hidden_layers": of("block_count"),
        "num_attention_heads": n_heads,
        "num_key_value_heads": of("attention.head_count_kv", n_heads),
        "head_dim": of("rope.dimension_count", width // n_heads),
        "max_position_embeddings": of("context_length"),
        "rms_norm_eps": float(str(epsilon)),  # 1e-05, not the nearest number of single precision
        "rope_parameters": {"rope_type": "default", "rope_theta": float(of("rope.freq_base", 10_000.0))},
    }


def _marks(reader: GGUFReader, ending: str) -> dict[str, int]:
    """The tokens that begin and end a text, fill up rows and stand for the unknown."""
    words = {"bos": "bos", "eos": "eos", "pad": "padding", "unk": "unknown"}
    found = {mark: _read(reader, f"tokenizer.ggml.{word}_token_id", None) for mark, word in words.items()}
    return {f"{mark}_{ending}": number for mark, number in found.items() if number is not None}


def _name(name: str) -> str:
    """The name in ``transformers`` of a tensor: ``model.layers.0.mlp.up_proj.weight`` for ``blk.0.ffn_up.weight``."""
    found = re.fullmatch(r"(?:blk\.(?P<layer>\d+)\.)?(?P<part>\w+)\.weight", name)
    if found is None or found["part"] not in NAMES:
        raise ValueError(f"the GGUF file has {name}, which is no part of a Llama that is known here")
    layer = "" if found["layer"] is None else f"model.layers.{found['layer']}."
    return f"{layer}{NAMES[found['part']]}.weight"


def _weight(tensor: ReaderTensor, reader: GGUFReader) -> Tensor:
    from gguf.quants import dequantize

    values = torch.from_numpy(np.array(dequantize(tensor.data, tensor.tensor_type))).half()
    heads = {"attn_q": "head_count", "attn_k": "head_count_kv"}.get(tensor.name.split(".")[-2])
    if heads is None:
        return values
    n_heads = _read(reader, f"llama.attention.{heads}", _read(reader, "llama.attention.head_count"))
    return values.unflatten(0, (n_heads, -1, 2)).transpose(1, 2).flatten(0, 2).contiguous()


def _its_tokenizer(reader: GGUFReader) -> Tokenizer:
    from tokenizers import AddedToken, Tokenizer, decoders, models

    tokens = _read(reader, "tokenizer.ggml.tokens")
    merges = [tuple(pair.split(" ")) for pair in _read(reader, "tokenizer.ggml.merges")]
    tokenizer = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(tokens)}, merges=merges))
    tokenizer.pre_tokenizer = _split(_read(reader, "tokenizer.ggml.pre"))
    tokenizer.decoder = decoders.ByteLevel()
    types = _read(reader, "tokenizer.ggml.token_type")
    special = [token for token, kind in zip(tokens, types, strict=True) if kind == SPECIAL]
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    return tokenizer


def _split(word: str) -> PreTokenizer:
    from tokenizers import pre_tokenizers

    steps = {"digits": pre_tokenizers.Digits(individual_digits=True)}
    last = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return pre_tokenizers.Sequence([*(steps[step] for step in SPLITS[word]), last])
