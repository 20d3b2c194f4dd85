"""A model as a function of one flat vector of its free weights.

A sampler moves points; it should not know about modules. :class:`FlatModel` lays the weights that may move end to end,
and gives back a callable that behaves like the model at any such point. The model itself is never written to: its
structure is copied, its frozen weights are read where they are, and its buffers are cloned.
"""

from __future__ import annotations

import copy
import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.func import functional_call

__all__ = ["FlatModel", "Params"]

Params = str | Iterable[str] | Mapping[str, Tensor] | None
"""Which weights are free: all that require gradients, names or globs, or boolean masks by name or glob."""


@dataclass(frozen=True)
class _Piece:
    """The free part of one parameter."""

    name: str
    leaf: tuple[int, ...]
    """The shape in which it is handed to the model: the parameter's own, or the number of free entries."""
    index: Int[Tensor, " free"] | None
    """Where the free entries lie in the flattened parameter; ``None`` when all are free."""


class FlatModel:
    """The model as a function of ``w [param]``, its free weights one after another in the order of ``names``.

    It runs in eval mode on a copy of the structure: the model's own weights, buffers, gradients and mode are untouched
    by every call. Tied weights are one weight. ``params`` says which are free:

    - ``None``: all weights that require gradients;
    - a name or glob, or several: ``"head.*"``, ``["layers.0.weight", "*.bias"]``;
    - a mapping from names or globs to boolean masks of the parameter's shape: the entries that are free.

    Raises:
        TypeError: if a free parameter holds no real floating-point numbers, or a mask is not boolean.
        ValueError: if a name or glob matches nothing (the nearest names are shown), nothing is free, a mask has another
            shape than its parameter, the free weights are of several types or in half precision, or one is not finite.
    """

    def __init__(self, model: nn.Module, params: Params = None, device: torch.device | str = "auto"):
        owners = {id(p): name for name, p in reversed([*model.named_parameters(remove_duplicate=False)])}
        named = {name: p for name, p in model.named_parameters(remove_duplicate=False) if owners[id(p)] == name}
        aliases = {name: owners[id(p)] for name, p in model.named_parameters(remove_duplicate=False)}
        chosen = _chosen(named, aliases, params)
        self.device = _device(named, device)
        self.dtype = _common_dtype({name: named[name] for name in chosen})
        self._pieces = [_piece(name, named[name], mask) for name, mask in chosen.items()]
        self._fixed = {name: p.detach().to(self.device) for name, p in named.items()}
        self.structure = _structure(model, self.device)
        """The modules, in eval mode; the weights in them are not those that are free."""
        free = [_flat_free(self._fixed[piece.name], piece) for piece in self._pieces]
        self.w_star: Float[Tensor, " param"] = torch.cat(free).clone()
        """The free weights as the model has them."""
        self.sizes = tuple(len(part) for part in free)
        """How many free weights each parameter of ``names`` has."""
        self.leaf_shapes = tuple(piece.leaf for piece in self._pieces)
        self._refuse_nan()

    @property
    def size(self) -> int:
        """The number of free weights."""
        return len(self.w_star)

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters with free weights."""
        return tuple(piece.name for piece in self._pieces)

    def call(self, row: Float[Tensor, " param"]) -> Callable[..., object]:
        """``f(*args, **kwargs)``: the model at the weights ``row``, differentiable in them."""
        return self.with_weights(self.named(row))

    def at(self, leaves: Sequence[Tensor]) -> Callable[..., object]:
        """As :meth:`call`, the weights given piece by piece, each of its ``leaf_shapes``."""
        return self.with_weights(self._placed(leaves))

    def named(self, row: Float[Tensor, " param"]) -> dict[str, Tensor]:
        """The parameters of ``names`` at ``row``: views of it, or, where a mask frees a part, a copy of the whole."""
        return self._placed([p.view(leaf) for p, leaf in zip(row.split(self.sizes), self.leaf_shapes, strict=True)])

    def flattened(self, weights: Mapping[str, Tensor]) -> Float[Tensor, " param"]:
        """The free weights of parameters by name, each in its shape: what :meth:`named` takes apart."""
        return torch.cat([_flat_free(weights[piece.name], piece) for piece in self._pieces])

    def with_weights(self, weights: Mapping[str, Tensor]) -> Callable[..., object]:
        """``f(*args, **kwargs)``: the model with these parameters in place of its own of these names."""
        everything = {**self._fixed, **weights}

        def f(*args: object, **kwargs: object) -> object:
            return functional_call(self.structure, everything, args, kwargs)

        return f

    def _placed(self, leaves: Sequence[Tensor]) -> dict[str, Tensor]:
        """Whole parameters: the leaves, and what is frozen in those of which a part is free."""
        weights = {}
        for piece, leaf in zip(self._pieces, leaves, strict=True):
            if piece.index is None:
                weights[piece.name] = leaf
            else:
                base = self._fixed[piece.name]
                weights[piece.name] = base.flatten().index_copy(0, piece.index.to(base.device), leaf).view(base.shape)
        return weights

    def _refuse_nan(self) -> None:
        for piece, part in zip(self._pieces, self.w_star.split(self.sizes), strict=True):
            if not bool(torch.isfinite(part).all()):
                bad = int((~torch.isfinite(part)).sum())
                raise ValueError(
                    f"w* is not finite: {bad} of the {len(part)} free entries of {piece.name!r} are NaN or infinite"
                )


def _chosen(named: Mapping[str, Tensor], aliases: Mapping[str, str], params: Params) -> dict[str, Tensor | None]:
    """The free parameters, in the model's order, each with its mask or ``None``."""
    if params is None:
        found: dict[str, Tensor | None] = {name: None for name, p in named.items() if p.requires_grad or _odd(p)}
        if not found:
            raise ValueError('no parameter of the model requires gradients; params="*" frees all of them')
    else:
        patterns = [params] if isinstance(params, str) else list(params)
        found = {}
        for pattern in patterns:
            matches = [aliases[name] for name in aliases if name == pattern or fnmatchcase(name, pattern)]
            if not matches:
                raise ValueError(f"params: {pattern!r} matches no parameter; {_nearest(pattern, aliases)}")
            found |= {name: params[pattern] if isinstance(params, Mapping) else None for name in matches}
        if not found:
            raise ValueError(f"params is empty; the model has {_nearest('', aliases)}")
    return {name: found[name] for name in named if name in found}


