"""Data of every kind give what the same numbers as tensors give, and those made on demand never lie in memory whole."""

import math
from collections import UserDict, namedtuple

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    Sampler,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
)

from mechlib.llc import streams
from mechlib.llc.batches import n_samples
from mechlib.llc.curvature import curvature_trace
from mechlib.llc.data import take
from mechlib.llc.estimate import estimate_llc
from mechlib.llc.ladder import ladder
from mechlib.llc.verify import verify

CPU = torch.device("cpu")
N, SIZE = 60, 8
SHORT = {"chains": 3, "draws": 20, "burnin": 5, "lr": 1e-3, "strategy": "vmap", "progress": False}
Both = namedtuple("Both", "x y")

pytestmark = pytest.mark.filterwarnings("ignore::mechlib.llc.Unreliable")


def numbers():
    generator = torch.Generator().manual_seed(0)
    x, noise = torch.randn(N, 3, generator=generator), torch.randn(N, generator=generator)
    return x.double(), (x @ torch.tensor([1.0, -2.0, 0.5]) + 0.3 * noise).double()


X, Y = numbers()


def model():
    made = nn.Linear(3, 1, bias=False).double()
    with torch.no_grad():
        made.weight.copy_(torch.tensor([[1.0, -2.0, 0.5]]))
    return made


def same(a, b):
    """Whether two traces differ by no more than what rounding adds up to: another batch moves them by some tenths."""
    return torch.allclose(a, b, rtol=0, atol=1e-8)


def squared(f, x, y):
    return (f(x)[:, 0] - y).square()


def by_place(f, batch):
    return squared(f, batch[0], batch[1])


def by_name(f, batch):
    assert type(batch) is dict
    return squared(f, batch["x"], batch["y"])


def by_field(f, batch):
    return squared(f, batch.x, batch.y)


def nested(f, batch):
    (inner, y) = batch
    return squared(f, inner["x"], y)


class OnDemand(Dataset):
    """Samples made when asked for, which notes what was asked."""

    def __init__(self, make=lambda i: (X[i], Y[i])):
        self.make, self.asked = make, []

    def __len__(self):
        return N

    def __getitem__(self, i):
        self.asked.append(i)
        return self.make(i)


class Plain:
    """No dataset of torch's, but with a length and a sample for each number."""

    def __len__(self):
        return N

    def __getitem__(self, i):
        return {"x": X[i], "y": Y[i]}


def named(samples):
    """A collate function that makes a mapping."""
    return UserDict(x=torch.stack([x for x, _ in samples]), y=torch.stack([y for _, y in samples]))


def loader(**options):
    return DataLoader(TensorDataset(X, Y), **{"batch_size": SIZE, **options})


def batches_of_its_own():
    return [list(range(N))[at : at + SIZE] for at in range(0, N, SIZE)]


KINDS = {
    "tuple": (by_place, lambda: (X, Y)),
    "list": (by_place, lambda: [X, Y]),
    "dict": (by_name, lambda: {"x": X, "y": Y}),
    "mapping": (by_name, lambda: UserDict(x=X, y=Y)),
    "named tuple": (by_field, lambda: Both(X, Y)),
    "nested": (nested, lambda: ({"x": X}, Y)),
    "arrays": (by_place, lambda: (X.numpy(), Y.numpy())),
    "arrays of floats": (by_place, lambda: (X.float().numpy(), Y.float().numpy())),
    "turned arrays": (by_place, lambda: (X.flip(0).numpy()[::-1], Y.numpy().astype(">f8"))),
    "array and tensor": (by_name, lambda: {"x": X.numpy(), "y": Y}),
    "frame": (by_place, lambda: (pd.DataFrame(X.numpy()), pd.Series(Y.numpy()))),
    "tensor dataset": (by_place, lambda: TensorDataset(X, Y)),
    "on demand": (by_place, OnDemand),
    "on demand, by name": (by_name, lambda: OnDemand(lambda i: {"x": X[i], "y": Y[i]})),
    "on demand, nested": (nested, lambda: OnDemand(lambda i: ({"x": X[i]}, Y[i]))),
    "subset": (by_place, lambda: Subset(TensorDataset(torch.cat([X + 1, X]), torch.cat([Y, Y])), range(N, 2 * N))),
    "no dataset of torch's": (by_name, Plain),
    "loader": (by_place, loader),
    "shuffling loader": (by_place, lambda: loader(shuffle=True)),
    "loader that drops, shuffling": (by_place, lambda: loader(shuffle=True, drop_last=True)),
    "loader with workers": (by_place, lambda: loader(num_workers=1)),
    "loader that collates": (by_name, lambda: loader(collate_fn=named)),
    "loader over arrays": (by_place, lambda: loader(collate_fn=lambda s: tuple(map(np.stack, zip(*s, strict=True))))),
    "loader of a subset": (
        by_place,
        lambda: DataLoader(
            TensorDataset(torch.cat([X + 1, X]), torch.cat([Y, Y])),
            batch_size=SIZE,
            sampler=SubsetRandomSampler(range(N, 2 * N)),
        ),
    ),
    "loader with batches of its own": (
        by_place,
        lambda: DataLoader(TensorDataset(X, Y), batch_sampler=batches_of_its_own()),
    ),
}
LOADERS = {kind for kind in KINDS if "loader" in kind}


