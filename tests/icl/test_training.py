"""Training: what it converges to, that it resumes to the same bits, and that a population is many runs in one."""

import dataclasses
import shutil

import pytest
import torch

from mechlib.icl import construction, predictors, shifts, tasks
from mechlib.icl.compare import compare_predictors
from mechlib.icl.linear_attention import LinearSelfAttention
from mechlib.icl.mixture import Mixture
from mechlib.icl.models import Architecture, ICLTransformer
from mechlib.icl.training import Recipe, train
from tests.sampling import mean_is

SMALL = Recipe(steps=12, batch=8, n_points=5, learning_rate=1e-2, warmup=3, clip=0.5)


def small(n_models=1, seed=0):
    return ICLTransformer(Architecture(3, 5, d_model=8), n_models=n_models, seed=seed)


def same(a, b):
    assert all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))


def test_one_linear_layer_learns_one_step_of_gradient_descent():
    """Closed form: the best step for ten dimensions and ten examples (von Oswald et al. 2023, Fig. 2)."""
    task = tasks.LinearRegression(10, inputs="uniform")
    model = LinearSelfAttention(10)
    train(model, task, Recipe(steps=2000, batch=512, n_points=11, learning_rate=1e-2), progress=False)
    eta, loss = construction.one_step_optimum(10, 10, 1 / 12, 1 / 80)
    sample = task.sample(10_000, 11, generator=torch.Generator().manual_seed(1))
    found = compare_predictors(model, lambda x, y: predictors.gradient_descent(x, y, eta=eta, steps=1), sample)
    assert found.gradient_cosine.mean() > 0.999
    mean_is(found.loss_f, loss, within=0.03)
    assert found.loss_f.mean().item() == pytest.approx(found.loss_g.mean().item(), rel=0.005)


@pytest.mark.parametrize("looped", [False, True])
def test_layers_given_the_constructed_weights_do_gradient_descent(looped):
    model = LinearSelfAttention(3, n_layers=4, looped=looped, n_models=2).double()
    layer = construction.gd_weights(3, 5, 0.7, 0.02)
    with torch.no_grad():
        for name in ("W_Q", "W_K", "W_V", "W_O"):
            getattr(model, name).copy_(getattr(layer, name))
    sample = tasks.LinearRegression(3).sample(4, 6, generator=torch.Generator().manual_seed(0))
    expected = construction.gd_predict(sample.x.double(), sample.y.double(), eta=0.7, steps=4, gamma=0.02)
    torch.testing.assert_close(model(sample.x.double(), sample.y.double()), expected.expand(2, -1))


@pytest.mark.parametrize("optimiser", ["adam", "muon"])
def test_a_run_that_was_stopped_ends_at_the_same_bits(tmp_path, monkeypatch, optimiser):
    recipe = dataclasses.replace(SMALL, optimiser=optimiser)
    monkeypatch.setattr("mechlib.training.loop.SAVE_EVERY", 5)
    whole, task = small(), tasks.LinearRegression(3)
    history = train(
        whole, task, recipe, watch=lambda m: float(m.read.weight.sum()), watch_at=(0, 4, 12), progress=False
    )

    class Stopped(Exception):
        pass

    def stop(model):
        raise Stopped

    stopped = small()
    with pytest.raises(Stopped):
        train(stopped, task, recipe, watch=stop, watch_at=(8,), folder=tmp_path, progress=False)
    resumed = small()
    later = train(resumed, task, recipe, watch=lambda m: 0.0, watch_at=(12,), folder=tmp_path, progress=False)
    same(resumed, whole)
    assert torch.equal(later.loss, history.loss)
    assert sorted(history.watched) == [0, 4, 12] and sorted(later.watched) == [12]


def pooled(change=0.0):
    pool = torch.randn(40, 3, generator=torch.Generator().manual_seed(2))
    pool[39, 2] += change  # a task that the first prompts do not draw
    return tasks.LinearRegression(3, pool=pool)


