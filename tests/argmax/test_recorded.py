"""A recorded survey says of a model what its own certificates prove."""

from fractions import Fraction

import numpy as np
import pytest
import torch

from mechlib import zoo
from mechlib.argmax import Enclosed, Readout, Spoken, check, recorded, survey
from mechlib.argmax.surveying import STAGES
from mechlib.stream import read_out


def test_the_read_out_is_that_of_the_model():
    model = zoo.load("code-2l")
    readout = recorded.of_model(model)
    x = 3 * torch.randn(20, model.cfg.d_model, generator=torch.Generator().manual_seed(0))
    y = (x - x.mean(1, keepdim=True)).double()
    normed = y / (y.square().mean(1, keepdim=True) + model.cfg.eps).sqrt()
    with torch.no_grad():
        logits = read_out(model, x).double().numpy()
    np.testing.assert_allclose(normed.numpy() @ readout.rows.T + readout.bias, logits, atol=2e-3)


def test_what_is_written_is_read_again(tmp_path):
    rows = np.vstack([np.random.default_rng(0).normal(size=(30, 4)), np.zeros((1, 4))])
    found = survey(Readout(rows))
    recorded.write(tmp_path / "small.npz", "small", found, 1.0)
    kept = recorded.load("small", tmp_path)
    assert kept.stages == list(STAGES) and (kept.by == found.by).all()
    for token, certificate in enumerate(kept.certificates(found.readout, range(31))):
        assert isinstance(certificate, Spoken) == found.speakable[token]
        assert check(found.readout, certificate) == pytest.approx(found.lead[token], abs=1e-6)
    assert isinstance(kept.certificates(found.readout, [30])[0], Enclosed)
    assert all(isinstance(w, Fraction) for w in kept.weights[30].values())


def test_the_record_of_the_real_model_decides_every_token():
    kept = recorded.load("smollm2-135m")
    silent = np.array(sorted(kept.weights))
    assert len(kept.by) == 49_152 and kept.by.min() == 0 and kept.by.max() == 3
    assert np.flatnonzero(kept.by == 3).tolist() == silent.tolist() == np.flatnonzero(kept.lead <= 0).tolist()
    assert set(kept.vectors) == set(np.flatnonzero(kept.by == 2))
    assert all(sum(weights.values()) == 1 for weights in kept.weights.values())


def test_another_model_is_refused(tmp_path):
    generator = np.random.default_rng(1)
    recorded.write(tmp_path / "small.npz", "small", survey(Readout(generator.normal(size=(9, 3)))), 1.0)
    with pytest.raises(ValueError, match="digest"):
        recorded.load("small", tmp_path).certificates(Readout(generator.normal(size=(9, 3))), [0])
    with pytest.raises(FileNotFoundError, match="'large' is recorded; there are: small"):
        recorded.load("large", tmp_path)


def test_a_last_step_that_does_more_is_refused():
    model = zoo.load("code-1l")
    with torch.no_grad():
        model.ln_final.register_forward_hook(lambda module, given, out: 2 * out)
    with pytest.raises(ValueError, match="more than a norm"):
        recorded.of_model(model)
    with pytest.raises(TypeError):
        recorded.of_model(torch.nn.Linear(2, 2))