@pytest.fixture(scope="module")
def expected():
    return {size: estimate_llc(model(), by_place, (X, Y), batch_size=size, **SHORT) for size in (SIZE, None)}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_gives_what_tensors_give(kind, expected):
    loss, make = KINDS[kind]
    net, chance = model(), torch.get_rng_state()
    for size in (SIZE, None):
        found = estimate_llc(net, loss, make(), batch_size=size, **SHORT)
        assert same(found.trace, expected[SIZE if kind in LOADERS else size].trace)
        assert found.nbeta == pytest.approx(N / math.log(N))
    assert torch.equal(chance, torch.get_rng_state())


@pytest.mark.parametrize("kind", ["dict", "arrays of floats", "on demand, nested", "loader that collates"])
def test_the_other_functions_take_them_too(kind):
    loss, make = KINDS[kind]
    options = {"nbetas": [10, 20, 40, 80], "replicas": 8, "draws": 10, "burnin": 5, "progress": False}
    assert same(ladder(model(), loss, make(), **options).trace, ladder(model(), by_place, (X, Y), **options).trace)
    found = curvature_trace(model(), loss, make(), probes=4, progress=False)
    assert found.value == pytest.approx(
        curvature_trace(model(), by_place, (X, Y), probes=4, progress=False).value, rel=1e-5
    )
    found = verify(model(), loss, make(), batch_size=SIZE, **SHORT)
    wanted = verify(model(), by_place, (X, Y), batch_size=SIZE, **SHORT).difference
    assert found.difference == pytest.approx(wanted, abs=1e-8)


def test_the_loss_may_be_read_on_other_data_of_the_same_structure():
    half = {"x": X[:30], "y": Y[:30]}
    wanted = estimate_llc(model(), by_place, (X, Y), eval_data=(X[:30], Y[:30]), batch_size=SIZE, **SHORT)
    for others in (half, OnDemand(lambda i: {"x": X[i % 30], "y": Y[i % 30]}), DataLoader(Plain(), batch_size=4)):
        found = estimate_llc(model(), by_name, {"x": X, "y": Y}, eval_data=others, batch_size=SIZE, **SHORT)
        assert same(found.trace, wanted.trace) == (others is half)
        assert math.isfinite(found.llc)
    with pytest.raises(ValueError, match=r"are made up otherwise: \(0, 1\) and \{'x': 0, 'y': 1\}"):
        estimate_llc(model(), by_name, {"x": X, "y": Y}, eval_data=(X, Y), **SHORT)


# What is in memory


class Largest(TorchDispatchMode):
    """The numbers in the largest tensor that any operation made."""

    def __init__(self):
        super().__init__()
        self.entries = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for made in out if isinstance(out, (tuple, list)) else (out,):
            if isinstance(made, torch.Tensor):
                self.entries = max(self.entries, made.numel())
        return out


class Generated(Dataset):
    """2000 x 1000 numbers that are nowhere."""

    def __len__(self):
        return 2000

    def __getitem__(self, i):
        if not 0 <= i < 2000:
            raise IndexError(i)
        return torch.arange(1000.0).add_(i).sin_()


