import os
import warnings
from functools import partial

import joblib
import numpy as np
import pytest
import torch
from distributed import Client, LocalCluster
from joblib.externals.loky.process_executor import TerminatedWorkerError
from torch import nn

from mechlib.llc import run, sweeps
from mechlib.llc.curvature import curvature_trace
from mechlib.llc.estimate import estimate_llc
from mechlib.llc.result import Unreliable
from mechlib.llc.sweeps import coefficients

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


def scaled(f, x, factor):
    return factor * f(x).square().sum(1)


@pytest.mark.parametrize(
    ("one", "same", "other"),
    [
        (partial(scaled, factor=1), partial(scaled, factor=1), partial(scaled, factor=2)),
        (nn.Linear(1, 1, bias=False), None, nn.Linear(1, 1)),
        (np.arange(5000), np.arange(5000), np.where(np.arange(5000) == 2500, 0, np.arange(5000))),
        ({"first", "second"}, {"second", "first"}, {"first", "third"}),
        (lambda: 1, None, lambda: 2),
        (lambda x: [abs(y) + 1 for y in x], None, lambda x: [abs(y) + 2 for y in x]),
        (lambda x: abs(x), None, lambda x: len(x)),
        (len, None, abs),
    ],
    ids=["partial", "module", "array", "set", "constant", "inner function", "name", "built in"],
)
def test_what_is_told_apart(one, same, other):
    assert sweeps._digest(one) == sweeps._digest(one if same is None else same) != sweeps._digest(other)


def test_an_estimate_that_was_cut_short_is_not_kept(tmp_path, monkeypatch):
    original = run.Drawn.note

    def note(self, step, *rest):
        if step == 15:
            raise KeyboardInterrupt
        original(self, step, *rest)

    monkeypatch.setattr(run.Drawn, "note", note)
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
