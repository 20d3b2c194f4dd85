"""A name for what a value is, the same in every process and session, and another as soon as the value is another.

What pickling would write down is hashed, and besides what pickling leaves to its name: the code of functions and
classes that may be edited (all but those of installed packages and of Python itself, which go by name and version),
with what they enclose, their defaults, and the globals that they name. So two values with one key act alike, up to what
cannot be seen in them: files, the network, the clock, and names that are put together while running.

Nothing is guessed: a value without such a name, an open file or a generator, is refused with the place where it is.
"""

from __future__ import annotations

import copyreg
import hashlib
import pickle
import random
import sys
import weakref
from collections import deque
from collections.abc import Iterable, Mapping
from functools import _lru_cache_wrapper, cached_property
from types import CodeType, FunctionType, MappingProxyType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, IterableDataset

from mechlib.llc.names import content, installed, named

__all__ = ["NoKey", "key"]

PLAIN = (type(None), bool, int, float, complex, type(Ellipsis), type(NotImplemented))
"""Types whose values are what they print as."""
PRINTED = (
    torch.dtype, torch.layout, torch.memory_format, torch.qscheme, torch._ops.OpOverload, torch._ops.OpOverloadPacket,
)  # fmt: skip
"""Types of torch's whose values are what they print as."""
COLLECTIONS = (list, dict, set, frozenset, MappingProxyType)
MEMORIES = (weakref.WeakKeyDictionary, weakref.WeakValueDictionary, weakref.WeakSet)
"""What was met before, kept as long as somebody else keeps it: no part of what a value is."""
CHANCE = (np.random.mtrand._rand, random._inst, torch.default_generator)
"""What all of a process draws from, and how far it has come: no part of what a value is."""
COSMETIC = {
    "__abstractmethods__", "__annotate__", "__annotate_func__", "__annotations__", "__annotations_cache__", "__dict__",
    "__doc__", "__firstlineno__", "__module__", "__qualname__", "__slotnames__", "__static_attributes__", "__weakref__",
    "_abc_impl",
}  # fmt: skip
"""Entries of a class that do nothing, or that follow from the others."""
CODE = (
    "co_code", "co_consts", "co_names", "co_varnames", "co_freevars", "co_cellvars", "co_flags", "co_argcount",
    "co_posonlyargcount", "co_kwonlyargcount", "co_exceptiontable",
)  # fmt: skip
"""What a piece of code does; not where it stands."""
ATTRIBUTES = {property: ("fget", "fset", "fdel"), classmethod: ("__func__",), staticmethod: ("__func__",)} | {
    cached_property: ("func",),
    MethodType: ("__func__", "__self__"),
    _lru_cache_wrapper: ("__wrapped__",),
}
"""By type, the attributes that make a value of it; the rest is a cache or a lock."""
HOOKS = {name for name, value in vars(nn.Module()).items() if isinstance(value, dict) and "hooks" in name}
"""Attributes of a network that hold hooks by number, counted up over all networks of a process."""
HEAP_TYPE = 1 << 9
"""The flag of classes that are made while running; others, of C, are what they are called."""
PASSING = {"_original_object_hash", "__dynamo_disable"}
"""Attributes that say nothing of what a value does: ``hash(self)`` in a GenerationConfig of transformers, which another
process makes another number; and what torch keeps at a function that it has called apart from its compiler."""

Place = tuple[str, "Place"] | None
"""Where a value was met: its name there, and the place of what it is part of."""


class NoKey(Exception):
    """A value that cannot be told apart by what it holds; prints as why, and where the value is."""

    def __init__(self, reason: str, place: Place):
        where = []
        while place is not None:
            name, place = place
            where.append(name)
        super().__init__(f"{' of '.join(where)}: {reason}")


def key(**values: Any) -> str:
    """64 hexadecimal digits that follow from the values alone.

    Which objects are one and the same counts (tied weights are not equal weights); the order of a set or of attributes
    does not.

    Raises:
        NoKey: if a value, or what it holds, has no content that can be compared; it says which.
    """
    return _Walk({}).over(sorted(values.items()))


