"""Joint PCA against scikit-learn's, and on a path that lies in a plane."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from mechlib.icl.trajectories import joint_pca


def test_components_are_those_of_scikit_learn():
    outputs = torch.randn(9, 4, 3, generator=torch.Generator().manual_seed(0))
    found, expected = joint_pca(outputs, n_components=3), PCA(3).fit(outputs.flatten(1).double().numpy())
    np.testing.assert_allclose(np.abs(found.components.numpy() @ expected.components_.T), np.eye(3), atol=1e-9)
    np.testing.assert_allclose(found.share, expected.explained_variance_ratio_, atol=1e-9)
    torch.testing.assert_close(found.project(outputs), found.scores)


def test_a_path_in_a_plane_is_drawn_without_loss():
    time = torch.linspace(0, 6, 30, dtype=torch.float64)
    plane = torch.randn(2, 40, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    path = torch.stack([time.cos(), time.sin()], 1) @ plane + 5.0
    found = joint_pca(path)
    assert found.share.sum().item() == pytest.approx(1)
    torch.testing.assert_close(found.scores @ found.components + found.mean, path)


@pytest.mark.parametrize(
    ("outputs", "n_components", "message"),
    [
        (torch.zeros(1, 4), 1, "1 checkpoints of 4 outputs"),
        (torch.randn(3, 8), 3, "have 1 to 2 components, not 3"),
        (torch.full((3, 4), torch.nan), 1, "NaN"),
    ],
)
def test_what_has_no_components_is_refused(outputs, n_components, message):
    with pytest.raises(ValueError, match=message):
        joint_pca(outputs, n_components=n_components)


def test_other_prompts_are_refused():
    with pytest.raises(ValueError, match="8 numbers, got 4"):
        joint_pca(torch.randn(5, 8)).project(torch.randn(2, 4))