def _odd(parameter: Tensor) -> bool:
    return not parameter.dtype.is_floating_point


def _nearest(pattern: str, names: Iterable[str]) -> str:
    names = list(names)
    near = difflib.get_close_matches(pattern, names, n=3, cutoff=0.3) or names[:3]
    return f"the nearest of its {len(names)} names: {', '.join(map(repr, near))}"


def _device(named: Mapping[str, Tensor], device: torch.device | str) -> torch.device:
    if device != "auto":
        return torch.device(device)
    devices = {p.device for p in named.values()}
    if len(devices) != 1:
        raise ValueError(f"the model lies on {sorted(map(str, devices))}; say which device to sample on")
    return devices.pop()


def _common_dtype(free: dict[str, Tensor]) -> torch.dtype:
    for name, p in free.items():
        if _odd(p):
            raise TypeError(
                f"parameter {name!r} is {p.dtype}: only real floating-point weights can be sampled; "
                "name the others with params=[...]"
            )
    dtypes = {p.dtype: name for name, p in reversed(free.items())}
    if len(dtypes) > 1 or not dtypes.keys() <= {torch.float32, torch.float64}:
        seen = ", ".join(f"{dtype} ({name!r})" for dtype, name in dtypes.items())
        raise ValueError(f"the free weights are all float32 or all float64, not {seen}: cast with model.float()")
    return next(iter(dtypes))


def _piece(name: str, parameter: Tensor, mask: Tensor | None) -> _Piece:
    if mask is None:
        return _Piece(name, tuple(parameter.shape), None)
    if not isinstance(mask, Tensor) or mask.dtype != torch.bool:
        raise TypeError(f"the mask of {name!r} is a boolean tensor, not {getattr(mask, 'dtype', type(mask).__name__)}")
    if mask.shape != parameter.shape:
        raise ValueError(f"the mask of {name!r} has shape {tuple(mask.shape)}, the weight {tuple(parameter.shape)}")
    index = mask.flatten().nonzero()[:, 0]
    if not len(index):
        raise ValueError(f"the mask of {name!r} frees no entry")
    return _Piece(name, (len(index),), index.to(parameter.device))


def _flat_free(parameter: Tensor, piece: _Piece) -> Float[Tensor, " free"]:
    flat = parameter.flatten()
    return flat if piece.index is None else flat[piece.index.to(flat.device)]


def _structure(model: nn.Module, device: torch.device) -> nn.Module:
    """The modules copied and in eval mode, the parameters shared, the buffers cloned onto the device."""
    shared = {id(p): p for p in model.parameters()}
    structure = copy.deepcopy(model, memo=shared).eval()
    for module in structure.modules():
        for name, buffer in module.named_buffers(recurse=False):
            module._buffers[name] = buffer.to(device)
    return structure
