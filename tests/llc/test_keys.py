"""What a key tells apart, that it is the same in another process, and what has none."""

import contextlib
import enum
import functools
import importlib
import os
import random
import subprocess
import sys
import textwrap
import threading
from collections import OrderedDict, namedtuple
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.data import DataLoader, Dataset, IterableDataset, Sampler, Subset, TensorDataset

from mechlib import llc
from mechlib.llc.keys import NoKey, key
from mechlib.llc.names import installed

CONSTANT = 1.0
TABLE = {"scale": 1.0}
Pair = namedtuple("Pair", "a b")


class Scaled:
    offset = 0.0

    def __init__(self, factor):
        self.factor = factor

    def __call__(self, f, batch):
        return self.factor * f(batch)

    def method(self, f, batch):
        return self(f, batch)


class Slotted:
    __slots__ = ("factor",)

    def __init__(self, factor):
        self.factor = factor


@dataclass
class Settings:
    factor: float
    names: tuple = ()


class Choice(enum.Enum):
    ONE = 1
    TWO = 2


class Network(nn.Module):
    def __init__(self, temperature):
        super().__init__()
        self.w, self.inner = nn.Parameter(torch.ones(2)), nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.1))
        self.temperature = temperature
        with torch.no_grad():
            for p in self.parameters():
                p.fill_(0.5)


def enclosing(held):
    def loss(f, batch):
        return held(f, batch)

    return loss


def enclosing_function(factor):
    def inner(value):
        return factor * value

    def loss(f, batch):
        return inner(f(batch))

    return loss


def with_default(factor):
    def loss(f, batch, factor=factor):
        return factor * f(batch)

    return loss


def with_keyword(factor):
    def loss(f, batch, *, factor=factor):
        return factor * f(batch)

    return loss


def decorated(factor):
    def times(function):
        @functools.wraps(function)
        def wrapped(*args):
            return factor * function(*args)

        return wrapped

    return times(lambda f, batch: f(batch))


def decorating(factor):
    def plain(function):
        @functools.wraps(function)
        def wrapped(*args):
            return function(*args)

        return wrapped

    return plain(lambda f, batch: factor * f(batch))


def of_class(factor, kind):
    """An object whose class has the factor in one of its entries."""

    class Base:
        def base(self, value):
            return (7 if factor == 1 or kind != "base" else 8) * value

    class Loss(Base):
        attribute = factor if kind == "attribute" else None
        of_class = classmethod((lambda cls: 1) if factor == 1 or kind != "classmethod" else (lambda cls: 2))
        of_none = staticmethod((lambda: 1) if factor == 1 or kind != "staticmethod" else (lambda: 2))
        read = property((lambda self: 1) if factor == 1 or kind != "property" else (lambda self: 2))
        once = functools.cached_property((lambda self: 1) if factor == 1 or kind != "cached" else (lambda self: 2))
        __call__ = (lambda self, f, x: f(x)) if factor == 1 or kind != "method" else (lambda self, f, x: 2 * f(x))

    return Loss()


def tried(f, batch):
    try:
        return f(batch)
    except ValueError:
        return 0


class Tagged(list):
    pass


class Forwards(Sampler):
    def __iter__(self):
        return iter(range(6))


class Backwards(Sampler):
    def __iter__(self):
        return iter(range(5, -1, -1))


class Made(Dataset):
    """Samples that are made on demand."""

    def __init__(self, factor):
        self.make = lambda i: factor * torch.tensor([float(i)])

    def __len__(self):
        return 5

    def __getitem__(self, i):
        if i >= 5:
            raise IndexError
        return self.make(i)


def hooked(factor):
    model = nn.Linear(1, 1)
    nn.init.ones_(model.weight), nn.init.zeros_(model.bias)
    model.register_forward_hook(lambda module, given, out: factor * out)
    return model


def tied(tie):
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    for layer in model:
        nn.init.ones_(layer.weight)
    if tie == 1:
        model[1].weight = model[0].weight
    return model


def changed(change):
    """A network as it is, or after a change."""

    def make(factor):
        model = Network(1.0)
        if factor != 1:
            with torch.no_grad():
                change(model)
        return model

    return make


def loader(factor, **options):
    return DataLoader(TensorDataset(torch.arange(6.0)), **{"batch_size": 2, **options})


def plus(samples):
    return torch.stack([x for (x,) in samples]) + 1


