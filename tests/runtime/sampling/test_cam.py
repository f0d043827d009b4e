"""From the small map to the saliency map."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from gagrad_runtime.sampling.saliency import class_activation_map


@pytest.mark.parametrize("scale", [1.0, 1e-12, 1e12])
def test_it_is_pytorch_grad_cams_order(scale: float) -> None:
    """Cut off below 0, min-max, interpolate, min-max; whatever the scale of the gradients."""
    cam = np.random.default_rng(0).normal(size=(4, 5)).astype(np.float32)
    positive = np.maximum(cam, 0)
    expected = cv2.resize(positive / positive.max(), (50, 30))
    expected = (expected - expected.min()) / np.ptp(expected)
    found = class_activation_map(cam * np.float32(scale), (30, 50))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("value", [-1.0, 0.0, 3.0])
def test_a_constant_map_is_all_zeros(value: float) -> None:
    """It says nothing about where."""
    assert not class_activation_map(np.full((3, 4), value, np.float32), (6, 8)).any()
