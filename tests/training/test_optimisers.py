"""Muon against the singular value decomposition and against PyTorch's own, and which parameters it takes."""

import pytest
import torch
from torch import nn

from mechlib.icl.linear_attention import LinearSelfAttention
from mechlib.icl.models import Architecture, ICLTransformer
from mechlib.training.optimisers import Muon, optimisers, orthogonalised


@pytest.mark.parametrize("shape", [(7, 4), (4, 7), (5, 5)])
def test_singular_vectors_stay_and_singular_values_come_near_one(shape):
    matrices = torch.randn(3, *shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = orthogonalised(matrices)
    left, _, right = torch.linalg.svd(matrices, full_matrices=False)
    values = left.mT @ found @ right.mT
    diagonal = values.diagonal(dim1=-2, dim2=-1)
    torch.testing.assert_close(values, torch.diag_embed(diagonal), atol=1e-10, rtol=0)
    assert diagonal.min() > 0.5 and diagonal.max() < 1.25


def test_nothing_stays_nothing():
    assert torch.equal(orthogonalised(torch.zeros(2, 3, 4)), torch.zeros(2, 3, 4))


def test_a_population_is_updated_as_pytorch_updates_each_matrix():
    generator = torch.Generator().manual_seed(1)
    start, slopes = torch.randn(2, 6, 4, generator=generator), torch.randn(3, 2, 6, 4, generator=generator)
    population = nn.Parameter(start.clone())
    alone = [nn.Parameter(matrix.clone()) for matrix in start]
    ours = Muon([{"params": [population]}], lr=1.0)
    theirs = torch.optim.Muon(alone, lr=1.0, weight_decay=0.0, adjust_lr_fn="match_rms_adamw")
    for slope in slopes:
        population.grad = slope.clone()
        for parameter, own in zip(alone, slope, strict=True):
            parameter.grad = own.clone()
        ours.step()
        theirs.step()
    # Both are in bfloat16: over 300 draws the largest difference is .016 in the median and .040 at most.
    torch.testing.assert_close(population.detach(), torch.stack([p.detach() for p in alone]), atol=0.08, rtol=0)
    assert (population - start).abs().mean() > 0.3


def test_matrices_side_by_side_are_updated_one_by_one():
    generator = torch.Generator().manual_seed(2)
    slope = torch.randn(1, 4, 12, generator=generator)
    together, apart = nn.Parameter(torch.zeros(1, 4, 12)), [nn.Parameter(torch.zeros(1, 4, 4)) for _ in range(3)]
    together.grad = slope
    for parameter, own in zip(apart, slope.chunk(3, -1), strict=True):
        parameter.grad = own
    Muon([{"params": [together], "parts": 3}], lr=0.1).step()
    Muon([{"params": apart}], lr=0.1).step()
    torch.testing.assert_close(together.detach(), torch.cat([p.detach() for p in apart], -1))


def test_every_parameter_has_one_optimiser_and_the_matrices_of_the_blocks_have_muon():
    model = ICLTransformer(Architecture(3, 5, d_model=8))
    muon, adam = optimisers(model, "muon", 1e-3, (0.9, 0.99))
    taken = [p for optimiser in (muon, adam) for group in optimiser.param_groups for p in group["params"]]
    assert {id(p) for p in taken} == {id(p) for p in model.parameters()} and len(taken) == len({id(p) for p in taken})
    assert sum(len(group["params"]) for group in muon.param_groups) == 4 * model.architecture.n_layers
    for other, kind in ((model, "adam"), (LinearSelfAttention(3), "muon")):
        (alone,) = optimisers(other, kind, 1e-3, (0.9, 0.99))
        assert isinstance(alone, torch.optim.Adam)


def test_a_parameter_without_a_gradient_stays():
    used, unused = (nn.Parameter(torch.ones(2, 3, 3)) for _ in range(2))
    used.grad = torch.ones_like(used)
    Muon([{"params": [used, unused]}], lr=0.1).step()
    assert (unused == 1).all() and (used != 1).all()


def test_a_closure_gives_gradients_and_loss():
    ours, theirs = (nn.Parameter(torch.eye(3)[None].repeat(2, 1, 1)) for _ in range(2))
    closed, plain = (Muon([{"params": [matrix]}], lr=0.1) for matrix in (ours, theirs))

    def closure():
        loss = ours.square().sum()
        loss.backward()
        return loss.item()

    assert closed.step(closure) == 6.0
    theirs.grad = 2 * torch.eye(3).repeat(2, 1, 1)
    assert plain.step() is None
    torch.testing.assert_close(ours, theirs)
