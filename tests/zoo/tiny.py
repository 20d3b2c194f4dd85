"""Recipes of a few steps, one or more for every kind that is trained: all but the sizes is as in those that ship."""

from mechlib.bridge import Shape
from mechlib.icl.models import Architecture
from mechlib.icl.tasks import LinearRegression
from mechlib.icl.training import Recipe as Training
from mechlib.zoo.data import Rows
from mechlib.zoo.kinds import KINDS, TrainedKind
from mechlib.zoo.kinds.docstring import DocstringRows
from mechlib.zoo.kinds.language_recipes import TextTraining
from mechlib.zoo.kinds.regression_recipes import Taught, nested_pools
from mechlib.zoo.recipe import Recipe
from mechlib.zoo.regressors import LinearLayers, Regressor

LANGUAGE = Recipe(
    name="tiny",
    about="A test.",
    shape=Shape(n_layers=2, d_model=32, n_heads=2, d_head=16, d_mlp=48, n_ctx=24, d_vocab=2048),
    data=Rows(stdlib=5, repeated=2),
    training=TextTraining(6, learning_rate=3e-3, warmup=2, decay_from=4, optimiser="muon"),
    checkpoints=(2,),
    look_every=3,
)
POPULATION = Recipe(
    name="tiny-pools",
    about="A test.",
    shape=Regressor(Architecture(3, 5, d_model=8, n_layers=1), n_models=3),
    data=Taught(nested_pools(3, 0.5, (2, 7, None)), ("2", "7", "infinite")),
    training=Training(steps=6, batch=4, n_points=5, learning_rate=1e-2, warmup=2, optimiser="muon"),
    checkpoints=(2,),
    looked_at=(1, 4),
    stores_outputs=True,
)
LINEAR = Recipe(
    name="tiny-linear",
    about="A test.",
    shape=Regressor(LinearLayers(3, n_layers=2, looped=True)),
    data=Taught((LinearRegression(3, inputs="uniform"),)),
    training=Training(steps=4, batch=4, n_points=5, learning_rate=1e-2),
    seed=3,
    remarks=("Small.",),
)
DOCSTRING = Recipe(
    name="tiny-docstring",
    about="A test.",
    shape=Shape(n_layers=2, d_model=32, n_heads=2, d_head=16, d_mlp=0, n_ctx=48, d_vocab=2048),
    data=DocstringRows(stdlib=2, repeated=1, docstrings=2),
    training=TextTraining(6, learning_rate=3e-3, warmup=2),
    checkpoints=(2,),
    look_every=3,
)
TINY = {"language": LANGUAGE, "regression": POPULATION, "docstring": DOCSTRING}
"""For every kind that is trained, the recipe on which it keeps the contract of all."""
TRAINED = {kind.word: kind for kind in KINDS if isinstance(kind, TrainedKind)}