@pytest.mark.parametrize("as_loader", [False, True])
def test_a_large_dataset_is_never_in_memory(as_loader):
    net = nn.Linear(1000, 1, bias=False)
    data = DataLoader(Generated(), batch_size=10, shuffle=True) if as_loader else Generated()
    with Largest() as seen:
        result = estimate_llc(
            net, lambda f, x: f(x)[:, 0].square(), data, batch_size=None if as_loader else 10, chains=2, draws=20,
            burnin=5, lr=1e-6, progress=False,
        )  # fmt: skip
    assert result.nbeta == pytest.approx(2000 / math.log(2000))
    # A batch has 10,000 numbers, and the loss at w* is read on two (one for each chain) at a time.
    assert 10_000 <= seen.entries <= 40_000 < 2000 * 1000 / 10


def test_all_of_a_large_dataset_at_once_is_refused(monkeypatch):
    monkeypatch.setattr(streams, "LARGE", 60 * 32 - 1)
    for data in (OnDemand(), DataLoader(TensorDataset(X, Y), batch_size=N)):
        with pytest.raises(ValueError, match=r"all the 60 samples of data at once are 0 MB.*: set batch_size"):
            estimate_llc(model(), by_place, data, **SHORT)
    with pytest.raises(ValueError, match="all the 60 samples"):
        ladder(model(), by_place, OnDemand(), nbetas=[10, 20, 40, 80], progress=False)


def test_arrays_on_disk_are_read_by_rows(tmp_path, monkeypatch, expected):
    for name, array in (("x", X.float().numpy()), ("y", Y.float().numpy())):
        np.save(tmp_path / f"{name}.npy", array)
    lies = tuple(np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in "xy")
    assert isinstance(take(lies, CPU, torch.float64).parts, tuple), "small ones are read"
    monkeypatch.setattr("mechlib.llc.data.LARGE", 100)
    monkeypatch.setattr(streams, "LARGE", 100)
    for size in (SIZE, None):
        found = estimate_llc(model(), by_place, lies, batch_size=size, **SHORT)
        assert same(found.trace, expected[size].trace)
    mapped = dict(zip("xy", lies, strict=True))
    with Largest() as seen:
        samples = take(mapped, CPU, torch.float64)
        next(samples.parts.in_order(4))
    assert isinstance(samples.parts, streams.Stream) and seen.entries == 4 * 3


# How many samples there are, and which


class Backwards(Sampler):
    def __iter__(self):
        return iter(range(N - 1, -1, -1))


class Forever(Sampler):
    def __iter__(self):
        while True:
            yield from range(N)


@pytest.mark.parametrize(
    ("options", "n", "size"),
    [
        ({}, 60, 8),
        ({"batch_size": 100}, 60, 60),
        ({"shuffle": True}, 60, 8),
        ({"drop_last": True}, 56, 8),
        ({"drop_last": True, "shuffle": True}, 60, 8),
        ({"sampler": RandomSampler(range(N), replacement=True)}, 60, 8),
        ({"sampler": SubsetRandomSampler([4, 5, 6])}, 3, 3),
        ({"sampler": Backwards()}, 60, 8),
        ({"batch_size": 1, "batch_sampler": BatchSampler(range(20), 6, drop_last=False)}, 20, 6),
        ({"batch_size": 1, "batch_sampler": BatchSampler(range(20), 6, drop_last=True)}, 18, 6),
    ],
)
def test_the_samples_of_a_loader_are_those_that_it_hands_out(options, n, size):
    samples = take(loader(**options), CPU)
    assert (n_samples(samples.parts), samples.batch_size) == (n, size)
    found = torch.cat([x for x, _ in samples.parts.in_order(7)])
    if "sampler" in options and n == 60 and isinstance(options["sampler"], Backwards):
        assert torch.equal(found, X.flip(0))
    elif n == 3:
        assert torch.equal(found, X[4:7])
    else:
        assert torch.equal(found, X[:n])


def test_a_dataset_is_asked_for_the_samples_of_each_batch_and_no_others():
    data = OnDemand()
    stream = take(data, CPU).parts
    data.asked.clear()
    batches = stream.batches(iter([[3, 1], [7], [0, 0]]))
    assert torch.equal(next(batches)[0], X[[3, 1]]) and data.asked == [3, 1]
    assert [len(x) for x, _ in batches] == [1, 2] and data.asked == [3, 1, 7, 0, 0]


