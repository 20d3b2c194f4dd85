"""What the estimators say to arguments that do not fit."""

import functools
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from mechlib.llc import coefficients, curvature_trace, estimate_llc, ladder, verify
from mechlib.llc.arguments import ELSEWHERE, check_loss

X, LABELS = torch.linspace(-1, 1, 30).view(10, 3), torch.arange(10) % 2
SHORT = {"nbeta": 20.0, "chains": 2, "draws": 20, "burnin": 5, "lr": 1e-3, "strategy": "serial", "progress": False}

pytestmark = pytest.mark.filterwarnings("ignore::mechlib.llc.Unreliable")


def model():
    made = nn.Linear(3, 2)
    nn.init.ones_(made.weight), nn.init.zeros_(made.bias)
    return made


def loss(f, batch):
    return F.cross_entropy(f(batch[0]), batch[1], reduction="none")


climb = functools.partial(ladder, nbetas=[2, 4, 8, 16])


def test_numbers_may_be_tensors_and_arrays_without_axes():
    given = {"nbeta": torch.tensor(20.0), "gamma": np.float32(2.0), "lr": torch.tensor(1e-3, dtype=torch.float64)}
    given |= {"chains": torch.tensor(2), "draws": np.int64(20), "burnin": np.array(5), "seed": torch.tensor(3)}
    found = estimate_llc(model(), loss, (X, LABELS), batch_size=torch.tensor(5), **(SHORT | given))
    same = estimate_llc(model(), loss, (X, LABELS), batch_size=5, **(SHORT | {"gamma": 2.0, "seed": 3}))
    assert torch.equal(found.trace, same.trace)
    assert (type(found.nbeta), found.nbeta, type(found.gamma)) == (float, 20.0, float)
    options = {"replicas": 8, "draws": 10, "burnin": 5, "progress": False}
    for nbetas in (torch.tensor([10.0, 20, 40, 80]), np.array([10, 20, 40, 80])):
        found = ladder(model(), loss, (X, LABELS), nbetas=nbetas, seed=torch.tensor(1), **options)
        same = ladder(model(), loss, (X, LABELS), nbetas=[10, 20, 40, 80], seed=1, **options)
        assert torch.equal(found.trace, same.trace)


@pytest.mark.parametrize(
    "function", [estimate_llc, verify, curvature_trace, functools.partial(ladder, nbetas=[2, 4, 8, 16])]
)
@pytest.mark.parametrize("seed", [[0, 1, 2], (0,), 1.0, None, torch.arange(3)])
def test_several_seeds_are_several_runs(function, seed):
    with pytest.raises(TypeError, match=r"seed is one whole number.*a call for each seed, or llc\.coefficients"):
        function(model(), loss, (X, LABELS), seed=seed, progress=False)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"nbeta": torch.ones(2)}, r"nbeta is a positive number, not tensor\(\[1., 1.\]\)"),
        ({"nbeta": [1.0, 2.0]}, r"nbeta is a positive number, not \[1.0, 2.0\]"),
        ({"nbeta": torch.tensor(math.nan)}, "nbeta is a positive number, not nan"),
        ({"nbeta": "auto"}, "nbeta is a positive number, not 'auto'"),
        ({"gamma": None}, "gamma is a number of at least 0, not None"),
        ({"gamma": torch.tensor(-1)}, "gamma is a number of at least 0, not -1"),
        ({"chains": torch.tensor(2.0)}, "chains is a whole number of at least 1, not 2.0"),
        ({"batch_size": 2.5}, "batch_size is a whole number of samples or None, not 2.5"),
        ({"seed": 2**70}, "seed is between"),
    ],
)
def test_numbers_that_are_none(options, match):
    with pytest.raises(ValueError, match=match):
        estimate_llc(model(), loss, (X, LABELS), **(SHORT | options))


@pytest.mark.parametrize("nbetas", [5.0, [5.0], torch.tensor(5.0), [1, 2, 3, 4], [2, 4, 4, 8], [2, 4, 8, math.inf]])
def test_rungs_that_are_no_ladder(nbetas):
    with pytest.raises(ValueError, match="nbetas are at least four numbers above 1, ascending, not"):
        ladder(model(), loss, (X, LABELS), nbetas=nbetas)


# Names


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("sampling_method", "sampler"),
        ("optimizer_kwargs", "lr, nbeta and gamma"),
        ("num_draws", "draws"),
        ("num_chains", "chains"),
        ("num_burnin_steps", "burnin"),
        ("num_steps_bw_draws", "nothing here: every step is a draw"),
        ("localization", "gamma"),
        ("learning_rate", "lr"),
        ("evaluate", "loss_fn"),
        ("loader", "data"),
        ("cores", "n_jobs of llc.coefficients"),
        ("init_loss", "nothing here: the loss at w"),
        ("optimize_over_per_model_param", "params"),
        ("temperature", "nbeta"),
        ("verbose", "progress"),
        ("chain", "no argument; did you mean 'chains'"),
        ("xyz", "no argument; there are model, loss_fn, data, nbeta"),
    ],
)
def test_an_argument_of_another_library_is_told_its_name_here(name, ours):
    with pytest.raises(TypeError, match=f"estimate_llc has other names for its arguments: {name!r} is {ours}"):
        estimate_llc(model(), loss, (X, LABELS), **{name: 1})


def test_every_name_that_is_told_is_one_of_ours():
    """The words before a comma or colon are arguments, or say that there is none."""
    ours = {"batch_size", "burnin", "chains", "data", "device", "draws", "gamma", "loss_fn", "lr", "n_jobs", "nbeta"}
    ours |= {"nothing", "on_draw", "params", "progress", "sampler"}
    assert {said.replace(",", " ").replace(":", " ").split()[0] for said in ELSEWHERE.values()} == ours


