import os
import pickle
import subprocess
import sys
import threading
import warnings
from functools import partial
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch
from distributed import Client, LocalCluster
from joblib.externals.loky.process_executor import TerminatedWorkerError
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from mechlib.llc import sweeps
from mechlib.llc.curvature import curvature_trace
from mechlib.llc.estimate import estimate_llc
from mechlib.llc.observe import Series
from mechlib.llc.result import Unreliable
from mechlib.llc.sweeps import Failure, coefficients

SHORT = {"nbeta": 20.0, "chains": 2, "draws": 20, "burnin": 5, "strategy": "serial"}


def data():
    return torch.linspace(-1, 1, 30).view(10, 3)


def models(n=3):
    """Linear maps to two outputs, each with other weights."""
    made = {}
    for seed in range(n):
        model = nn.Linear(3, 2, bias=False)
        with torch.no_grad():
            model.weight.copy_(torch.randn(2, 3, generator=torch.Generator().manual_seed(seed)))
        made[f"seed {seed}"] = model
    return made


def squared():
    """A loss that workers can be sent: pickled by value, because it is local."""

    def loss(f, x):
        return f(x).square().sum(1)

    return loss


def counting(folder):
    """An estimator that leaves a file for each of its calls."""

    def estimator(model, loss_fn, data, *, progress, **options):
        import tempfile

        tempfile.mkstemp(dir=folder)
        return float(loss_fn(model, data).detach().mean())

    return estimator


def sweep(models, tmp_path, loss_fn=None, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Unreliable)
        return coefficients(models, loss_fn or squared(), data(), cache=tmp_path / "cache", progress=False, **options)


def test_each_result_is_that_of_the_estimator_itself(tmp_path):
    found = sweep(models(), tmp_path, each={"seed 1": {"seed": 5}}, **SHORT)
    assert list(found) == ["seed 0", "seed 1", "seed 2"]
    for name, model in models().items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Unreliable)
            alone = estimate_llc(model, squared(), data(), progress=False, seed=5 if name == "seed 1" else 0, **SHORT)
        assert torch.equal(found[name].trace, alone.trace)
        assert found[name].warnings == alone.warnings


def test_another_estimator_and_models_made_where_the_work_is_done(tmp_path):
    makers = {name: (lambda model=model: model) for name, model in models().items()}
    found = sweep(makers, tmp_path, estimator=curvature_trace, probes=4)
    # The Hessian of sum_o (w_o . x)^2 is 2 x x' for each of the two outputs.
    assert found["seed 0"].value == pytest.approx(
        4 * float(data().square().sum(1).mean()), abs=8 * found["seed 0"].std_error
    )


def test_a_second_call_computes_only_what_is_missing(tmp_path):
    (tmp_path / "calls").mkdir()
    options = {"estimator": counting(str(tmp_path / "calls"))}
    first = sweep(models(2), tmp_path, **options)
    again = sweep(models(3), tmp_path, **options)
    assert len(os.listdir(tmp_path / "calls")) == 3
    assert {name: again[name] for name in first} == first


def weights_moved(model, call):
    with torch.no_grad():
        model.weight[0, 0] += 1e-3


def weights_frozen(model, call):
    model.weight.requires_grad_(False)


def mode(model, call):
    model.eval()


def other_data(model, call):
    call["data"] = torch.ones(10, 3)


def option(model, call):
    call["gamma"] = 2.0


def other_loss(model, call):
    call["loss_fn"] = lambda f, x: f(x).abs().sum(1)


def enclosed_number(model, call):
    call["loss_fn"] = powers(3)


def default(model, call):
    call["loss_fn"] = powers(2, scale=2.0)


CHANGES = [weights_moved, weights_frozen, mode, other_data, option, other_loss, enclosed_number, default]


def powers(exponent, scale=1.0):
    def loss(f, x, scale=scale):
        return scale * f(x).abs().pow(exponent).sum(1)

    return loss


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_what_the_result_depends_on_is_computed_anew(tmp_path, change):
    (tmp_path / "calls").mkdir()
    model = models(1)["seed 0"]
    call = {"loss_fn": powers(2), "data": data(), "gamma": 1.0, "estimator": counting(str(tmp_path / "calls"))}
    for computed in (1, 1):
        coefficients({"a": model}, cache=tmp_path / "cache", progress=False, **call)
        assert len(os.listdir(tmp_path / "calls")) == computed
    change(model, call)
    coefficients({"a": model}, cache=tmp_path / "cache", progress=False, **call)
    assert len(os.listdir(tmp_path / "calls")) == 2


