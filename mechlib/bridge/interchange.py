"""Interchange interventions of TransformerLens: subspaces, their exchange between runs, and how they are learned."""

from transformer_lens.tools.analysis.interchange import (
    DASResult,
    NormMatchedPlacebo,
    SubspaceInterchange,
    arbitrary_targets,
    collect_activations,
    fit_das,
    intervened_logits,
    random_basis,
)

__all__ = [
    "DASResult",
    "NormMatchedPlacebo",
    "SubspaceInterchange",
    "arbitrary_targets",
    "collect_activations",
    "fit_das",
    "intervened_logits",
    "random_basis",
]