def test_a_call_as_of_devinterp_is_answered_with_all_its_names(tmp_path):
    data = DataLoader(TensorDataset(X, LABELS), batch_size=5)
    for function in (estimate_llc, verify, curvature_trace, functools.partial(coefficients, cache=tmp_path)):
        with pytest.raises(TypeError, match=r"'evaluate' is loss_fn.*'loader' is data; 'num_draws' is draws"):
            function(model(), loader=data, evaluate=loss, num_draws=10)


def test_an_estimator_of_ones_own_may_have_any_names(tmp_path):
    found = coefficients(
        {"a": model()}, loss, (X, LABELS), cache=tmp_path, estimator=lambda *given, num_draws, **rest: num_draws,
        progress=False, num_draws=7,
    )  # fmt: skip
    assert found == {"a": 7}


# Losses


@pytest.mark.parametrize(
    ("given", "match"),
    [
        (nn.CrossEntropyLoss(), r'CrossEntropyLoss takes outputs and targets.*nn.CrossEntropyLoss\(reduction="none"\)'),
        (nn.MSELoss(reduction="none"), "MSELoss takes outputs and targets"),
        (F.cross_entropy, r"cross_entropy takes outputs .*F\.cross_entropy\(f\(batch\[0\]\), batch\[1\], reduction"),
        (F.nll_loss, "nll_loss takes outputs and targets"),
        (functools.partial(F.mse_loss, reduction="none"), "mse_loss takes outputs and targets"),
        (lambda f, x, y: f(x), r"called as loss_fn\(f, batch\).*; this one takes \(f, x, y\)"),
        (lambda batch: batch, r"this one takes \(batch\)"),
        (DataLoader(TensorDataset(X)), "the arguments are model, loss_fn, data, and loss_fn is a DataLoader"),
        (X, "loss_fn is a Tensor"),
        ("mse", "loss_fn is a str"),
    ],
)
def test_what_is_no_loss_of_model_and_batch(given, match):
    for function in (estimate_llc, curvature_trace, climb):
        with pytest.raises(TypeError, match=match):
            function(model(), given, (X, LABELS))


def test_what_may_be_a_loss_is_let_through():
    class Loss(nn.Module):
        def forward(self, f, batch):
            return loss(f, batch)

    for one in (loss, functools.partial(loss), Loss(), lambda *given: loss(*given), lambda f, b, scale=1: loss(f, b)):
        check_loss(one)


@pytest.mark.parametrize(
    ("given", "error"),
    [
        (lambda output, target: output - target, TypeError),
        (lambda output, target: output.log_softmax(-1), AttributeError),
        (lambda f, batch: F.cross_entropy(f, batch[1]), TypeError),
    ],
)
def test_a_loss_of_outputs_and_targets_is_told_how_it_is_called(given, error):
    for function in (estimate_llc, curvature_trace, climb):
        with pytest.raises(error, match=r"loss_fn is called as loss_fn\(f, batch\), where f is called like the model"):
            function(model(), given, (X, LABELS), progress=False)


@pytest.fixture(scope="module")
def untrained():
    from transformers import GPT2Config, GPT2LMHeadModel

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return GPT2LMHeadModel(GPT2Config(vocab_size=11, n_positions=8, n_embd=8, n_layer=1, n_head=2)).eval()


@pytest.mark.parametrize(
    "given",
    [
        lambda f, ids: f(ids, labels=ids).loss,
        lambda f, ids: F.cross_entropy(f(ids).transpose(1, 2), ids, reduction="none"),
        lambda f, ids: F.cross_entropy(f(ids)[:, :-1].transpose(1, 2), ids[:, 1:], reduction="none"),
    ],
    ids=["its own loss", "the output as logits", "the output cut"],
)
def test_of_a_language_model_it_is_told_how_the_loss_is_written(untrained, given):
    ids = torch.arange(48).view(12, 4) % 11
    with pytest.raises(
        (TypeError, ValueError, AttributeError), match=r"write lambda f, ids: F\.cross_entropy\(f\(ids\)\.logits"
    ):
        estimate_llc(untrained, given, ids, **SHORT)


def test_that_loss_is_right_and_random_weights_are_no_minimum(untrained):
    ids = torch.arange(48).view(12, 4) % 11
    told = eval('lambda f, ids: F.cross_entropy(f(ids).logits[:, :-1].transpose(1, 2), ids[:, 1:], reduction="none")')
    found = estimate_llc(untrained, told, ids, **SHORT)
    assert found.init_loss == pytest.approx(float(untrained(ids, labels=ids).loss.detach()), rel=1e-5)
    assert "not_a_minimum" in found.codes()


@pytest.mark.filterwarnings("always::mechlib.llc.Unreliable")
def test_warnings_point_at_the_line_that_called(tmp_path):
    options = {"progress": False}
    calls = [
        lambda: estimate_llc(model(), loss, (X, LABELS), **SHORT),
        lambda: ladder(model(), loss, (X, LABELS), nbetas=[2, 4, 8, 16], replicas=8, draws=10, burnin=0, **options),
        lambda: curvature_trace(nn.Sequential(model(), nn.Dropout()), loss, (X, LABELS), probes=2, **options),
        lambda: coefficients({"a": model()}, loss, (X, LABELS), cache=tmp_path, **SHORT),
    ]
    for call in calls:
        with pytest.warns(UserWarning) as said:
            call()
        assert {warning.filename for warning in said} == {__file__}
