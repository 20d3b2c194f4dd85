"""Surveys of models with large vocabularies, which take minutes: kept with the library, and made again by one command.

    python -m mechlib.argmax.recorded smollm2-135m

What is kept is enough to check every token again. The vectors that are directions are named and not stored.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import scipy
import torch
from jaxtyping import Float, Int

from mechlib import zoo
from mechlib.argmax.certificates import Certificate, Enclosed, Spoken
from mechlib.argmax.readout import Readout
from mechlib.argmax.screening import CORRECTED, directions
from mechlib.argmax.surveying import STAGES, Survey, survey
from mechlib.bridge import TransformerBridge, require_bridge, tensors_digest

__all__ = ["RECORDED", "Recorded", "load", "of_model", "record", "write"]

RECORDED = Path(__file__).with_name("recordings")
"""Where they are kept."""


@dataclass(frozen=True, eq=False)
class Recorded:
    """What a survey found of every token."""

    about: dict[str, object]
    """The model, the digest of its read-out, the versions and the CPU seconds."""
    by: Int[np.ndarray, " token"]
    """What settled it: a number of ``stages``."""
    lead: Float[np.ndarray, " token"]
    """``check`` of its certificate, in single precision."""
    vectors: dict[int, Float[np.ndarray, " d"]]
    """Those of speakable tokens that are no directions."""
    weights: dict[int, dict[int, Fraction | float]]
    """Those of tokens that are not speakable."""

    @property
    def stages(self) -> list[str]:
        """Names of what settles tokens."""
        return list(self.about["stages"])  # type: ignore[call-overload]

    def certificates(self, readout: Readout, tokens: Sequence[int]) -> list[Certificate]:
        """Those of some tokens, the directions computed anew.

        Raises:
            ValueError: if the read-out is another than the one that was surveyed.
        """
        if (found := digest(readout)) != self.about["digest"]:
            raise ValueError(f"the survey is of a read-out with the digest {self.about['digest']}, this has {found}")
        maps, mean = list(directions(readout).values()), readout.rows.mean(0)
        return [
            Enclosed(token, self.weights[token])
            if token in self.weights
            else Spoken(token, self.vectors[token])
            if token in self.vectors
            else Spoken(token, readout.inside((readout.rows[token] - mean) @ maps[self.by[token]]))
            for token in map(int, tokens)
        ]


def of_model(model: object) -> Readout:
    """The read-out of a model whose last step is RMSNorm or LayerNorm and an unembedding.

    Raises:
        TypeError: if it is no ``TransformerBridge``.
        ValueError: if its final norm is neither, or its last step does more than that, which some vectors are asked.
    """
    require_bridge(model)
    assert isinstance(model, TransformerBridge)
    kind = model.cfg.normalization_type
    weights = dict(model.ln_final.named_parameters())
    gain = next((w for name, w in weights.items() if name.endswith("weight")), None)
    if kind not in ("RMS", "LN") or gain is None:
        raise ValueError(f"the final norm is RMSNorm or LayerNorm with a weight; this model has {kind!r}")
    shift = next((w.detach().double().numpy() for name, w in weights.items() if name.endswith("bias")), 0.0)
    rows, gain_of = model.W_U.detach().double().numpy().T, gain.detach().double().numpy()
    found = Readout.after_norm(rows, gain_of, shift, model.b_U.detach().double().numpy(), centred=kind == "LN")
    _require_all(model, found, kind == "LN")
    return found


@torch.no_grad()
def _require_all(model: TransformerBridge, readout: Readout, centred: bool) -> None:
    """See that the read-out has the model's own logits at some vectors."""
    x = torch.randn(4, readout.d, generator=torch.Generator().manual_seed(0)).to(model.W_U.dtype)
    theirs = model.unembed(model.ln_final(x[None]))[0].double().numpy()
    y = x.double().numpy() - centred * x.double().numpy().mean(1, keepdims=True)
    ours = y / np.sqrt((y**2).mean(1, keepdims=True) + model.cfg.eps) @ readout.rows.T + readout.bias
    if (off := np.abs(ours - theirs).max()) > 1e-3 * np.abs(theirs).max():
        raise ValueError(f"this model's last step is more than a norm and an unembedding: logits differ by {off:.3g}")


def digest(readout: Readout) -> str:
    """Of rows and bias."""
    return tensors_digest({"rows": torch.from_numpy(readout.rows), "bias": torch.from_numpy(readout.bias)})[:16]


def record(name: str, folder: Path = RECORDED) -> Path:
    """Survey a model of the zoo and write what was found; the file."""
    readout = of_model(zoo.load(name))
    start = time.process_time()
    found = survey(readout, progress=True)
    seconds = time.process_time() - start
    path = folder / f"{name}.npz"
    write(path, name, found, seconds)
    return path


def write(path: Path, name: str, found: Survey, seconds: float) -> None:
    """Write a survey of the model of this name, made in so many CPU seconds."""
    readout = found.readout
    kept = {
        token: certificate.vector
        for token, certificate in found.certificates.items()
        if isinstance(certificate, Spoken) and found.by[token] >= CORRECTED
    }
    weights = {
        str(token): {str(other): str(weight) for other, weight in certificate.weights.items()}
        for token, certificate in found.certificates.items()
        if isinstance(certificate, Enclosed)
    }
    about = {"model": name, "digest": digest(readout), "stages": STAGES, "cpu_seconds": round(seconds)}
    about |= {"versions": {"numpy": np.__version__, "scipy": scipy.__version__}}
    path.parent.mkdir(exist_ok=True)
    np.savez_compressed(
        path,
        about=json.dumps(about),
        weights=json.dumps(weights),
        by=found.by.astype(np.int8),
        lead=found.lead.astype(np.float32),
        tokens=np.array(list(kept), dtype=int),
        vectors=np.array(list(kept.values())).reshape(len(kept), readout.d),
    )


def load(name: str, folder: Path = RECORDED) -> Recorded:
    """The recorded survey of a model.

    Raises:
        FileNotFoundError: if there is none; the message lists those that there are.
    """
    path = folder / f"{name}.npz"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in folder.glob("*.npz"))) or "none"
        raise FileNotFoundError(f"no survey of {name!r} is recorded; there are: {known}")
    with np.load(path) as kept:
        weights = {
            int(token): {int(other): _number(weight) for other, weight in others.items()}
            for token, others in json.loads(str(kept["weights"])).items()
        }
        vectors = dict(zip(kept["tokens"].tolist(), kept["vectors"], strict=True))
        return Recorded(json.loads(str(kept["about"])), kept["by"], kept["lead"], vectors, weights)


def _number(written: str) -> Fraction | float:
    return float(written) if "." in written or "e" in written else Fraction(written)


if __name__ == "__main__":
    print(record(sys.argv[1]))
