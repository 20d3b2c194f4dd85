import copy

import pytest
import torch
import transformers

from mechlib import bridge
from mechlib.bridge.native import native_parameters
from mechlib.zoo.decoder import Decoder

SHAPE = bridge.Shape(n_layers=2, d_model=24, n_heads=3, d_head=8, d_mlp=40, n_ctx=17, d_vocab=53)
ATTENTION_ONLY = bridge.Shape(n_layers=2, d_model=24, n_heads=3, d_head=8, d_mlp=0, n_ctx=17, d_vocab=53)
UNTIED = bridge.Shape(n_layers=3, d_model=24, n_heads=2, d_head=7, d_mlp=40, n_ctx=17, d_vocab=53, tied=False)


def perturbed(shape: bridge.Shape) -> Decoder:
    decoder = Decoder(shape, seed=1).eval()
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    return decoder


@pytest.mark.parametrize("shape", [SHAPE, ATTENTION_ONLY, UNTIED])
def test_the_trained_module_and_the_bridge_compute_the_same_function(shape):
    decoder = perturbed(shape)
    model = bridge.native(shape, decoder.state_dict(), device="cpu")
    tokens = torch.randint(shape.d_vocab, (3, shape.n_ctx), generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        torch.testing.assert_close(model(tokens), decoder(tokens), rtol=1e-5, atol=1e-5)
    assert not model.training


def test_a_missing_unembedding_is_the_embedding():
    state = Decoder(SHAPE, seed=1).state_dict()
    del state["head.weight"]
    model = bridge.native(SHAPE, state, device="cpu")
    torch.testing.assert_close(model.W_U, model.W_E.T)


@pytest.mark.parametrize("shape", [SHAPE, ATTENTION_ONLY, UNTIED])
def test_a_tied_weight_is_one_and_stays_one(shape):
    model = bridge.native(shape, perturbed(shape).state_dict(), device="cpu")
    for each in (model, copy.deepcopy(model), model.to(torch.float64, print_details=False)):
        assert sum(p.numel() for p in each.parameters()) == shape.parameters
    with torch.no_grad():
        model.W_E.add_(1)
    assert torch.equal(model.W_U, model.W_E.T) == shape.tied
    assert set(native_parameters(model)) == set(perturbed(shape).state_dict())


def test_a_tied_model_that_is_folded_computes_the_same_function():
    model = bridge.native(SHAPE, perturbed(SHAPE).state_dict(), device="cpu")
    tokens = torch.randint(SHAPE.d_vocab, (3, 9), generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        before = model(tokens).log_softmax(-1)
        model.enable_compatibility_mode(disable_warnings=True)
        torch.testing.assert_close(model(tokens).log_softmax(-1), before, rtol=1e-4, atol=1e-5)


def test_weights_that_differ_are_not_tied():
    state = perturbed(SHAPE).state_dict()
    state["head.weight"] = state["head.weight"] + 1
    model = bridge.native(SHAPE, state, device="cpu")
    torch.testing.assert_close(model.W_U, model.W_E.T + 1)


def test_an_untied_unembedding_has_weights_of_its_own():
    state = Decoder(UNTIED, seed=1).state_dict()
    model = bridge.native(UNTIED, state, device="cpu")
    torch.testing.assert_close(model.W_U, state["head.weight"].T)
    assert not torch.equal(model.W_U, model.W_E.T)
    del state["head.weight"]
    with pytest.raises(ValueError, match=r"missing head\.weight"):
        bridge.native(UNTIED, state, device="cpu")


@pytest.mark.parametrize("shape", [SHAPE, ATTENTION_ONLY, UNTIED])
def test_the_number_of_parameters_is_that_of_the_module(shape):
    assert shape.parameters == sum(p.numel() for p in Decoder(shape, seed=0).parameters())


def test_building_a_model_leaves_the_random_state_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    bridge.native(SHAPE, Decoder(SHAPE, seed=1).state_dict(), device="cpu")
    assert torch.equal(torch.rand(3), expected)


def test_weights_that_do_not_fit_are_all_named():
    state = Decoder(SHAPE, seed=1).state_dict()
    del state["pos.weight"]
    state["extra"] = torch.zeros(1)
    state["ln_out.bias"] = torch.zeros(3)
    with pytest.raises(
        ValueError, match=r"ln_out.bias has shape \(3,\), not \(24,\); missing pos.weight; unknown extra"
    ):
        bridge.native(SHAPE, state, device="cpu")


def test_a_folder_in_gpt2_format_is_loaded(gpt2_folder):
    original = transformers.GPT2LMHeadModel.from_pretrained(gpt2_folder).eval()
    model = bridge.from_transformers(gpt2_folder, device="cpu")
    tokens = torch.randint(83, (2, 9), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(model(tokens), original(tokens).logits, rtol=1e-4, atol=1e-5)


def test_auto_is_a_device_that_is_there():
    expected = "cuda" if torch.cuda.is_available() else "cpu"
    assert bridge.resolve_device("auto").type == expected
    assert bridge.resolve_device("cpu").type == "cpu"
