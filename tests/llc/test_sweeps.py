import os
import warnings

import joblib
import pytest
import torch
from joblib.externals.loky.process_executor import TerminatedWorkerError
from torch import nn

from mechlib.llc import sweeps
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
        return float(loss_fn(model, data).mean())

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


@pytest.mark.parametrize("change", ["weights", "data", "options", "loss"])
def test_a_change_of_what_the_result_depends_on_is_computed_anew(tmp_path, monkeypatch, change):
    (tmp_path / "calls").mkdir()
    model = models(1)
    options = {"estimator": counting(str(tmp_path / "calls")), "gamma": 1.0}
    sweep(model, tmp_path, **options)
    sweep(model, tmp_path, **options)
    assert len(os.listdir(tmp_path / "calls")) == 1
    if change == "weights":
        with torch.no_grad():
            model["seed 0"].weight[0, 0] += 1e-3
    elif change == "data":
        monkeypatch.setitem(globals(), "data", lambda: torch.ones(10, 3))
    elif change == "options":
        options["gamma"] = 2.0
    else:
        options["loss_fn"] = lambda f, x: f(x).abs().sum(1)
    sweep(model, tmp_path, **options)
    assert len(os.listdir(tmp_path / "calls")) == 2


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
        return float(loss_fn(model, data).mean())

    several = models(4)
    with torch.no_grad():
        several["seed 3"].weight[0, 0] = 9.0
    with pytest.raises(TerminatedWorkerError):
        sweep(several, tmp_path, estimator=estimator, n_jobs=2)
    assert len(os.listdir(tmp_path / "calls")) == 3
    deadly.unlink()
    found = sweep(several, tmp_path, estimator=estimator, n_jobs=2)
    assert len(os.listdir(tmp_path / "calls")) == 4
    assert found == {name: pytest.approx(float(squared()(m, data()).mean())) for name, m in several.items()}


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
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, host="127.0.0.1"
        ) as cluster,
        distributed.Client(cluster),
        joblib.parallel_config(backend="dask"),
    ):
        found = sweep(models(4), tmp_path, **SHORT)
    here = sweep(models(4), tmp_path / "here", **SHORT)
    assert {name: result.llc for name, result in found.items()} == {name: result.llc for name, result in here.items()}


def test_a_dask_worker_that_dies_loses_no_finished_result_and_its_work_is_done_by_the_other(tmp_path):
    distributed = pytest.importorskip("distributed")
    (tmp_path / "calls").mkdir()
    once = tmp_path / "once"
    once.touch()

    def estimator(model, loss_fn, data, *, progress):
        import os
        import tempfile

        if once.exists() and len(os.listdir(tmp_path / "calls")) == 2:
            once.unlink()
            os._exit(1)
        tempfile.mkstemp(dir=tmp_path / "calls")
        return float(loss_fn(model, data).mean())

    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, host="127.0.0.1"
        ) as cluster,
        distributed.Client(cluster),
        joblib.parallel_config(backend="dask"),
    ):
        found = sweep(models(4), tmp_path, estimator=estimator)
    assert len(found) == 4 and not once.exists()
    assert len(os.listdir(tmp_path / "cache")) == 4


def test_warnings_name_their_model(tmp_path):
    with pytest.warns(Unreliable, match="^seed 0: few_draws"):
        coefficients(models(1), squared(), data(), cache=tmp_path, progress=False, **SHORT)


def test_functions_without_source_are_known_by_name():
    assert sweeps._source(len) == "len"
    assert "return x + 1" in sweeps._source(lambda x: x + 1) or "x + 1" in sweeps._source(lambda x: x + 1)


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