class OneByOne(IterableDataset):
    def __iter__(self):
        yield X[0], Y[0]


def packed(samples):
    """A collate function that puts all samples into one sequence."""
    return torch.cat([x for x, _ in samples])


def growing(samples):
    return {str(len(samples)): torch.stack([x for x, _ in samples])}


@pytest.mark.parametrize(
    ("data", "error", "match"),
    [
        (torch.zeros(0, 3), ValueError, r"data is empty: shapes \[\(0, 3\)\]"),
        (torch.tensor(1.0), ValueError, "data is empty"),
        ((), ValueError, "data is empty"),
        ({}, ValueError, "data is empty"),
        (Subset(OnDemand(), []), ValueError, "data is empty"),
        ((torch.zeros(3), torch.zeros(4, 2)), ValueError, r"different numbers of samples: shapes \[\(3,\), \(4, 2\)\]"),
        ({"x": X, "y": Y.numpy()[:5]}, ValueError, r"different numbers of samples: shapes \[\(60, 3\), \(5,\)\]"),
        ([1.0, 2.0], TypeError, r"data\[0\] is a tensor, an array, a tuple or dict of these, .*, not float"),
        ({"x": X, "name": "a"}, TypeError, r"data\['name'\] is a tensor, .*, not str"),
        (np.array(["a", "b"]), TypeError, "data holds numbers, not <U1"),
        (pd.DataFrame({"a": ["x", "y"]}), TypeError, "data holds numbers, not"),
        ([(X[0], Y[0]), (X[1], Y[1])], TypeError, r"a list of tuples, it seems of samples: give .*default_collate"),
        ([{"x": X[0]}, {"x": X[1]}], TypeError, "a list of dicts, it seems of samples"),
        (OneByOne(), TypeError, "data is a OneByOne, which hands out its samples once .*default_collate"),
        (DataLoader(OneByOne()), TypeError, "data is a OneByOne, which hands out its samples once"),
        ((x for x in X), TypeError, "data is a generator, which hands out its samples once"),
        (iter(loader()), TypeError, "Iter, which hands out its samples once"),
        (loader(batch_size=None), ValueError, "a DataLoader with batch_size=None"),
        (loader(sampler=WeightedRandomSampler([1.0] * N, 2 * N)), ValueError, "WeightedRandomSampler of data draws"),
        (loader(sampler=Forever()), ValueError, r"Forever of data draws samples more than once \(61 draws of 60"),
        (loader(collate_fn=packed), ValueError, r"a batch of 1 samples of data has shapes \[\(3,\)\]"),
        (OnDemand(lambda i: {"x": X[i], "name": "a"}), TypeError, r"a batch of data\['name'\]\[0\] is a tensor"),
        (open, TypeError, "not builtin_function_or_method"),
    ],
)  # fmt: skip
def test_data_that_cannot_be(data, error, match):
    with pytest.raises(error, match=match):
        take(data, CPU)


def test_batches_that_differ_in_structure_are_refused():
    stream = take(loader(collate_fn=growing), CPU).parts
    with pytest.raises(ValueError, match=r"differ in what they are made of: \{'1': 0\} and \{'2': 0\}"):
        next(stream.in_order(2))


def test_data_come_back_in_their_structure_and_type():
    x = torch.zeros(3, 2, requires_grad=True)
    assert isinstance(take(x, CPU).parts, torch.Tensor) and not take(x, CPU).parts.requires_grad
    assert isinstance(take([x, x], CPU).parts, tuple) and take([x, x], CPU).plain
    assert take(x, CPU, torch.float64).parts.dtype == torch.float32, "tensors are taken as they are"
    kinds = {"float64": torch.float32, "int32": torch.int32, "bool": torch.bool, "complex64": torch.complex64}
    for kind, found in kinds.items():
        assert take(np.zeros(3, kind), CPU, torch.float32).parts.dtype == found
    array = np.zeros(3)
    taken = take(array, CPU).parts
    array[:] = 1
    assert not taken.any(), "what is changed later is not seen"