class _Walk:
    """Goes through values, the nearest first, and writes down what they are."""

    def __init__(self, seen: dict[int, tuple[int, Any]], place: Place = None):
        self.digest = hashlib.sha256()
        self.seen, self.place = seen, place
        """By identity, the number of each object met, and the object, so that no other takes its identity."""
        self.waiting: deque[tuple[Any, Place]] = deque()

    def over(self, parts: Iterable[tuple[str, Any]]) -> str:
        """The digest of named values and all that they hold."""
        self.parts(parts)
        while self.waiting:
            value, self.place = self.waiting.popleft()
            try:
                self._object(value)
            except NoKey:
                raise
            except Exception as error:
                reason = f"a {type(value).__qualname__} has no content to compare ({error})"
                raise NoKey(reason, self.place) from error
        return self.digest.hexdigest()

    def parts(self, parts: Iterable[tuple[str, Any]]) -> None:
        """Named parts of the value that is looked at."""
        for name, value in parts:
            self.write(name)
            self._add(value, (name, self.place))

    def write(self, *words: str | bytes | memoryview) -> None:
        for word in words:
            raw = word.encode(errors="surrogatepass") if isinstance(word, str) else word
            self.digest.update(len(raw).to_bytes(8))
            self.digest.update(raw)

    def _add(self, value: Any, place: Place) -> None:
        kind = type(value)
        if kind in PLAIN:
            self.write(kind.__name__, repr(value))
        elif kind in (str, bytes):
            self.write(kind.__name__, value)
        elif kind is tuple:
            self.write(f"tuple of {len(value)}")
            for number, part in enumerate(value):
                self._add(part, (f"entry {number}", place))
        elif kind is CodeType:
            self.write("code")
            for name in CODE:
                self._add(getattr(value, name), place)
        elif id(value) in self.seen:
            self.write(f"object {self.seen[id(value)][0]}")
        else:
            self.seen[id(value)] = len(self.seen), value
            self.write("the next object")
            self.waiting.append((value, place))

    def _object(self, value: Any) -> None:
        kind = type(value)
        if value is sys.modules:
            raise NoKey("it is everything that is loaded", self.place)
        if any(value is chance for chance in CHANCE):
            self.write("the chance of the process")
        elif isinstance(value, Tensor):
            self._tensor(value)
        elif kind in (np.ndarray, np.memmap) and not value.dtype.hasobject:
            flat = np.ascontiguousarray(value).reshape(-1).view(np.uint8)
            self.write("array", value.dtype.str, str(value.shape), flat.data)
        elif kind in COLLECTIONS:
            self._collection(value)
        elif kind is FunctionType:
            self._function(value)
        elif isinstance(value, type):
            self._class(value)
        elif isinstance(value, ModuleType):
            self._module(value)
        elif isinstance(value, nn.Module):
            self._network(value)
        elif isinstance(value, DataLoader):
            self._loader(value)
        elif isinstance(value, IterableDataset):
            raise NoKey(f"what a {kind.__qualname__} hands out is known only by using it up", self.place)
        elif isinstance(value, Dataset):
            self._dataset(value)
        elif kind in ATTRIBUTES:
            self.write(kind.__name__)
            self.parts((name, getattr(value, name)) for name in ATTRIBUTES[kind])
        elif isinstance(value, PRINTED):
            self.write(kind.__name__, str(value))
        elif isinstance(value, torch.Generator):
            self.write("generator", str(value.device), value.get_state().numpy().data)
        elif isinstance(value, weakref.ref):
            self.parts([("referent", value())])
        elif isinstance(value, MEMORIES):
            self.write("not part of what a value is")
        else:
            self._reduced(value)

    def _tensor(self, value: Tensor) -> None:
        self.write("tensor", type(value).__name__, str(value.dtype), str(tuple(value.shape)), value.device.type)
        self.write(str(value.requires_grad))
        self.parts(sorted(vars(value).items()))
        if value.layout is torch.strided:
            whole = value.detach().cpu().resolve_conj().resolve_neg().contiguous()
            self.write(whole.flatten().view(torch.uint8).numpy().data)
        else:
            self._reduced(value.detach())

    def _collection(self, value: list | Mapping | set | frozenset) -> None:
        self.write(f"{type(value).__name__} of {len(value)}")
        if isinstance(value, list):
            self.parts((f"entry {number}", part) for number, part in enumerate(value))
        elif isinstance(value, Mapping):
            for name, part in value.items():
                self.parts([("key", name), (f"entry {name!r}", part)])
        else:
            for part in sorted(_Walk(dict(self.seen), self.place).over([("member", part)]) for part in value):
                self.write(part)

    def _function(self, value: FunctionType) -> None:
        if hasattr(value, "_torchdynamo_orig_callable"):
            return self.parts([("what torch.compile was given", value._torchdynamo_orig_callable)])
        self.write("function")
        home = str(value.__globals__.get("__name__", ""))
        version = installed(home)
        if version is None:
            self.parts([("code", value.__code__), *named(value)])
        else:
            self.write(home, version, value.__code__.co_qualname)
            if installed(value.__module__) and _is_named(value, value.__module__, value.__qualname__):
                return None
        cells = zip(value.__code__.co_freevars, map(content, value.__closure__ or ()), strict=True)
        # Of a module that the code encloses, what is used is among its names.
        self.parts((name, held) for name, held in cells if version or not isinstance(held, ModuleType))
        self.parts([("defaults", value.__defaults__), ("keyword defaults", value.__kwdefaults__)])
        return self.parts(sorted((name, part) for name, part in vars(value).items() if name not in PASSING))

    def _class(self, value: type) -> None:
        self.write("class", value.__name__)
        version = installed(value.__module__)
        compiled = not value.__flags__ & HEAP_TYPE
        names = (value.__qualname__, value.__name__)
        if version is not None and (compiled or any(_is_named(value, value.__module__, name) for name in names)):
            return self.write(value.__module__, value.__qualname__, version)
        self.parts([("bases", value.__bases__), ("metaclass", type(value))])
        return self.parts((name, part) for name, part in sorted(vars(value).items()) if name not in COSMETIC)

    def _module(self, value: ModuleType) -> None:
        """A module as a whole: of one that may be edited, everything in it."""
        version = installed(value.__name__)
        self.write("module")
        if version is not None:
            return self.write(value.__name__, version)
        return self.parts((name, part) for name, part in sorted(vars(value).items()) if not name.startswith("__"))

    def _network(self, value: nn.Module) -> None:
        if hasattr(value, "_orig_mod"):
            return self.parts([("what torch.compile was given", value._orig_mod)])
        self.write("network")
        state = vars(value)
        self.parts([("class", type(value)), *sorted((name, state[name]) for name in state.keys() - HOOKS)])
        numbers = sorted({number for name in HOOKS & state.keys() for number in state[name]})
        for name in sorted(HOOKS & state.keys()):
            self.write(name, str(len(state[name])))
            self.parts((f"hook {numbers.index(number)}", hook) for number, hook in state[name].items())
        return None

    def _dataset(self, value: Any) -> None:
        """What it hands out, sample by sample, wherever that comes from."""
        self.write(f"{len(value)} samples")
        self.parts([("class", type(value))])
        for number in range(len(value)):
            self.write(_Walk({}, self.place).over([(f"sample {number}", value[number])]))

    def _loader(self, value: DataLoader) -> None:
        """Data and settings; not the state of chance, which moves with every use."""
        self.write("loader")
        self.parts([("dataset", value.dataset), ("collate_fn", value.collate_fn)])
        for sampler in (value.sampler, value.batch_sampler):
            settings = {} if sampler is None else vars(sampler)
            self.parts([("sampler", type(sampler))])
            self.parts(sorted((name, part) for name, part in settings.items() if not isinstance(part, torch.Generator)))

    def _reduced(self, value: Any) -> None:
        """As pickle takes it apart."""
        reduce = copyreg.dispatch_table.get(type(value))
        reduced = value.__reduce_ex__(4) if reduce is None else reduce(value)
        if isinstance(reduced, str):
            homes = [getattr(value, "__module__", None), type(value).__module__]
            home = next((home for home in homes if _is_named(value, home, reduced)), None)
            home = home or pickle.whichmodule(value, reduced)  # type: ignore[attr-defined]  # typeshed leaves it out
            if not _is_named(value, home, reduced):
                raise NoKey(f"{reduced!r} is not what {home} has under that name", self.place)
            return self.write("named", home, reduced)
        make, arguments, state, entries, items = (*reduced, None, None, None)[:5]
        self.write("made")
        self.parts([("maker", make), ("arguments", arguments)])
        if isinstance(state, dict) and all(isinstance(name, str) for name in state):
            self.parts(sorted((name, part) for name, part in state.items() if name not in PASSING))
        else:
            self.parts([("state", state)])
        return self.parts([("entries", entries and list(entries)), ("items", items and list(items))])


def _is_named(value: Any, home: str | None, name: str) -> bool:
    """Whether a value is what a module has under a dotted name."""
    found: Any = sys.modules.get(home or "")
    for part in name.split("."):
        found = getattr(found, part, None)
    return found is value
