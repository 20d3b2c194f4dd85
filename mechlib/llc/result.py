"""What an estimate of the learning coefficient says, and how far it can be believed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jaxtyping import Float
from torch import Tensor

from mechlib.llc.chains import arviz
from mechlib.llc.preconditioner import WORTHWHILE

if TYPE_CHECKING:
    from arviz import InferenceData
    from matplotlib.axes import Axes

__all__ = ["LLCResult", "LLCWarning", "Unreliable"]


class Unreliable(UserWarning):
    """The category under which every :class:`LLCWarning` is also a Python warning."""


@dataclass(frozen=True)
class LLCWarning:
    """One reason not to believe an estimate."""

    code: str
    """A key of ``mechlib.llc.diagnostics.CODES`` or, for a ladder, ``mechlib.llc.ladder.LADDER_CODES``."""
    message: str
    """What was seen, with the numbers, and what would help."""

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


@dataclass(frozen=True)
class LLCResult:
    """An estimate of E[nbeta (L(w) - L(w*))] under ``exp(-nbeta L(w) - gamma/2 |w - w*|^2)``.

    At large nbeta and small gamma that is the local learning coefficient of w* (Lau et al. 2023, eq. 9); at the given
    ones it is what a perfect sampler would find, which ``mechlib.llc.quadrature`` computes for small problems.
    """

    llc: float
    """The mean of ``trace`` over all chains and draws: NaN if a chain is."""
    std_error: float
    """Its standard error, from the effective sample size; the larger of two estimates, one of which allows for the
    minibatches that all chains share."""
    per_chain: Float[Tensor, " chain"]
    """The mean of each chain, ``[chain]``, none left out."""
    trace: Float[Tensor, "chain draw"]
    """nbeta (L(w_t) - L(w*)), ``[chain, draw]``, as read on the minibatches."""
    burnin_trace: Float[Tensor, "chain step"]
    """The same while burning in, ``[chain, step]``."""
    init_loss: float
    """The loss at w* that is the baseline: over all the data; without an anchor, on the first minibatch."""
    nbeta: float
    """The inverse temperature times the number of samples, at which the chains ran."""
    lr: float
    """The step eps, the variance of the noise of one step; for ``mala`` with ``lr="auto"`` after adaptation. With a
    preconditioner, what multiplies it."""
    gamma: float
    """The precision of the Gaussian prior around w*."""
    rhat: float
    """Rank-normalised split R-hat (Vehtari et al. 2021); NaN with one chain."""
    ess: float
    """Effective number of independent draws for the mean."""
    virial: float
    """E[(w - w*) . grad U] / d, 1 at equilibrium. Above 1: the step or the gradient noise is too large. Below 1:
    flat directions have not yet spread, which need not matter for ``llc``."""
    n_diverged: int
    """Chains whose loss stopped being finite or left the scale of the problem."""
    curvature: float
    """The largest eigenvalue of the Hessian of L met at the chains' last places; on a minibatch if that is used."""
    steepness: float
    """``lr`` times the largest eigenvalue of the Hessian of U met there, in the coordinates of the preconditioner if
    there is one: what ``lm`` can bear is below 4."""
    gamma_sensitivity: float
    """``d log llc / d log gamma = -gamma Cov(nbeta L, |w - w*|^2) / (2 llc)``: 0 when gamma does not matter, -1 when
    the prior alone sets where the chains are. NaN with ``eval_data``, and with 30 draws or fewer."""
    grad_norm: float
    """The length of the gradient of L at w*."""
    acceptance: float
    """Mean acceptance probability of ``mala``; NaN for the others."""
    n_params: int
    """The number of free weights d."""
    sampler: str
    """A key of ``mechlib.llc.samplers.SAMPLERS``."""
    precondition: str | None
    """None, or ``"jacobi"``: a step for each weight."""
    spread: float
    """The longest of these steps over the shortest: below about ten they gain less than they cost. 1 without."""
    strategy: str
    """How the chains went through the model: ``"vmap"`` or ``"serial"``."""
    interrupted: bool
    """Whether the run was ended by Ctrl-C; the draws are those made until then."""
    observed: Tensor | dict[Any, Tensor] | None = None
    """What ``on_draw`` returned, ``[chain, draw, ...]``: a tensor, tensors by name, or None for nothing."""
    warnings: tuple[LLCWarning, ...] = ()
    """Reasons not to believe it; empty for a healthy run."""

    def __str__(self) -> str:
        chains, draws = self.trace.shape
        how = self.sampler
        if self.precondition is not None:
            worth = "" if self.spread >= WORTHWHILE else ", too little to gain by"
            how += f", steps spread by {self.spread:.3g}{worth}"
        head = (
            f"llc {self.llc:.4g} ± {self.std_error:.2g} ({chains} chains of {draws} draws with {how}, "
            f"nbeta {self.nbeta:.4g}, gamma {self.gamma:.3g}, lr {self.lr:.3g}, ESS {self.ess:.0f})"
        )
        return "\n".join([head, *(f"  {warning}" for warning in self.warnings)])

    def codes(self) -> set[str]:
        """The codes of the warnings."""
        return {warning.code for warning in self.warnings}

    def to_arviz(self) -> InferenceData:
        """The trace as ArviZ's ``posterior["llc"]``, the settings as its attributes."""
        settings = {name: getattr(self, name) for name in ("nbeta", "lr", "gamma", "init_loss", "sampler")}
        return arviz().from_dict(posterior={"llc": self.trace.cpu().numpy()}, posterior_attrs=settings)

    def plot(self, ax: Axes | None = None) -> Axes:
        """Every chain's trace with its burn-in, the mean and two standard errors."""
        import matplotlib.pyplot as plt

        ax = plt.subplots()[1] if ax is None else ax
        burnin = self.burnin_trace.shape[1]
        steps = range(-burnin, self.trace.shape[1])
        for chain in zip(self.burnin_trace.tolist(), self.trace.tolist(), strict=True):
            ax.plot(steps, [*chain[0], *chain[1]], color="0.6", linewidth=0.5)
        ax.axvline(0, color="0.2", linewidth=0.8, linestyle=":")
        ax.axhspan(self.llc - 2 * self.std_error, self.llc + 2 * self.std_error, color="0.1", alpha=0.25, linewidth=0)
        ax.axhline(self.llc, color="0.1", linewidth=1.2)
        ax.set(xlabel="draw (burn-in before 0)", ylabel=r"$n\beta\,(L(w_t) - L(w^*))$")
        return ax
