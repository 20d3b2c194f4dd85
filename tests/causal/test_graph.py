"""The graph of an attention-only model, against the model itself and against path patching, which shares no code."""

import dataclasses

import pytest
import torch

from mechlib import bridge, zoo
from mechlib.bridge import Shape
from mechlib.causal import attention_graph, logit_difference, path_patching
from mechlib.zoo import files
from mechlib.zoo.decoder import Decoder
from mechlib.zoo.kinds.docstring import as_gpt2

SHAPE = Shape(n_layers=3, d_model=24, n_heads=3, d_head=8, d_mlp=0, n_ctx=30, d_vocab=40)


def three_layers(**changes):
    shape = dataclasses.replace(SHAPE, **changes)
    decoder = Decoder(shape, seed=4)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return bridge.around(as_gpt2(shape, files.weights_once(decoder)), name="tiny")


@pytest.fixture(scope="module")
def model():
    return three_layers()


@pytest.fixture(scope="module")
def graph(model):
    return attention_graph(model)


def drawn(seed, rows=4, n=9):
    return torch.randint(40, (rows, n), generator=torch.Generator().manual_seed(seed))


def test_open_it_is_the_model_and_shut_it_is_the_other_run(model, graph):
    clean, other = drawn(1), drawn(2)
    with torch.no_grad():
        torch.testing.assert_close(graph.logits(clean), model(clean)[:, -1], rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(graph.logits(clean, at=3), model(clean)[:, 3], rtol=1e-4, atol=1e-4)
        shut, instead = torch.zeros(graph.there.shape), graph.outputs(other)
        found = graph.logits(clean, gates=shut, instead=instead)
        torch.testing.assert_close(found, model(other)[:, -1], rtol=1e-4, atol=1e-4)
        ones = graph.logits(clean, gates=torch.ones(graph.there.shape), instead=instead)
        torch.testing.assert_close(ones, model(clean)[:, -1], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", ["q", "k", "v"])
def test_one_edge_cut_is_path_patching(model, graph, kind):
    clean, other = drawn(1), drawn(2)
    metric = logit_difference(5, 7)
    into = {"source": "corrupt", "receivers": [(2, 1)], "inputs": kind, "progress": False}
    patched = path_patching(model, clean, other, metric, **into)
    for layer, head in ((0, 0), (0, 2), (1, 1)):
        gates = torch.ones(graph.there.shape) - graph.gates([(f"{layer}.{head}", f"2.1 {kind}")])
        found = metric(graph.logits(clean, gates=gates, instead=graph.outputs(other)))
        torch.testing.assert_close(found, patched.values[:, layer, head], rtol=1e-3, atol=1e-3)
        assert (found - patched.base).abs().max() > 0.01


def test_an_edge_to_the_logits_is_the_direct_path(model, graph):
    clean, other = drawn(1), drawn(2)
    metric = logit_difference(5, 7)
    patched = path_patching(model, clean, other, metric, source="corrupt", progress=False)
    gates = torch.ones(graph.there.shape) - graph.gates([("1.2", "logits")])
    found = metric(graph.logits(clean, gates=gates, instead=graph.outputs(other)))
    torch.testing.assert_close(found, patched.values[:, 1, 2], rtol=1e-3, atol=1e-3)


def test_the_attributions_add_up_to_what_the_model_has_over_nothing(graph):
    clean, metric = drawn(1), logit_difference(5, 7)
    shut = torch.zeros(graph.there.shape)
    for instead in ("zero", "mean", graph.outputs(drawn(2))):
        whole = (metric(graph.logits(clean)) - metric(graph.logits(clean, gates=shut, instead=instead))).mean()
        found = graph.attribution(clean, metric, instead=instead, steps=100)
        assert found.sum().item() == pytest.approx(whole.item(), abs=0.02 * found.abs().sum().item())
        assert not found[~graph.there].any()


def test_the_mean_is_that_of_each_position(graph):
    rows = drawn(1)
    by_hand = graph.outputs(rows).mean(1, keepdim=True)
    gates = graph.gates([("embed", "2.0 v"), ("2.0", "logits")])
    found = [graph.logits(rows, gates=gates, instead=instead) for instead in ("mean", by_hand)]
    torch.testing.assert_close(*found)


def test_edges_lead_to_later_layers(graph):
    assert len(graph.edges) == 3 * 3 * (1 + 4 + 7) + 10 and len(set(graph.edges)) == len(graph.edges)
    assert ("0.1", "1.2 k") in graph.edges and ("0.1", "logits") in graph.edges
    assert ("1.0", "1.2 k") not in graph.edges
    some = [("0.1", "1.2 k"), ("embed", "logits")]
    assert graph.named(graph.gates(some)) == some


@pytest.mark.parametrize("edge", [("1.0", "1.2 k"), ("0.0", "1.2"), ("0.9", "logits"), ("logits", "0.0")])
def test_an_edge_that_is_none_is_refused(graph, edge):
    with pytest.raises(ValueError, match="there is no edge"):
        graph.gates([edge])


def test_bad_input_is_repeated(graph):
    rows = drawn(1)
    for options, words in (
        ({"gates": torch.ones(3, 3)}, r"the shape \(28, 10\), not \(3, 3\)"),
        ({"gates": torch.ones(28, 10), "instead": "resample"}, "not 'resample'"),
        ({"gates": torch.ones(28, 10), "instead": torch.zeros(10, 3, 9, 24)}, r"not \(10, 3, 9, 24\)"),
    ):
        with pytest.raises(ValueError, match=words):
            graph.logits(rows, **options)
    with pytest.raises(ValueError, match="steps is at least 1, got 0"):
        graph.attribution(rows, logit_difference(5, 7), steps=0)


def test_a_model_with_mlps_has_no_such_graph():
    with pytest.raises(ValueError, match="not one of attention only"):
        attention_graph(three_layers(d_mlp=12))


def test_a_model_of_the_zoo_has_one():
    model = zoo.load("code-2l", device="cpu")
    rows = torch.randint(300, 2000, (2, 12), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(attention_graph(model).logits(rows), model(rows)[:, -1], rtol=1e-4, atol=1e-3)
