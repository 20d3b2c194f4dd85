"""Question ch12.plane: the plane of two principal components that several training runs share."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.checks.question import Case, Field, Misconception, Question
from mechlib.icl import joint_pca
from mechlib.questions.drawing import distinct

__all__ = ["QUESTION"]

Paths = Float[Tensor, "run checkpoint output"]
Result = tuple[Float[Tensor, " component"], Paths]


def plane(paths: Paths) -> Result:
    """Each component's share of the variance, and the paths as seen in the plane of the first two."""
    found = joint_pca(paths.flatten(0, 1), n_components=2)
    seen = found.scores @ found.components + found.mean
    return found.share, seen.unflatten(0, paths.shape[:2])


def cases(generator: torch.Generator) -> tuple[Case, ...]:
    """Runs that part, runs that start far from zero, one dominant output, and a single run."""
    return (
        _case("runs that part from one start", generator, offset=0.0, apart=0.0),
        _case("runs far from zero and from each other", generator, offset=3.0, apart=2.0),
        _case("one output that varies most", generator, offset=1.0, apart=0.5, dominant=6.0),
        _case("a single run", generator, offset=2.0, apart=0.0, runs=1),
    )


def _case(
    description: str,
    generator: torch.Generator,
    *,
    offset: float,
    apart: float,
    dominant: float = 1.0,
    runs: int | None = None,
) -> Case:
    several, checkpoints, outputs = distinct(generator, 3, 3, 9)
    runs, checkpoints = runs or several, checkpoints + 9
    shape = (runs, checkpoints, outputs)
    scales = 1 + torch.rand(outputs, generator=generator, dtype=torch.float64)
    scales[0] *= dominant
    steps = torch.randn(shape, generator=generator, dtype=torch.float64)
    drift = 0.4 * torch.randn(runs, 1, outputs, generator=generator, dtype=torch.float64)
    starts = offset + apart * torch.randn(runs, 1, outputs, generator=generator, dtype=torch.float64)
    return Case(description, {"paths": starts + ((steps + drift) * scales).cumsum(1)})


def _seen(points: Tensor, center: Tensor, *, kept: int = 2) -> tuple[Tensor, Tensor]:
    """Shares of the components of ``points`` about ``center``, and the points as their plane shows them."""
    _, spread, components = torch.linalg.svd(points - center, full_matrices=False)
    components = components[:kept]
    return spread.square() / spread.square().sum(), (points - center) @ components.T @ components + center


def not_centred(paths):
    flat = paths.flatten(0, 1)
    share, seen = _seen(flat, torch.zeros_like(flat[0]))
    return share[:2], seen.view_as(paths)


def each_run_centred(paths):
    center = paths.mean(1, keepdim=True).expand_as(paths).flatten(0, 1)
    share, seen = _seen(paths.flatten(0, 1), center)
    return share[:2], seen.view_as(paths)


def centred_by_checkpoint(paths):
    center = paths.mean(0, keepdim=True).expand_as(paths).flatten(0, 1)
    share, seen = _seen(paths.flatten(0, 1), center)
    return share[:2].nan_to_num(), seen.view_as(paths)


def centred_at_start(paths):
    share, seen = _seen(paths.flatten(0, 1), paths[:, 0].mean(0))
    return share[:2], seen.view_as(paths)


def each_run_alone(paths):
    found = [plane(path[None]) for path in paths]
    return torch.stack([share for share, _ in found]).mean(0), torch.cat([seen for _, seen in found])


def first_run_alone(paths):
    first = joint_pca(paths[0], n_components=2)
    centred = paths.flatten(0, 1) - first.mean
    seen = centred @ first.components.T @ first.components + first.mean
    return first.share, seen.view_as(paths)


def standardised(paths):
    flat = paths.flatten(0, 1)
    mean, scale = flat.mean(0), flat.std(0)
    share, seen = _seen((flat - mean) / scale, torch.zeros_like(mean))
    return share[:2], (seen * scale + mean).view_as(paths)


def spreads_for_variances(paths):
    flat = paths.flatten(0, 1)
    spread = torch.linalg.svdvals(flat - flat.mean(0))
    return (spread / spread.sum())[:2], plane(paths)[1]


def variances_for_shares(paths):
    flat = paths.flatten(0, 1)
    share, seen = plane(paths)
    return share * flat.var(0).sum(), seen


def ascending(paths):
    share, seen = plane(paths)
    return share.flip(0), seen


