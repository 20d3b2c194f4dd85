"""Learning in context: tasks, the algorithms that a transformer is compared with, and weights that are an algorithm.

Knows no model of the book and nothing of TransformerLens: it takes tensors and callables.

The algorithms (``averaging``, ``dmmse``, ``gradient_descent``, ``knn``, ``least_squares``, ``mlp_gd``, ``newton``,
``ridge`` and the posteriors) take ``x [batch, n_points, d]`` and ``y [batch, n_points]`` and give predictions
``[batch, n_points]``. They are causal: the prediction for ``y_k`` is made of ``x_k`` and of the examples before ``k``;
without examples it is 0, or the prior's. All raise ``ValueError`` for what is no batch of prompts.

``mechlib.icl.probing`` is imported by itself, for it brings scikit-learn.
"""

from mechlib.icl.compare import Comparison, compare_predictors, implicit_weight, ridge_dmmse_projection
from mechlib.icl.construction import (
    LinearAttentionWeights,
    gd_predict,
    gd_weights,
    one_step_optimum,
)
from mechlib.icl.linear_attention import LinearSelfAttention
from mechlib.icl.mixture import Mixture
from mechlib.icl.models import Architecture, ICLTransformer
from mechlib.icl.posteriors import sparse_posterior, tree_posterior
from mechlib.icl.predictors import (
    averaging,
    dmmse,
    gradient_descent,
    knn,
    least_squares,
    mlp_gd,
    newton,
    ridge,
)
from mechlib.icl.prompts import Prompts
from mechlib.icl.shifts import InOrthant, InSubspace, Rotated, Scaled
from mechlib.icl.tasks import DecisionTree, LinearRegression, ReluNetwork, SparseLinear
from mechlib.icl.training import History, Recipe, train
from mechlib.icl.trajectories import JointPCA, joint_pca

__all__ = [
    "Architecture",
    "Comparison",
    "DecisionTree",
    "History",
    "ICLTransformer",
    "InOrthant",
    "InSubspace",
    "JointPCA",
    "LinearAttentionWeights",
    "LinearRegression",
    "LinearSelfAttention",
    "Mixture",
    "Prompts",
    "Recipe",
    "ReluNetwork",
    "Rotated",
    "Scaled",
    "SparseLinear",
    "averaging",
    "compare_predictors",
    "dmmse",
    "gd_predict",
    "gd_weights",
    "gradient_descent",
    "implicit_weight",
    "joint_pca",
    "knn",
    "least_squares",
    "mlp_gd",
    "newton",
    "one_step_optimum",
    "ridge",
    "ridge_dmmse_projection",
    "sparse_posterior",
    "train",
    "tree_posterior",
]