def mixed(noise=0.0, hidden=4):
    families = (tasks.LinearRegression(3), tasks.ReluNetwork(3, hidden=hidden))
    return Mixture(3, noise=noise, families=families, scales=(1.0, 0.5))


@dataclasses.dataclass(frozen=True)
class Cubed(tasks.LinearRegression):
    def evaluate(self, task, x):
        return super().evaluate(task, x) ** 3


OTHERS = {
    "recipe": ({"recipe": dataclasses.replace(SMALL, seed=1)}, "recipe.*recipe.seed is 0 there and 1 here"),
    "rate": ({"recipe": dataclasses.replace(SMALL, learning_rate=0.02)}, "recipe.learning_rate is 0.01 there and 0.02"),
    "noise": ({"task": tasks.LinearRegression(3, noise=3.0)}, "another task.*noise is 0.0 there and 3.0 here"),
    "inputs": ({"task": tasks.LinearRegression(3, inputs="uniform")}, "inputs is 'normal' there and 'uniform' here"),
    "family": ({"task": tasks.SparseLinear(3, nonzero=3)}, "LinearRegression' there and 'SparseLinear' here"),
    "a pool": ({"task": pooled()}, "task.0.pool is None there and a tensor"),
    "a shift": ({"task": shifts.Scaled(tasks.LinearRegression(3))}, "'LinearRegression' there and 'Scaled' here"),
    "its code": ({"task": Cubed(3)}, "another task"),
    "weights": ({"model": {"seed": 1}}, "another model.*weights.embed.weight has other numbers"),
    "heads": ({"model": {"n_heads": 1}}, "model.architecture.n_heads is 2 there and 1 here"),
    "width": ({"model": {"d_model": 16}}, r"positions is \[1, 1, 5, 8\] there and \[1, 1, 5, 16\] here"),
}


@pytest.mark.parametrize("other", OTHERS)
def test_a_folder_belongs_to_one_run(tmp_path, other):
    """Finished or killed before anything was saved, it is neither resumed by another run nor overwritten."""
    changed, message = OTHERS[other]
    first = {"recipe": SMALL, "task": tasks.LinearRegression(3), "model": {}}

    def run(recipe, task, model, folder):
        sizes = {"d_model": 8, "seed": 0} | model
        seed = sizes.pop("seed")
        network = ICLTransformer(Architecture(3, 5, **sizes), seed=seed)
        return train(network, task, recipe, folder=folder, progress=False).loss

    loss = run(**first, folder=tmp_path / "done")
    with pytest.raises(ValueError, match=message):
        run(**first | changed, folder=tmp_path / "done")
    assert torch.equal(run(**first, folder=tmp_path / "done"), loss)
    (tmp_path / "killed").mkdir()
    shutil.copy(tmp_path / "done" / "run.pt", tmp_path / "killed")
    with pytest.raises(ValueError, match=message):
        run(**first | changed, folder=tmp_path / "killed")


@pytest.mark.parametrize(
    ("given", "other", "message"),
    [
        (pooled(), pooled(1e-3), "task.0.pool has other numbers"),
        (mixed(), mixed(hidden=5), "task.0.families.1.hidden is 4 there and 5 here"),
        (mixed(), mixed(noise=0.1), "task.0.noise is 0.0 there and 0.1 here"),
        (shifts.Scaled(pooled(), factor=2.0), shifts.Scaled(pooled(), factor=3.0), "task.0.factor is 2.0 there"),
        (shifts.Scaled(pooled()), shifts.Scaled(pooled(1.0)), "task.0.task.pool has other numbers"),
    ],
)
def test_a_task_is_all_that_it_holds(tmp_path, given, other, message):
    train(small(), given, SMALL, folder=tmp_path, progress=False)
    train(small(), given, SMALL, folder=tmp_path, progress=False)
    with pytest.raises(ValueError, match=message):
        train(small(), other, SMALL, folder=tmp_path, progress=False)


