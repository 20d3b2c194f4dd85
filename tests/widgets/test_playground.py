"""What the playground's rooms are given: weights of the zoo, the tokeniser's table, and files beside a page."""

import json

import pytest
import torch
from safetensors.torch import load

from mechlib import text, zoo
from mechlib.widgets.playground import TextExplorer, models, served

MEGABYTE = 1e6
LATER = {"code-4l-mlp.safetensors"}
"""What is fetched at a click."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The files beside a page."""
    folder = tmp_path_factory.mktemp("playground")
    served.write(folder)
    return folder


@pytest.mark.parametrize("name", models.LANGUAGE)
def test_weights_are_the_models_own(name):
    found, model = load(models.weights(name)), zoo.load(name, device="cpu")
    assert {value.dtype for value in found.values()} == {torch.float16}
    assert torch.equal(found["tok_embed.weight"].float(), model.W_E)
    assert torch.equal(found["layers.1.attn.v.weight"].float(), model.W_V[1].transpose(1, 2).flatten(0, 1))


def test_sizes_are_told():
    told = models.described("code-4l-mlp")
    assert told["bytes"] == len(models.weights("code-4l-mlp"))
    assert (told["shape"]["n_layers"], told["shape"]["d_mlp"]) == (4, 768)
    assert models.described(models.REGRESSION)["shape"]["d"] == 5


@pytest.mark.parametrize("name", ["step-softmax", "icl-multi-runs", "gd-1"])
def test_what_the_browser_does_not_run_is_refused(name):
    with pytest.raises(ValueError, match=f"a single model with .*{name} is"):
        models.described(name)


def test_the_table_spells_every_token():
    table = models.tokenizer()
    spelled = [b"", *(bytes([byte]) for byte in table["alphabet"])]
    assert sorted(spelled[1:]) == [bytes([byte]) for byte in range(256)]
    pairs = zip(table["merges"][::2], table["merges"][1::2], strict=True)
    for left, right in pairs:
        spelled.append(spelled[left] + spelled[right])
    assert len(spelled) == text.tokenizer().get_vocab_size()
    for token, said in enumerate(spelled):
        assert said.decode(errors="replace") == text.tokenizer().decode([token])


def test_a_widget_holds_all_its_data_and_the_first_weights():
    state = TextExplorer(text="x = 1").get_state()
    assert state["text"] == "x = 1" and state["name"] == "code-2l" and state["base"] == ""
    assert state["weights"].keys() == {"code-2l"} and state["models"].keys() == {"code-2l", "code-4l-mlp"}
    assert state["tokenizer"] == models.tokenizer()


def test_other_weights_are_sent_when_they_are_asked_for():
    room = TextExplorer()
    room.wanted = "code-4l-mlp"
    assert room.weights == {name: models.weights(name) for name in models.LANGUAGE}
    with pytest.raises(ValueError, match=r"has the models code-2l, code-4l-mlp, not 'code-9l'"):
        room.wanted = "code-9l"


@pytest.mark.parametrize("names", [[], ["code-2l", "icl-linear"], ["nobody"]])
def test_a_room_for_text_takes_language_models(names):
    with pytest.raises(ValueError, match="language models"):
        TextExplorer(names)


def test_a_page_begins_as_a_widget_does(folder):
    rooms = json.loads((folder / "rooms.json").read_text(encoding="utf-8"))
    for name, room in served.ROOMS.items():
        state = room().get_state()
        told = rooms["shared"] | rooms[name] if "tokenizer" in state else rooms[name]
        assert told.keys() < state.keys()
        assert {key: state[key] for key in told.keys() - {"weights"}} == {
            key: value for key, value in told.items() if key != "weights"
        }
        assert (folder / f"{name}.js").read_text(encoding="utf-8") == room._esm


def test_the_page_is_light(folder):
    sizes = {file.name: file.stat().st_size for file in folder.iterdir()}
    assert sizes["code-2l.safetensors"] <= 1.2 * MEGABYTE
    assert sizes.keys() > LATER
    assert sum(size for name, size in sizes.items() if name not in LATER) <= 1.45 * MEGABYTE