KINDS = {
    "number": float,
    "sign of zero": lambda x: -0.0 if x == 1 else 0.0,
    "type of a number": lambda x: 1 if x == 1 else 1.0,
    "truth": lambda x: True if x == 1 else 1,
    "list or tuple": lambda x: [1] if x == 1 else (1,),
    "nesting": lambda x: ["a", ["b"]] if x == 1 else ["a", "b"],
    "set": lambda x: {"one", "two", x},
    "order of a dict": lambda x: OrderedDict(a=1, b=2) if x == 1 else OrderedDict(b=2, a=1),
    "callable object": Scaled,
    "object with slots": Slotted,
    "dataclass": Settings,
    "nested in a dataclass": lambda x: Settings(1.0, (Scaled(x),)),
    "named tuple": lambda x: Pair(1, [x]),
    "enum": Choice,
    "bound method": lambda x: Scaled(x).method,
    "partial of an object": lambda x: functools.partial(Scaled(x), 1),
    "partial's keyword": lambda x: functools.partial(Scaled(1), factor=x),
    "enclosed object": lambda x: enclosing(Scaled(x)),
    "enclosed function that encloses": enclosing_function,
    "enclosed number": lambda x: lambda f, b: x * f(b),
    "default": with_default,
    "keyword-only default": with_keyword,
    "decorator": decorated,
    "what is decorated": decorating,
    "cached function": lambda x: functools.lru_cache(enclosing_function(x)),
    "vmap": lambda x: torch.vmap(enclosing_function(x)),
    "compiled function": lambda x: torch.compile(enclosing_function(x)),
    "compiled model": lambda x: torch.compile(Network(x)),
    "code": lambda x: (lambda f, b: f(b) + 1) if x == 1 else (lambda f, b: f(b) + 2),
    "operation": lambda x: (lambda f, b: f(b) + 1) if x == 1 else (lambda f, b: f(b) - 1),
    "code of an inner function": lambda x: (
        (lambda v: [y + 1 for y in sorted(v, key=lambda z: -z)])
        if x == 1
        else (lambda v: [y + 1 for y in sorted(v, key=lambda z: z)])
    ),
    "argument order": lambda x: (lambda a, b: a - b) if x == 1 else (lambda b, a: a - b),
    "name of an argument": lambda x: (lambda batch: batch) if x == 1 else (lambda inputs: inputs),
    "handler": lambda x: (
        tried if x == 1 else FunctionType(tried.__code__.replace(co_exceptiontable=b""), tried.__globals__)
    ),
    "entry of a list of one's own": lambda x: Tagged([1.0, x]),
    "library function": lambda x: F.relu if x == 1 else F.gelu,
    "torch's operation": lambda x: torch.relu if x == 1 else torch.tanh,
    "method of tensors": lambda x: torch.Tensor.abs if x == 1 else torch.Tensor.neg,
    "operator": lambda x: torch.ops.aten.abs.default if x == 1 else torch.ops.aten.neg.default,
    "ufunc": lambda x: np.exp if x == 1 else np.log,
    "dtype": lambda x: torch.float32 if x == 1 else torch.float64,
    **{
        f"entry of the class: {kind}": functools.partial(of_class, kind=kind)
        for kind in ("attribute", "classmethod", "staticmethod", "property", "cached", "method", "base")
    },
    "tensor": lambda x: torch.tensor([1.0, x]),
    "type of a tensor": lambda x: torch.zeros(2, dtype=torch.float32 if x == 1 else torch.int32),
    "shape of a tensor": lambda x: torch.zeros(2, 3) if x == 1 else torch.zeros(3, 2),
    "gradient wanted": lambda x: torch.zeros(2, requires_grad=x == 1),
    "half precision": lambda x: torch.tensor([1.0, x], dtype=torch.bfloat16),
    "view": lambda x: torch.tensor([[1.0, 2.0], [x, 3.0]]).T,
    "sparse tensor": lambda x: (torch.eye(3) * x).to_sparse(),
    "array": lambda x: np.where(np.arange(5000) == 2500, x, 0.0),
    "type of an array": lambda x: np.zeros(3, "f4" if x == 1 else "i4"),
    "array of objects": lambda x: np.array([Scaled(x), None], dtype=object),
    "empty array": lambda x: np.zeros((0, int(x))),
    "state of a generator": lambda x: torch.Generator().manual_seed(int(x)),
    "state of NumPy's generator": lambda x: np.random.default_rng(int(x)),
    "samples of a dataset": lambda x: TensorDataset(torch.tensor([1.0, x])),
    "samples on demand": Made,
    "subset": lambda x: Subset(Made(1), [0, int(x)]),
    "loader's batch size": lambda x: loader(x, batch_size=int(x)),
    "loader's order": lambda x: loader(x, shuffle=x == 1),
    "loader's last batch": lambda x: loader(x, drop_last=x == 1),
    "loader's collate": lambda x: loader(x, collate_fn=plus if x == 1 else enclosing(x)),
    "loader's sampler": lambda x: loader(x, sampler=Forwards() if x == 1 else Backwards()),
    "loader's data": lambda x: DataLoader(TensorDataset(torch.tensor([1.0, x]))),
    "model's attribute": Network,
    "weight": changed(lambda model: model.w.add_(1e-6)),
    "weight's type": changed(lambda model: model.double()),
    "frozen weight": changed(lambda model: model.w.requires_grad_(False)),
    "mode": changed(lambda model: model.inner.eval()),
    "dropout of a part": changed(lambda model: setattr(model.inner[1], "p", 0.2)),
    "buffer": changed(lambda model: model.inner.register_buffer("mask", torch.ones(2))),
    "buffer that is not saved": changed(lambda model: model.register_buffer("mask", torch.ones(2), persistent=False)),
    "another part": changed(lambda model: model.inner.append(nn.ReLU())),
    "forward of the instance": changed(lambda model: setattr(model, "forward", lambda x: x)),
    "hook": hooked,
    "tied weights": tied,
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_told_apart(kind):
    make = KINDS[kind]
    assert key(value=make(1)) == key(value=make(1)) != key(value=make(2))


def calls_global(f, batch):
    return reads_global(f(batch))


def reads_global(value):
    return CONSTANT * value


@torch.no_grad()
def decorated_by_torch(f, batch):
    return CONSTANT * f(batch)


@contextlib.contextmanager
def decorated_by_python():
    yield CONSTANT


@functools.lru_cache
def remembering(value):
    return CONSTANT * value


def reads_table(f, batch):
    return [TABLE["scale"] * x for x in f(batch)]


def reads_module(f, batch):
    return F.tanh(f(batch)) * llc.samplers.GAIN


@pytest.mark.parametrize(
    ("function", "holder", "name"),
    [
        (reads_global, sys.modules[__name__], "CONSTANT"),
        (calls_global, sys.modules[__name__], "CONSTANT"),
        (enclosing(calls_global), sys.modules[__name__], "CONSTANT"),
        (functools.partial(calls_global), sys.modules[__name__], "CONSTANT"),
        (decorated_by_torch, sys.modules[__name__], "CONSTANT"),
        (decorated_by_python, sys.modules[__name__], "CONSTANT"),
        (remembering, sys.modules[__name__], "CONSTANT"),
        (calls_global, sys.modules[__name__], "reads_global"),
        (reads_table, TABLE, "scale"),
        (reads_module, llc.samplers, "GAIN"),
        (reads_module, F, "tanh"),
        (Scaled(1.0), Scaled, "offset"),
        (Scaled(1.0).method, Scaled, "__call__"),
        (Network(1.0), Network, "forward"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_reached_by_name_is_looked_at(monkeypatch, function, holder, name):
    keys = []
    for value in (1.0, 2.0, 1.0):
        put = monkeypatch.setitem if isinstance(holder, dict) else functools.partial(monkeypatch.setattr, raising=False)
        put(holder, name, (lambda *x, v=value: v) if callable(getattr(holder, name, None)) else value)
        keys.append(key(value=function))
    assert keys[0] == keys[2] != keys[1]


MODULE = """
    {note}
    RATE = {rate}

    def helper(value):
        '''Text.'''
        return RATE * value

    class Loss:
        def __call__(self, f, x):
            return helper(f(x))

    def loss(f, x):
        return helper(f(x)) {more}
"""

USERS = """
    import lossmodule

    def here(f, x):
        return lossmodule.loss(f, x)

    def inside(f, x):
        from lossmodule import loss
        return loss(f, x)

    def whole(f, x):
        import lossmodule as m
        return m.loss(f, x)
"""


def written(folder, **words):
    """A module of one's own as it stands in a file, loaded anew, and one that uses it."""
    (folder / "lossmodule.py").write_text(textwrap.dedent(MODULE.format(**{"rate": 1, "more": "", "note": ""} | words)))
    (folder / "lossusers.py").write_text(textwrap.dedent(USERS))
    for name in ("lossmodule", "lossusers"):
        sys.modules.pop(name, None)
    importlib.invalidate_caches()
    return importlib.import_module("lossmodule"), importlib.import_module("lossusers")


def test_an_edited_module_of_ones_own_is_another(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def found(**words):
        module, users = written(tmp_path, **words)
        values = (module.loss, module.Loss(), module.Loss, users.here, users.inside, users.whole)
        return [key(value=value) for value in values]

    first = found()
    assert found(note="# A remark.") == first
    assert all(new != old for new, old in zip(found(rate=2), first, strict=True))
    only_loss = found(more="+ 1")
    assert only_loss[1:3] == first[1:3], "Loss does not call it"
    assert all(new != old for new, old in zip(only_loss[3:], first[3:], strict=True))


SCRIPT = """
    import sys, torch
    sys.path.insert(0, {root!r})
    from tests.llc import test_keys
    print(*test_keys.stable().values())
"""


def stable():
    """Keys of everything above, of our own functions, and of a network of a large library."""
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    gpt = GPT2LMHeadModel(GPT2Config(vocab_size=9, n_positions=4, n_embd=4, n_layer=1, n_head=1))
    values = {kind: make(2) for kind, make in KINDS.items()}
    values |= {"gpt": gpt, "own": [llc.estimate_llc, llc.ladder, llc.curvature_trace], "script": calls_global}
    return {kind: key(value=value) for kind, value in values.items()}


def test_a_key_is_the_same_in_another_process():
    """Under another order of hashes, and where other things were done before."""
    root = Path(__file__).parents[2]
    hashes = {"PYTHONHASHSEED": "7", "PYTHONPATH": str(root)}
    script = textwrap.dedent(SCRIPT.format(root=str(root)))
    done = subprocess.run(
        [sys.executable, "-c", script], env=os.environ | hashes, capture_output=True, text=True, check=True
    )
    here = stable()
    there = dict(zip(here, done.stdout.split(), strict=True))
    assert {kind for kind in here if here[kind] != there[kind]} == set()


def test_what_torch_keeps_at_a_function_that_it_has_called_does_not_count():
    class Mode(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            return func(*args, **(kwargs or {}))

    before = key(mode=Mode)
    with Mode():
        assert torch.ones(2).sum() == 2
    assert key(mode=Mode) == before


def rolls(f, batch):
    """A loss that names what all of a process draws from, in three libraries."""
    chances = (torch.default_generator, np.random.mtrand._rand, random._inst)
    return f(batch).mean() + len(chances)


def test_how_far_the_chance_of_the_process_has_come_does_not_count():
    """Not those of PyTorch, NumPy and Python; a generator that a value keeps for itself does."""
    own = torch.Generator()
    before, with_own = key(value=rolls), key(value=own)
    torch.rand(3), np.random.random(3), random.random(), torch.rand(3, generator=own)
    assert key(value=rolls) == before
    assert key(value=own) != with_own


class Endless(IterableDataset):
    def __iter__(self):
        yield 1


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (enclosing(Scaled(sys.__stdout__)), "factor of held of value: a TextIOWrapper has no content to compare"),
        ([1, (i for i in "ab")], "entry 1 of value: a generator has no content"),
        (Settings(threading.Lock()), "factor of value: a lock has no content"),
        (np.frompyfunc(abs, 1, 1), r"value: 'abs \(vectorized\)' is not what .* has under that name"),
        (torch.empty(2, device="meta"), "value: a Tensor has no content"),
        (lambda: sys.modules, "sys.modules of value: it is everything that is loaded"),
        (Endless(), "value: what an? Endless hands out is known only by using it up"),
    ],
    ids=["file", "generator", "lock", "ufunc", "meta tensor", "all modules", "iterable dataset"],
)
def test_what_has_no_key_is_named(value, message):
    with pytest.raises(NoKey, match=message):
        key(value=value)


def test_what_objects_share_counts_and_what_passes_does_not():
    one = [1.0]
    assert key(a=[one, one]) != key(a=[[1.0], [1.0]])
    assert key(a=("x" * 2, "xx")) == key(a=("xx", "xx"))
    model = hooked(1.0)
    before = key(a=model)
    for _ in range(3):
        hooked(1.0)
    assert key(a=hooked(1.0)) == before
    cached = functools.lru_cache(len)
    before = key(a=cached)
    cached("abc")
    assert key(a=cached) == before


def test_an_array_on_disk_is_what_it_holds(tmp_path):
    """As joblib sends large arrays to other processes."""
    array = np.arange(600.0).reshape(20, 30)
    np.save(tmp_path / "a.npy", array)
    assert key(a=np.load(tmp_path / "a.npy", mmap_mode="r")) == key(a=array) != key(a=array + 1)


def test_a_key_looks_and_does_not_touch():
    data = loader(1, shuffle=True)
    state = torch.get_rng_state()
    assert key(a=data) == key(a=data)
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("module", ["torch.nn.functional", "numpy", "sklearn.linear_model", "yaml"])
def test_an_installed_package_has_its_version(module):
    package = importlib.import_module(module.partition(".")[0])
    assert package.__version__ in installed(module)


def test_pythons_own_modules_have_its_version_and_ones_own_have_none():
    assert {installed(name) for name in ("builtins", "math", "json.decoder", "collections")} == {
        "{}.{}.{}".format(*sys.version_info)
    }
    assert {installed(name) for name in (__name__, "__main__", "namedtuple_Pair", "", None)} == {None}