class Tempered(nn.Module):
    def __init__(self, temperature):
        super().__init__()
        self.w, self.temperature = nn.Parameter(torch.ones(3)), temperature

    def forward(self, x):
        return (x @ self.w)[:, None] / self.temperature


class Scaled:
    def __init__(self, factor):
        self.factor = factor

    def __call__(self, f, x):
        return self.factor * f(x)[:, 0].square()


def read(model, loss_fn, data, **options):
    """An estimator whose value says which loss and model it was given."""
    return float(loss_fn(model, data).detach().mean())


FACTOR = 1.0


def of_global(f, x):
    return FACTOR * f(x)[:, 0].square()


def held(kind, factor, monkeypatch):
    """A loss that holds a factor."""
    scaled = Scaled(factor)
    if kind == "object":
        return scaled
    if kind == "method":
        return scaled.__call__
    if kind == "partial":
        return partial(scaled)
    if kind == "enclosed":
        return lambda f, x: scaled(f, x)
    monkeypatch.setitem(globals(), "FACTOR", factor)
    return of_global


@pytest.mark.parametrize("kind", ["object", "method", "partial", "enclosed", "global"])
def test_the_result_of_another_loss_is_not_handed_out(tmp_path, monkeypatch, kind):
    values = [
        sweep({"a": Tempered(1.0)}, tmp_path, held(kind, factor, monkeypatch), estimator=read)["a"]
        for factor in (1.0, 10.0, 1.0)
    ]
    assert values[1] == pytest.approx(10 * values[0]) and values[2] == values[0]
    assert len(os.listdir(tmp_path / "cache")) == 2


def test_the_result_of_a_model_with_another_attribute_is_not_handed_out(tmp_path):
    values = [sweep({"a": Tempered(t)}, tmp_path, Scaled(1.0), estimator=read)["a"] for t in (1.0, 3.0)]
    assert values[0] == pytest.approx(9 * values[1])


@pytest.mark.parametrize(
    "change",
    [
        lambda data: {"x": data},
        np.asarray,
        TensorDataset,
        lambda data: DataLoader(TensorDataset(data), batch_size=5),
    ],
    ids=["dict", "array", "dataset", "loader"],
)
def test_the_result_on_other_data_is_not_handed_out(tmp_path, change):
    def estimator(model, loss_fn, data, **options):
        return len(os.listdir(tmp_path / "cache"))

    found = [
        coefficients(models(1), squared(), change(x), cache=tmp_path / "cache", estimator=estimator, progress=False)
        for x in (data(), data(), data() + 1)
    ]
    assert [result["seed 0"] for result in found] == [0, 0, 1]


@pytest.mark.parametrize(
    ("holder", "name"), [(sweeps, "__version__"), (torch, "__version__"), (torch, "get_default_dtype")]
)
def test_under_another_version_or_default_a_result_is_computed_anew(tmp_path, monkeypatch, holder, name):
    sweep(models(1), tmp_path, estimator=read)
    monkeypatch.setattr(holder, name, "99" if name == "__version__" else lambda: torch.float64)
    sweep(models(1), tmp_path, estimator=read)
    assert len(os.listdir(tmp_path / "cache")) == 2


ROOT = Path(__file__).parents[2]


