"""The transformer against PyTorch's own layers, and what a population promises about each of its models."""

import pytest
import torch
from torch import nn

from mechlib.icl import tasks
from mechlib.icl.models import Architecture, ICLTransformer

ARCHITECTURES = [
    Architecture(3, 6, d_model=8),
    Architecture(3, 6, d_model=8, tokens="interleaved"),
    Architecture(3, 6, d_model=8, attention="linear", norm=False, d_mlp=0),
    Architecture(3, 6, d_model=8, tokens="interleaved", d_mlp=5, n_layers=1),
]


def prompts(batch=4, n_points=6, d=3, seed=0):
    sample = tasks.LinearRegression(d).sample(batch, n_points, generator=torch.Generator().manual_seed(seed))
    return sample.x, sample.y


@torch.no_grad()
def perturbed(architecture, **options):
    """A model none of whose weights are at their special initial values, such as zero biases."""
    model = ICLTransformer(architecture, **options)
    generator = torch.Generator().manual_seed(7)
    for parameter in model.parameters():
        parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return model


@torch.no_grad()
@pytest.mark.parametrize("tokens", ["paired", "interleaved"])
def test_it_is_a_stack_of_the_layers_of_pytorch(tokens):
    model = perturbed(Architecture(3, 6, d_model=8, tokens=tokens))
    x, y = prompts()
    stream = model.embed(_tokens(x, y, tokens)[None])[0] + model.positions[0]
    mask = nn.Transformer.generate_square_subsequent_mask(stream.shape[1])
    for block in model.blocks:
        stream = _as_pytorch(block)(stream, src_mask=mask)
    norm = nn.functional.layer_norm(stream, (8,), model.norm.gain.flatten(), model.norm.bias.flatten())
    expected = (norm @ model.read.weight[0] + model.read.bias[0])[..., 0]
    expected = expected if tokens == "paired" else expected[:, ::2]
    torch.testing.assert_close(model(x, y), expected, atol=1e-5, rtol=1e-5)


def _tokens(x, y, kind):
    rows = []
    for b in range(len(x)):
        row = []
        for k in range(x.shape[1]):
            if kind == "paired":
                before = torch.cat([x[b, k - 1], y[b, k - 1 : k]]) if k else torch.zeros(4)
                row.append(torch.cat([x[b, k], before]))
            else:
                row += [torch.cat([x[b, k], torch.zeros(1)]), torch.cat([torch.zeros(3), y[b, k : k + 1]])]
        rows.append(torch.stack(row))
    return torch.stack(rows)


def _as_pytorch(block):
    def gelu(values):  # not nn.GELU, for which PyTorch's fast path takes the exact form
        return nn.functional.gelu(values, approximate="tanh")

    layer = nn.TransformerEncoderLayer(8, 2, 32, dropout=0.0, activation=gelu, batch_first=True, norm_first=True)
    pairs = [
        (layer.self_attn.in_proj_weight, block.qkv.weight[0].T),
        (layer.self_attn.in_proj_bias, block.qkv.bias[0, 0]),
        (layer.self_attn.out_proj.weight, block.out.weight[0].T),
        (layer.self_attn.out_proj.bias, block.out.bias[0, 0]),
        (layer.linear1.weight, block.mlp[0].weight[0].T),
        (layer.linear1.bias, block.mlp[0].bias[0, 0]),
        (layer.linear2.weight, block.mlp[2].weight[0].T),
        (layer.linear2.bias, block.mlp[2].bias[0, 0]),
        (layer.norm1.weight, block.norm1.gain.flatten()),
        (layer.norm1.bias, block.norm1.bias.flatten()),
        (layer.norm2.weight, block.norm2.gain.flatten()),
        (layer.norm2.bias, block.norm2.bias.flatten()),
    ]
    for theirs, ours in pairs:
        theirs.copy_(ours)
    return layer


