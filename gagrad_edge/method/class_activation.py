"""Class activation maps in numpy: the reference that the ``cam`` graphs are compared with.

From an intermediate activation A ``[F, h, w]`` and the gradient g of the target at it. Sources: Grad-CAM,
Selvaraju et al., ICCV 2017 (equations 1 and 2); Grad-CAM++, Chattopadhay et al., WACV 2018 (equation 19, in
the form of pytorch-grad-cam 1.5); LayerCAM, Jiang et al., IEEE TIP 2021 (equations 5 and 6).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float32]

CAMS = ("grad-cam", "grad-cam++", "layer-cam")
"""Methods whose maps ``cam`` gives, in their order in the output ``[3, N, h, w]``."""

EPSILON = 1e-6
"""Keeps Grad-CAM++'s quotient defined where the gradient is zero, as pytorch-grad-cam has it."""


def added_levels(levels: Sequence[Array]) -> Array:
    """Return the maps ``[3, N, h, w]`` of several layers as one, on the grid of the first, the largest.

    A map says how much of the target each cell gives. A cell that takes the place of n smaller ones is shared
    out among them: the map is enlarged (bilinear), and divided by n. So all layers keep the target's unit,
    and a layer that the target does not depend on adds nothing. pytorch-grad-cam scales the map of each layer
    to 0..1 and takes the mean, which makes a layer's rounding errors as bright as the answer.
    """
    height, width = levels[0].shape[2:]
    total = np.zeros_like(levels[0])
    for maps in levels:
        rows, columns = _bilinear(maps.shape[2], height), _bilinear(maps.shape[3], width)
        share = np.float32(maps.shape[2] * maps.shape[3] / (height * width))
        total += np.einsum("yh,cnhw,xw->cnyx", rows, maps, columns) * share
    return total


def _bilinear(size: int, new: int) -> Array:
    """Return the matrix ``[new, size]`` that interpolates ``size`` cells at the centres of ``new`` ones."""
    at = np.clip((np.arange(new) + 0.5) * size / new - 0.5, 0, size - 1)
    result: Array = np.maximum(0, 1 - np.abs(at[:, None] - np.arange(size))).astype(np.float32)
    return result


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