def test_the_tasks_of_a_population_are_compared_one_by_one(tmp_path):
    given = [tasks.LinearRegression(3), tasks.LinearRegression(3, noise=0.5)]
    train(small(2), given, SMALL, folder=tmp_path, progress=False)
    with pytest.raises(ValueError, match=r"task\.1\.noise is 0\.5 there and 0\.25 here"):
        train(small(2), [given[0], tasks.LinearRegression(3, noise=0.25)], SMALL, folder=tmp_path, progress=False)
    with pytest.raises(ValueError, match=r"task\.1 only there"):
        train(small(2), given[0], SMALL, folder=tmp_path, progress=False)


def test_models_that_differ_in_code_or_in_what_is_trained_are_others(tmp_path):
    class Doubled(LinearSelfAttention):
        def forward(self, x, y):
            return 2 * super().forward(x, y)

    Doubled.__qualname__ = LinearSelfAttention.__qualname__
    task = tasks.LinearRegression(3)
    train(LinearSelfAttention(3), task, SMALL, folder=tmp_path, progress=False)
    with pytest.raises(ValueError, match=r"model\.first predictions has other numbers"):
        train(Doubled(3), task, SMALL, folder=tmp_path, progress=False)
    frozen = LinearSelfAttention(3)
    frozen.W_Q.requires_grad_(False)
    with pytest.raises(ValueError, match=r"model\.trained"):
        train(frozen, task, SMALL, folder=tmp_path, progress=False)


def test_what_is_watched_is_found_by_the_watch_that_is_given(tmp_path, monkeypatch):
    """Another watch, or the same with another setting, gets its own results at every look, stopped or finished."""
    monkeypatch.setattr("mechlib.training.loop.SAVE_EVERY", 5)
    task, looks = tasks.LinearRegression(3), (0, 4, 9, 12)

    class Stopped(Exception):
        pass

    class Entry:
        def __init__(self, index, stop=False):
            self.index, self.stop, self.calls = index, stop, 0

        def __call__(self, model):
            self.calls += 1
            if self.stop and self.calls == 3:
                raise Stopped
            return float(model.embed.weight.flatten()[self.index])

    expected = [train(small(), task, SMALL, watch=Entry(i), watch_at=looks, progress=False).watched for i in (0, 1)]
    with pytest.raises(Stopped):
        train(small(), task, SMALL, watch=Entry(0, stop=True), watch_at=looks, folder=tmp_path, progress=False)
    for _ in range(2):
        for index in (0, 1):
            model = small()
            found = train(model, task, SMALL, watch=Entry(index), watch_at=looks, folder=tmp_path, progress=False)
            assert found.watched == expected[index]
            assert float(model.embed.weight.detach().flatten()[index]) == expected[index][12]
    with pytest.raises(ValueError, match="has passed step 7 of watch_at and kept no weights"):
        train(small(), task, SMALL, watch=Entry(0), watch_at=(4, 7), folder=tmp_path, progress=False)