def smallest_components(paths):
    flat = paths.flatten(0, 1)
    mean = flat.mean(0)
    _, spread, components = torch.linalg.svd(flat - mean, full_matrices=False)
    share, kept = spread.square() / spread.square().sum(), components[-2:]
    return share.flip(0)[:2], ((flat - mean) @ kept.T @ kept + mean).view_as(paths)


def projected_uncentred(paths):
    flat = paths.flatten(0, 1)
    _, _, components = torch.linalg.svd(flat - flat.mean(0), full_matrices=False)
    return plane(paths)[0], (flat @ components[:2].T @ components[:2]).view_as(paths)


def mean_added_twice(paths):
    flat = paths.flatten(0, 1)
    return plane(paths)[0], projected_uncentred(paths)[1] + flat.mean(0)


def shares_of_two(paths):
    share, seen = plane(paths)
    return share / share.sum(), seen


def added_up(paths):
    share, seen = plane(paths)
    return share.cumsum(0), seen


def one_component(paths):
    flat = paths.flatten(0, 1)
    share, seen = _seen(flat, flat.mean(0), kept=1)
    return share[:2], seen.view_as(paths)


def mean_left_out(paths):
    share, seen = plane(paths)
    return share, seen - paths.flatten(0, 1).mean(0)


def left_over(paths):
    share, seen = plane(paths)
    return share, paths - seen


MISCONCEPTIONS = {
    "not_centred": Misconception(
        not_centred, "the mean is not subtracted: the first component then points at the mean, not along the paths."
    ),
    "each_run_centred": Misconception(
        each_run_centred, "every run is centred on its own; the runs then lose where they lie relative to each other."
    ),
    "centred_by_checkpoint": Misconception(
        centred_by_checkpoint, "you subtract the mean run, and with it what the runs have in common."
    ),
    "centred_at_start": Misconception(
        centred_at_start,
        "you put the origin at the start; principal components are about the mean of all points.",
    ),
    "each_run_alone": Misconception(
        each_run_alone, "every run has a plane of its own here, so the runs cannot be compared; fit one to all points."
    ),
    "first_run_alone": Misconception(first_run_alone, "the plane is fitted to the first run alone; use all runs."),
    "standardised": Misconception(
        standardised, "you scale all outputs to unit variance; they have one unit already, so leave their sizes."
    ),
    "spreads_for_variances": Misconception(
        spreads_for_variances, "your shares are of singular values; variances are their squares."
    ),
    "variances_for_shares": Misconception(
        variances_for_shares, "these are variances; a share is a part of the total: divide by the sum over components."
    ),
    "ascending": Misconception(ascending, "the larger share comes first (eigh sorts upwards)."),
    "smallest_components": Misconception(
        smallest_components, "these are the two directions in which the cloud varies least (eigh sorts upwards)."
    ),
    "projected_uncentred": Misconception(
        projected_uncentred,
        "you project points from which the mean is not subtracted; the plane goes through the mean.",
    ),
    "mean_added_twice": Misconception(
        mean_added_twice, "you add the mean to points from which it was not subtracted: subtract it, project, add it."
    ),
    "shares_of_two": Misconception(
        shares_of_two, "your shares add up to one: divide by the variance of all components, not of the two."
    ),
    "added_up": Misconception(added_up, "your shares are added up; give each component's own."),
    "one_component": Misconception(one_component, "this is seen on a line; a plane has two components."),
    "mean_left_out": Misconception(mean_left_out, "the mean is missing: add it back after projecting."),
    "left_over": Misconception(left_over, "this is what the plane does not show; asked for is what it shows."),
}

QUESTION = Question(
    id="ch12.plane",
    points=2,
    title="Several runs in one plane",
    hints=(
        "One cloud of points: every checkpoint of every run is one of them.",
        "Flatten runs and checkpoints, subtract the mean of all points, take a singular value decomposition.",
        "flat = paths.flatten(0, 1); U, s, Vt = torch.linalg.svd(flat - flat.mean(0), full_matrices=False); the shares "
        "are s**2 / (s**2).sum(); seen = (flat - mean) @ Vt[:2].T @ Vt[:2] + mean.",
    ),
    reference=plane,
    cases=cases,
    axes={"paths": "run checkpoint output"},
    fields=(Field("share", "component", atol=1e-5), Field("seen", "run checkpoint output", atol=1e-4)),
    misconceptions=MISCONCEPTIONS,
)
