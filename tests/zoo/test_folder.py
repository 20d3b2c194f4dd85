"""Models made elsewhere: tiny folders of ``transformers`` with a card, intact and not."""

import dataclasses
import shutil

import pytest
import torch
import transformers

from mechlib import bridge, text, zoo
from mechlib.cli import zoo as commands
from mechlib.zoo import reading, release
from mechlib.zoo.kinds import folder
from mechlib.zoo.train import train

TOLD = {
    "about": "A test.",
    "source": "a package, by its name",
    "licence": "Apache-2.0",
    "attribution": "Made by somebody in 2024.",
}
TOKENS = torch.tensor([[0, 5, 9, 2, 40]])


@pytest.fixture(scope="session")
def saved(tmp_path_factory):
    """Folders by the type of model, each with the book's tokenizer."""
    sizes = {"vocab_size": 2048, "bos_token_id": 0, "eos_token_id": 0}
    gpt2 = transformers.GPT2Config(n_layer=2, n_embd=32, n_head=2, n_positions=20, **sizes)
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "hidden_size": 32, "intermediate_size": 48}
    llama = transformers.LlamaConfig(num_hidden_layers=3, max_position_embeddings=24, **heads, **sizes)
    found = {"gpt2": tmp_path_factory.mktemp("gpt2"), "llama": tmp_path_factory.mktemp("llama")}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        transformers.GPT2LMHeadModel(gpt2).save_pretrained(found["gpt2"])
        transformers.LlamaForCausalLM(llama).save_pretrained(found["llama"])
    for place in found.values():
        text.for_transformers().save_pretrained(place)
    return found


@pytest.fixture(params=["gpt2", "llama"])
def described(request, saved, tmp_path):
    """The card of a copy."""
    place = tmp_path / request.param
    shutil.copytree(saved[request.param], place)
    return folder.describe(place, name=f"tiny-{request.param}", **TOLD, notes=("Not trained.",))


def test_a_described_folder_is_a_model_by_its_path_and_by_its_name(described, shop):
    assert reading.read_card(described.folder) == described
    expected = bridge.from_transformers(described.folder, device="cpu")
    release.install(described)
    assert zoo.names() == zoo.names("folder") == (described.name,) and zoo.steps(described.name) == ()
    for source in (described.folder, str(described.folder), described.name):
        model = zoo.load(source, device="cpu")
        assert torch.equal(model(TOKENS), expected(TOKENS)) and not model.training
        assert model.to_tokens("def f").tolist() == [text.encode("def f").tolist()]
    assert {status for _, status in zoo.verify()} == {"ok"}
    assert len(list(zoo.verify())) == len(described.parts) >= 4


def test_the_card_says_what_it_is_and_whose(described):
    kind = bridge.kind_of(zoo.load(described.folder, device="cpu"))
    assert described.shape.model_type == kind and (described.shape.d_model, described.shape.d_vocab) == (32, 2048)
    assert (described.licence, described.attribution) == ("Apache-2.0", "Made by somebody in 2024.")
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= set(described.parts)
    assert "card.json" not in described.parts


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
@pytest.mark.parametrize("damage", ["one bit", "missing"])
def test_a_damaged_file_is_named_and_nothing_is_loaded(described, name, damage, monkeypatch):
    monkeypatch.setattr(bridge, "from_transformers", lambda *args, **kwargs: pytest.fail("it was loaded"))
    file = described.folder / name
    data = file.read_bytes()
    file.unlink()
    if damage != "missing":
        file.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(ValueError, match=rf"{name} is (damaged|missing).*get it again from a package, by its name"):
        zoo.load(described.folder, device="cpu")


def test_a_file_that_nobody_vouches_for_is_refused(described):
    (described.folder / ".hidden").write_text("a file system's own")
    (described.folder / "adapter_config.json").write_text("{}")
    with pytest.raises(ValueError, match=r"holds adapter_config\.json, which the card of tiny-\w+ does not name"):
        zoo.load(described.folder, device="cpu")


def test_it_has_no_steps_and_no_recipe(described, shop):
    with pytest.raises(ValueError, match="has one set of weights and no steps of training, so not step 3"):
        zoo.load(described.folder, step=3)
    release.install(described)
    with pytest.raises(ValueError, match="was not trained here, so it has no recipe; it comes from a package"):
        train(described.name, folder=shop / "run")
    assert not (shop / "run").exists()


def test_it_is_listed(described, shop, capsys):
    release.install(described)
    commands.zoo_list()
    header, row = capsys.readouterr().out.split("\n\n")[0].splitlines()
    assert header.split()[:3] == ["name", "type", "layers"] and row.split()[0] == described.name
    assert len(header) == len(row)


def test_what_cannot_be_described_is_refused(saved, tmp_path):
    with pytest.raises(ValueError, match="has no files"):
        folder.describe(tmp_path, name="empty", **TOLD)
    shutil.copy(saved["gpt2"] / "config.json", tmp_path)
    with pytest.raises(ValueError, match=r"weights in safetensors; \S+ has config\.json$"):
        folder.describe(tmp_path, name="without", **TOLD)
    with pytest.raises(ValueError, match="the card of nobody needs licence and attribution"):
        folder.describe(saved["gpt2"], name="nobody", **TOLD | {"licence": "", "attribution": " "})
    assert not (saved["gpt2"] / "card.json").exists()


def test_a_card_of_a_kind_that_is_not_known_is_refused(described):
    dataclasses.replace(described, kind="vision").write()
    with pytest.raises(ValueError, match=r"kind is one of .*got 'vision'"):
        zoo.load(described.folder)