def test_a_folder_makes_no_difference_to_a_model_that_draws_at_random(tmp_path):
    class Dropping(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.drop, self.still = small(), torch.nn.Dropout(0.5), torch.nn.Dropout(0.5).eval()

        def forward(self, x, y):
            return self.still(self.inner(self.drop(x), y))

    losses = []
    for folder in (None, tmp_path, tmp_path):
        with torch.random.fork_rng():
            torch.manual_seed(3)
            model = Dropping()
            losses.append(train(model, tasks.LinearRegression(3), SMALL, folder=folder, progress=False).loss)
        assert model.drop.training and not model.still.training
    assert torch.equal(losses[0], losses[1]) and torch.equal(losses[0], losses[2])


def test_a_state_of_which_nothing_says_whose_it_is_is_refused(tmp_path):
    train(small(), tasks.LinearRegression(3), SMALL, folder=tmp_path, progress=False)
    (tmp_path / "run.pt").unlink()
    with pytest.raises(ValueError, match=r"no run\.pt that says of which one"):
        train(small(), tasks.LinearRegression(3), SMALL, folder=tmp_path, progress=False)


def test_a_population_is_its_models_trained_alone():
    pools = [torch.randn(m, 3, generator=torch.Generator().manual_seed(m)) for m in (2, 4)]
    population = small(n_models=2)
    alone = [population.select(i) for i in range(2)]
    history = train(population, tasks.LinearRegression(3), SMALL, progress=False)
    sample = tasks.LinearRegression(3).sample(4, 5, generator=torch.Generator().manual_seed(9))
    for i, model in enumerate(alone):
        own = train(model, tasks.LinearRegression(3), SMALL, progress=False)
        torch.testing.assert_close(model(sample.x, sample.y), population(sample.x, sample.y)[i], atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(own.loss[:, 0], history.loss[:, i], atol=1e-4, rtol=1e-4)
    different = small(n_models=2)
    losses = train(different, [tasks.LinearRegression(3, pool=pool) for pool in pools], SMALL, progress=False).loss
    assert losses.shape == (12, 2) and not torch.allclose(losses[:, 0], losses[:, 1])


def test_the_rate_rises_and_falls():
    rates = [SMALL.rate(step) for step in range(12)]
    assert rates[:3] == pytest.approx([1e-2 / 3, 2e-2 / 3, 1e-2])
    assert rates[3] == pytest.approx(1e-2) and rates[-1] < 5e-4
    assert rates[2:] == sorted(rates[2:], reverse=True)
    constant = Recipe(steps=12, batch=8, n_points=5, learning_rate=1e-2, schedule="constant")
    assert {constant.rate(step) for step in range(12)} == {1e-2}


def test_cycles_go_through_the_schedule_again():
    twice = dataclasses.replace(SMALL, steps=24, cycles=2)
    assert [twice.rate(step) for step in range(24)] == 2 * [SMALL.rate(step) for step in range(12)]


def test_clipping_bounds_the_gradient_of_each_model():
    model = small(n_models=2)
    seen = []
    optimiser_step = torch.optim.Adam.step

    def look(self, *args, **kwargs):
        grads = [p.grad.flatten(1) for g in self.param_groups for p in g["params"]]
        seen.append(torch.cat(grads, 1).norm(dim=1))
        return optimiser_step(self, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim.Adam, "step", look)
        train(model, tasks.LinearRegression(3, noise=9.0), SMALL, progress=False)
    norms = torch.stack(seen)
    assert norms.max() <= 0.5 + 1e-5 and (norms > 0.499).any()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Recipe(steps=0, batch=8, n_points=5, learning_rate=1e-2), "got 0, 8, 5"),
        (lambda: Recipe(steps=1, batch=8, n_points=5, learning_rate=-1.0), "-1.0"),
        (lambda: Recipe(steps=1, batch=8, n_points=5, learning_rate=0.1, schedule="step"), "got 'step'"),
        (lambda: Recipe(steps=1, batch=8, n_points=5, learning_rate=0.1, optimiser="sgd"), "got 'sgd'"),
        (lambda: Recipe(steps=9, batch=8, n_points=5, learning_rate=0.1, cycles=2), "divides steps=9, got 2"),
        (lambda: LinearSelfAttention(3, n_layers=0), "n_layers=0"),
        (lambda: train(small(), [tasks.LinearRegression(3)] * 2, SMALL), "each of the 1 models is needed, got 2"),
        (lambda: LinearSelfAttention(4)(torch.zeros(2, 5, 3), torch.zeros(2, 5)), r"4 dimensions, got \(2, 5, 3\)"),
        (lambda: LinearSelfAttention(3)(torch.zeros(2, 1, 3), torch.zeros(2, 1)), "a query and no example"),
    ],
)
def test_bad_settings_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_loss_that_explodes_stops_the_run_with_its_step():
    with pytest.raises(FloatingPointError, match="at step"):
        train(
            LinearSelfAttention(3, n_layers=6),
            tasks.LinearRegression(3, noise=1e30),
            Recipe(steps=50, batch=4, n_points=5, learning_rate=10.0, schedule="constant"),
            progress=False,
        )