@torch.no_grad()
def test_linear_attention_is_a_mean_of_values_weighted_by_scores():
    model = perturbed(Architecture(3, 6, d_model=8, attention="linear", norm=False, d_mlp=0, n_layers=1, n_heads=1))
    x, y = prompts()
    before, after = model.residual_entries(x, y)
    q, k, v = (before @ model.blocks[0].qkv.weight[0] + model.blocks[0].qkv.bias[0]).split(8, -1)
    for t in range(6):
        scores = torch.einsum("bd,bsd->bs", q[:, t], k[:, : t + 1]) / 8**0.5
        mixed = torch.einsum("bs,bsd->bd", scores, v[:, : t + 1]) / (t + 1)
        change = mixed @ model.blocks[0].out.weight[0] + model.blocks[0].out.bias[0, 0]
        torch.testing.assert_close(after[:, t], before[:, t] + change, atol=1e-5, rtol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_each_model_of_a_population_predicts_as_it_does_alone(architecture):
    population = perturbed(architecture, n_models=3)
    x, y = prompts()
    together = population(x, y)
    own = population(torch.stack([x, 2 * x, -x]), torch.stack([y, y, y + 1]))
    assert together.shape == own.shape == (3, 4, 6)
    for i, (x_i, y_i) in enumerate([(x, y), (2 * x, y), (-x, y + 1)]):
        torch.testing.assert_close(population.select(i)(x, y), together[i], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(population.select(i)(x_i, y_i), own[i], atol=1e-5, rtol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_predictions_do_not_change_with_what_comes_later(architecture):
    model = perturbed(architecture)
    x, y = prompts()
    before = model(x, y)
    for k in (0, 2, 5):
        later = torch.arange(6) >= k
        changed = model(x, torch.where(later, y + 3, y))
        far_x = torch.where((later & (torch.arange(6) > k))[:, None], 1e4 * x, x)
        for found in (changed, model(far_x, torch.where(later, 1e4 * y, y))):
            assert torch.equal(found[:, : k + 1], before[:, : k + 1])
        if k < 5:
            assert not torch.allclose(changed[:, k + 1], before[:, k + 1], atol=1e-3)
    torch.testing.assert_close(model(x[:, :4], y[:, :4]), before[:, :4], atol=1e-5, rtol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_last_entry_of_the_lens_is_the_prediction(architecture):
    model = perturbed(architecture, n_models=2)
    x, y = prompts()
    lens = model.regression_lens(x, y)
    assert lens.shape == (architecture.n_layers + 1, 2, 4, 6)
    assert torch.equal(lens[-1], model(x, y))
    assert model.residual_entries(x, y).shape == (architecture.n_layers + 1, 2, 4, 6, 8)


@torch.no_grad()
def test_the_places_of_y_have_seen_one_example_more():
    model = perturbed(Architecture(3, 6, d_model=8, tokens="interleaved"))
    x, y = prompts()
    before = model.residual_entries(x, y, at="y")
    after = model.residual_entries(x, torch.where(torch.arange(6) == 2, y + 3, y), at="y")
    at_queries = model.residual_entries(x, torch.where(torch.arange(6) == 2, y + 3, y))
    assert before.shape == model.residual_entries(x, y).shape
    torch.testing.assert_close(after[:, :, :2], before[:, :, :2])
    assert not torch.allclose(after[0, :, 2], before[0, :, 2])
    torch.testing.assert_close(at_queries[:, :, :3], model.residual_entries(x, y)[:, :, :3])


def test_the_seed_decides_the_weights_and_the_models_differ():
    one, two, other = (ICLTransformer(ARCHITECTURES[0], seed=seed, n_models=2) for seed in (1, 1, 2))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    assert not torch.equal(one.embed.weight, other.embed.weight)
    assert not torch.equal(one.embed.weight[0], one.embed.weight[1])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Architecture(0, 4), "'d': 0"),
        (lambda: Architecture(2, 4, d_model=9, n_heads=2), "d_model=9 does not divide into n_heads=2"),
        (lambda: Architecture(2, 4, tokens="triples"), "tokens is one of .* got 'triples'"),
        (lambda: Architecture(2, 4, attention="hard"), "got 'hard'"),
        (lambda: ICLTransformer(Architecture(2, 4), n_models=0), "n_models=0"),
        (lambda: ICLTransformer(Architecture(2, 4), n_models=3).select(3), "models 0 to 2, not 3"),
        (lambda: ICLTransformer(Architecture(3, 4))(*prompts()), r"up to 4 points in 3 dimensions, got \(6, 3\)"),
        (lambda: ICLTransformer(Architecture(2, 6))(*prompts()), r"6 points in 2 dimensions, got \(6, 3\)"),
        (lambda: ICLTransformer(Architecture(3, 6))(prompts()[0], prompts()[1][:, 1:]), r"\(4, 6, 3\) and \(4, 5\)"),
        (lambda: ICLTransformer(Architecture(3, 6)).residual_entries(*prompts(), at="y"), "got 'y', paired tokens"),
        (
            lambda: ICLTransformer(Architecture(3, 6), n_models=2)(prompts()[0][None], prompts()[1][None]),
            r"for 2 models; .*\(1, 4, 6, 3\)",
        ),
    ],
)
def test_bad_sizes_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