def in_a_session(tmp_path, order):
    """A sweep in a process of its own; what it found and how many results are kept then."""
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from pathlib import Path\n"
        "from tests.llc.test_sweeps import Scaled, Tempered, sweep, read\n"
        f"print(sweep({{'a': Tempered(2.0)}}, Path({str(tmp_path)!r}), Scaled(2.0), estimator=read)['a'])"
    )
    environment = os.environ | {"PYTHONHASHSEED": order, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    return float(done.stdout)


def test_a_later_session_finds_what_an_earlier_one_kept(tmp_path):
    first = in_a_session(tmp_path, order="1")
    kept = {file: file.stat().st_mtime_ns for file in (tmp_path / "cache").iterdir()}
    assert in_a_session(tmp_path, order="2") == first
    assert sweep({"a": Tempered(2.0)}, tmp_path, Scaled(2.0), estimator=read) == {"a": first}
    assert {file: file.stat().st_mtime_ns for file in (tmp_path / "cache").iterdir()} == kept and len(kept) == 1


def test_processes_find_what_this_one_kept(tmp_path):
    """Models and functions that are sent by value, because they are local, have the same keys where they arrive."""
    (tmp_path / "calls").mkdir()

    class Local(Tempered):
        def forward(self, x):
            return super().forward(x) + 1

    several = {"a": Local(1.0), "b": lambda: Local(2.0), "c": nn.LSTM(3, 2), "d": nn.Linear(3, 2).double()}
    loss, options = enclosing(squared()), {"estimator": always_one(str(tmp_path / "calls"))}
    for processes in (1, 2):
        sweep(several, tmp_path, loss, n_jobs=processes, **options)
        assert len(os.listdir(tmp_path / "calls")) == 4


def enclosing(loss):
    return lambda f, x: loss(f, x)


def always_one(folder):
    def estimator(model, loss_fn, data, **options):
        import tempfile

        tempfile.mkstemp(dir=folder)
        return 1.0

    return estimator


def broken():
    model = models(1)["seed 0"]
    with torch.no_grad():
        model.weight[0, 0] = torch.nan
    return model


def missing():
    raise FileNotFoundError("no checkpoint at step 300")


@pytest.mark.parametrize("processes", [1, 2])
def test_a_model_that_fails_is_reported_beside_the_finished_ones(tmp_path, processes):
    several = {"before": models(1)["seed 0"], "nan": broken(), "gone": missing, "after": models(2)["seed 1"]}
    with pytest.warns(UserWarning) as said:
        found = coefficients(several, squared(), data(), cache=tmp_path, progress=False, n_jobs=processes, **SHORT)
    assert list(found) == list(several)
    alone = sweep(models(2), tmp_path / "alone", **SHORT)
    assert torch.equal(found["before"].trace, alone["seed 0"].trace)
    assert torch.equal(found["after"].trace, alone["seed 1"].trace)
    about = [str(w.message) for w in said if w.category is UserWarning]
    assert about == [f"no result for {found[name]}" for name in ("nan", "gone")]
    assert str(found["nan"]).startswith("nan: ValueError: w* is not finite")
    assert str(found["gone"]) == "gone: FileNotFoundError: no checkpoint at step 300"
    assert "missing" in found["gone"].traceback
    with pytest.raises(AttributeError, match="there is no llc: no result for nan: ValueError: w"):
        found["nan"].llc  # noqa: B018
    assert sum(file.suffix == ".joblib" for file in tmp_path.iterdir()) == 2


def test_a_model_that_failed_is_tried_again_and_a_failure_can_be_kept(tmp_path):
    there = tmp_path / "there"

    def make():
        if not there.exists():
            raise FileNotFoundError("not yet")
        return models(2)["seed 1"]

    with pytest.warns(UserWarning, match="no result for b: FileNotFoundError: not yet"):
        first = sweep({"a": models(1)["seed 0"], "b": make}, tmp_path, estimator=read)
    copied = pickle.loads(pickle.dumps(first["b"]))
    assert isinstance(copied, Failure) and str(copied) == str(first["b"])
    there.touch()
    second = sweep({"a": models(1)["seed 0"], "b": make}, tmp_path, estimator=read)
    assert second == {"a": first["a"], "b": read(models(2)["seed 1"], squared(), data())}


class Odd(Exception):
    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")


def test_an_error_that_cannot_be_sent_is_reported_by_its_words():
    failure = Failure.of("m", Odd(1, 2))
    assert str(failure) == "m: RuntimeError: Odd: 1 and 2"


def test_without_a_single_result_the_first_error_is_raised_and_all_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no checkpoint at step 300") as caught:
        sweep({"x": missing, "y": broken()}, tmp_path, **SHORT)
    notes = "\n".join(caught.value.__notes__)
    assert "There is a result for none of 2 models" in notes
    assert "x: FileNotFoundError" in notes and "y: ValueError: w* is not finite" in notes


def test_what_cannot_be_compared_is_named_and_computed_each_time(tmp_path):
    lock = threading.Lock()

    def loss(f, x):
        with lock:
            return f(x).square().sum(1)

    for _ in range(2):
        with pytest.warns(UserWarning, match="results are not kept.*lock of loss_fn: a lock has no content"):
            found = sweep(models(2), tmp_path, loss, estimator=read)
        assert found == {name: pytest.approx(read(m, squared(), data())) for name, m in models(2).items()}
    assert not os.listdir(tmp_path / "cache")
    odd = models(2)
    odd["seed 1"].lock = lock
    with pytest.warns(UserWarning, match="seed 1: the result is not kept: lock of model: a lock has no content"):
        assert sweep(odd, tmp_path, estimator=read) == found
    assert len(os.listdir(tmp_path / "cache")) == 1


def test_an_estimate_that_was_cut_short_is_not_kept(tmp_path, monkeypatch):
    original = Series.note

    def note(self, step, *rest):
        if step == 15:
            raise KeyboardInterrupt
        original(self, step, *rest)

    monkeypatch.setattr(Series, "note", note)
    with pytest.raises(KeyboardInterrupt):
        sweep(models(1), tmp_path, **SHORT)
    monkeypatch.undo()
    assert sweep(models(1), tmp_path, **SHORT)["seed 0"].trace.shape == (2, 20)


def test_masks_of_heads_are_options_of_single_models(tmp_path):
    model = models(1)["seed 0"]
    rows = {
        f"row {i}": {"params": {"weight": torch.eye(2, dtype=torch.bool)[:, i, None].expand(2, 3)}} for i in range(2)
    }
    found = sweep(dict.fromkeys(rows, model), tmp_path, each=rows, **SHORT)
    assert [result.n_params for result in found.values()] == [3, 3]
    assert not torch.equal(found["row 0"].trace, found["row 1"].trace)


def test_a_killed_worker_loses_no_finished_result(tmp_path):
    (tmp_path / "calls").mkdir()
    deadly = tmp_path / "deadly"
    deadly.touch()

    def estimator(model, loss_fn, data, *, progress):
        import os
        import tempfile
        import time

        if float(model.weight.detach()[0, 0]) > 5:  # the last of the models
            while sum(name.endswith(".joblib") for name in os.listdir(tmp_path / "cache")) < 3:
                time.sleep(0.05)
            if deadly.exists():
                os._exit(1)
        tempfile.mkstemp(dir=tmp_path / "calls")
        return float(loss_fn(model, data).detach().mean())

    several = models(4)
    with torch.no_grad():
        several["seed 3"].weight[0, 0] = 9.0
    with pytest.raises(TerminatedWorkerError):
        sweep(several, tmp_path, estimator=estimator, n_jobs=2)
    assert len(os.listdir(tmp_path / "calls")) == 3
    deadly.unlink()
    found = sweep(several, tmp_path, estimator=estimator, n_jobs=2)
    assert len(os.listdir(tmp_path / "calls")) == 4
    assert found == {name: pytest.approx(float(squared()(m, data()).detach().mean())) for name, m in several.items()}


def test_a_result_that_was_being_written_is_not_taken_for_whole(tmp_path, monkeypatch):
    def fails(result, stream):
        stream.write(b"half of it")
        raise KeyboardInterrupt

    monkeypatch.setattr(joblib, "dump", fails)
    with pytest.raises(KeyboardInterrupt):
        sweep(models(1), tmp_path, **SHORT)
    monkeypatch.undo()
    assert sweep(models(1), tmp_path, **SHORT)["seed 0"].trace.shape == (2, 20)


def test_it_runs_on_a_dask_cluster_of_two_workers(tmp_path):
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, host="127.0.0.1") as cluster,
        Client(cluster),
        joblib.parallel_config(backend="dask"),
    ):
        found = sweep(models(4), tmp_path, **SHORT)
    here = sweep(models(4), tmp_path / "here", **SHORT)
    assert {name: result.llc for name, result in found.items()} == {name: result.llc for name, result in here.items()}


