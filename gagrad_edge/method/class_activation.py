"""Class activation maps in numpy: the reference that the ``cam`` graphs are compared with.

From an intermediate activation A ``[F, h, w]`` and the gradient g of the target at it. Sources: Grad-CAM,
Selvaraju et al., ICCV 2017 (equations 1 and 2); Grad-CAM++, Chattopadhay et al., WACV 2018 (equation 19, in
the form of pytorch-grad-cam 1.5); LayerCAM, Jiang et al., IEEE TIP 2021 (equations 5 and 6).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float32]

CAMS = ("grad-cam", "grad-cam++", "layer-cam")
"""Methods whose maps ``cam`` gives, in their order in the output ``[3, N, h, w]``."""

EPSILON = 1e-6
"""Keeps Grad-CAM++'s quotient defined where the gradient is zero, as pytorch-grad-cam has it."""


def class_activation_maps(features: Array, gradients: Array) -> Array:
    """Return the maps ``[3, N, h, w]`` in the order of ``CAMS``, at least 0, not scaled.

    ``features`` and ``gradients`` are ``[N, F, h, w]``.
    """
    positive = np.maximum(gradients, 0)
    squared = np.square(gradients)
    total = features.sum(axis=(2, 3), keepdims=True)
    alpha = squared / (2 * squared + total * (squared * gradients) + np.float32(EPSILON))
    weights = gradients.mean(axis=(2, 3), keepdims=True)
    weights_plus = (positive * alpha).sum(axis=(2, 3), keepdims=True)
    cams = [(weighted * features).sum(axis=1) for weighted in (weights, weights_plus, positive)]
    result: Array = np.maximum(np.stack(cams), 0)
    return result
