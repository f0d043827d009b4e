"""The operator's map in numpy: the gradient's magnitude times the class activation map.

With g the gradient of a noisy copy, E the mean over T copies, c the channels, ⋆ the convolution with a
Gaussian N over the pixels of the frame, and A the class activation map (Grad-CAM) of the image itself:

    G = √(Σ_c E[g²])               how strongly the score reacts to each pixel
    P = (G·m ⋆ N) / (m ⋆ N)        pooled; m is 1 on the frame and 0 on the padding beside it
    S = P · A / max A              on the frame, and 0 beside it

E[g²] is SmoothGrad-Squared (Hooker et al. 2019, arXiv 1806.10758) and A is Grad-CAM (Selvaraju et al., ICCV
2017). Guided Grad-CAM of the same paper is their first product: fine evidence, cut to where coarse evidence
lies. Here the fine evidence is a magnitude and is pooled: what is asked is a place, and not a pixel. The
root keeps the unit of a gradient, so that one outlier among few copies does not outweigh the others. m in the
denominator keeps the frame's edges as bright as its middle. Where A is zero everywhere (every feature speaks
against the target), and where the bundle has no graph for A, S is P.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float32]

SAMPLES = 5
"""T: more copies do not make the highest place better."""
POOLED = 0.03
"""Standard deviation of the Gaussian, as a share of the side of the frame."""
NEAR = 0.08
"""Distance, as a share of the side, within which two peaks are one place."""


def side(size: tuple[int, int]) -> float:
    """Return the side of a square as large as ``size`` (height, width), in pixels."""
    return math.sqrt(size[0] * size[1])


def product(squared: Array, activation: Array | None, seen: tuple[slice, slice]) -> Array:
    """Return S, ``[H, W]``, not scaled, from Σ_c E[g²] ``[H, W]`` and A ``[H, W]``, at least 0, or None.

    ``seen`` are the rows and columns where the frame is; the rest is padding.
    """
    gradient = np.sqrt(np.maximum(squared[seen], 0))
    found = pooled(gradient, POOLED * side(gradient.shape))
    if activation is not None and activation[seen].max() > 0:
        found = found * (activation[seen] / activation[seen].max())
    result = np.zeros(squared.shape, np.float32)
    result[seen] = found
    return result


def pooled(values: Array, sigma: float) -> Array:
    """Return ``values [h, w]`` pooled with a Gaussian of ``sigma`` pixels; nothing beyond the edges."""
    if sigma < 0.3:  # the Gaussian's weight beside its centre is below 1 %
        return values
    weight = cv2.GaussianBlur(np.ones_like(values), (0, 0), sigma, borderType=cv2.BORDER_CONSTANT)
    total = cv2.GaussianBlur(values, (0, 0), sigma, borderType=cv2.BORDER_CONSTANT)
    result: Array = np.asarray(total / weight, np.float32)
    return result