def test_a_dask_worker_that_dies_loses_no_finished_result_and_its_work_is_done_by_the_other(tmp_path):
    once = tmp_path / "once"
    once.touch()

    def estimator(model, loss_fn, data, *, progress):
        import os
        import time

        if float(model.weight.detach()[0, 0]) > 5:  # the last of the models
            while sum(name.endswith(".joblib") for name in os.listdir(tmp_path / "cache")) < 1:
                time.sleep(0.05)
            if once.exists():
                once.unlink()
                os._exit(1)
        return float(loss_fn(model, data).detach().mean())

    several = models(4)
    with torch.no_grad():
        several["seed 3"].weight[0, 0] = 9.0
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, host="127.0.0.1") as cluster,
        Client(cluster),
        joblib.parallel_config(backend="dask"),
    ):
        found = sweep(several, tmp_path, estimator=estimator)
    assert found == {name: pytest.approx(float(squared()(m, data()).detach().mean())) for name, m in several.items()}
    assert not once.exists()
    assert len(os.listdir(tmp_path / "cache")) == 4


def test_warnings_name_their_model(tmp_path):
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", Unreliable)
        found = coefficients(models(2), squared(), data(), cache=tmp_path, progress=False, **SHORT)
    expected = [f"{name}: {reason}" for name, result in found.items() for reason in result.warnings]
    assert [str(w.message) for w in said if w.category is Unreliable] == expected
    assert any(reason.startswith("seed 1: few_draws") for reason in expected)


@pytest.mark.parametrize(
    ("given", "each", "message"),
    [
        ({}, None, "models is empty"),
        (models(1), {"seed 7": {}}, r"each names \['seed 7'\], and the models are \['seed 0'\]"),
    ],
)
def test_nothing_to_do_and_options_of_no_model_are_refused(tmp_path, given, each, message):
    with pytest.raises(ValueError, match=message):
        sweep(given, tmp_path, each=each)
