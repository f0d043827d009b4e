"""The operator's map in numpy: the gradient's magnitude times the class activation.

With g the gradient of a noisy copy, E the mean over T copies, c the channels, ⋆ the convolution with a
Gaussian N over the pixels of the frame, C and L the maps of Grad-CAM and of LayerCAM of the image itself (all
of the answer's score; of a defect, less that of the class for good parts, where the classes have one):

    G = √(Σ_c E[g²])               how strongly the score reacts to each pixel
    P = (G·m ⋆ N) / (m ⋆ N)        pooled; m is 1 on the frame and 0 on the padding beside it
    A = max(C / max C, L / max L)  where the features speak for the class
    S = P · A                      on the frame, and 0 beside it
    W = P₆ · C                     a second witness; P₆ is pooled with a Gaussian of 6 % of the side
    V = P₆ · max(F / max F, K / max K)   where there is a finer layer: F is its Grad-CAM, and K its LayerCAM
    W = P₆ · (C / max C + F / max F)     is then the second witness

E[g²] is SmoothGrad-Squared (Hooker et al. 2019, arXiv 1806.10758), C is of Selvaraju et al. (ICCV 2017) and L
of Jiang et al. (IEEE TIP 2021). Guided Grad-CAM, in the paper of C, is the first such product: fine evidence,
cut to where coarse evidence lies. Here the fine evidence is a magnitude and is pooled: what is asked is a
place, and not a pixel. The root keeps the unit of a gradient, so that one outlier among few copies does not
outweigh the others. m in the denominator keeps the frame's edges as bright as its middle.

A takes two maps because each fails alone. C weights whole feature maps by their mean gradient: where a
model's head takes a maximum, the gradient is in one cell, and the mean of a map may forbid the right place. L
weights each cell by its own gradient. It stays with the pixels that are there, and C leaves them more often
where a feature is absent. A map that is zero everywhere on the frame (every feature speaks against the
target) is left out; without any, as in a bundle that has no graph for them, S is P.

W is for a feature that is absent: what the model reacts to lies around the empty place, within a wider reach,
and C is not bound to the pixels that react. Its highest point away from that of S is a place of its own;
often it lies on the same hill of C, whose cells are larger than a feature. V asks a layer whose cells are
as large as a feature, and tells where in the coarse cell: where covering finds no place that the answer hangs
on, as of a feature that is absent, its highest point comes first (docs/where.md).

E is the effect that covering is expected to have, to first order: with ḡ the mean of g, x the image and B(x)
its mean over a square of ``AROUND`` of the side,

    E = S · max(0, (Σ_c ḡ·(x − B(x))) ⋆ N₄)     N₄ is a Gaussian of 4 % of the side

A network may react strongly to an edge that all parts have, in both directions. S is high there, and E is
not: what would rise and what would fall cancel out. So where covering the places of S changes nothing, the
place where E is highest is covered, too. Gradient times the difference from a baseline is of Shrikumar et al.
(arXiv 1704.02685); here the baseline is what surrounds each pixel.

Where good parts are known at each pixel (``calibrate``), d is the part's difference to them in deviations of
the good parts, and P' is pooled from the gradient at good parts as P is from that at this image:

    D = √(P / max P + P' / max P') · d · √(C / max C + L / max L + 0.1)

A feature that is absent leaves no gradient at this image. It leaves one at the good parts, and a difference.
d keeps its unit, so that the map of a good part stays low; the other factors only weigh it.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float32]

POOLED = 0.025
"""Standard deviation of the Gaussian, as a share of the side of the frame."""
WIDE = 0.06
"""The same for the second witness."""
FLOOR = 0.1
"""Added to the class activations that weigh a difference: where they are 0, a large one still counts."""
AROUND = 0.28
"""Side of the square that is a pixel's surroundings, as a share of the frame's side."""
ESTIMATED = 0.04
"""Standard deviation of the Gaussian that pools the estimated effect, as a share of the side."""
NEAR = 0.08
"""Distance, as a share of the side, within which two peaks are one place."""
AWAY = 0.12
"""Distance from place 1, as a share of the side, at which the second witness is asked."""


def side(size: tuple[int, int]) -> float:
    """Return the side of a square as large as ``size`` (height, width), in pixels."""
    return math.sqrt(size[0] * size[1])


def magnitude(squared: Array, seen: tuple[slice, slice]) -> Array:
    """Return P on the frame, ``[h, w]``, from Σ_c E[g²] ``[H, W]``; ``seen`` are its rows and columns."""
    gradient = np.sqrt(np.maximum(squared[seen], 0))
    return pooled(gradient, POOLED * side(gradient.shape))


def product(
    squared: Array, activations: Sequence[Array], seen: tuple[slice, slice], reacting: Array | None = None
) -> Array:
    """Return S, ``[H, W]``, not scaled, from Σ_c E[g²] ``[H, W]`` and C and L ``[H, W]``, at least 0.

    ``seen`` are the rows and columns where the frame is; the rest is padding. ``reacting`` is their
    ``magnitude``, where it is known.
    """
    found = magnitude(squared, seen) if reacting is None else reacting
    speaking = [one[seen] / one[seen].max() for one in activations if one[seen].max() > 0]
    if speaking:
        found = found * np.maximum.reduce(speaking)
    result = np.zeros(squared.shape, np.float32)
    result[seen] = found
    return result


def detail(image: Array, seen: tuple[slice, slice]) -> Array:
    """Return x − B(x), ``[C, H, W]``, of the model's image x ``[C, H, W]``; 0 on the padding."""
    result = np.zeros_like(image)
    for channel, values in zip(result, image, strict=True):
        frame = np.ascontiguousarray(values[seen])
        width = 2 * round(AROUND * side(frame.shape) / 2) + 1
        channel[seen] = frame - cv2.blur(frame, (width, width), borderType=cv2.BORDER_REFLECT)
    return result


def effect(found: Array, mean: Array, fine: Array, seen: tuple[slice, slice]) -> Array:
    """Return E, ``[H, W]``, not scaled, from S ``[H, W]``, ḡ ``[C, H, W]`` and ``detail`` of the image."""
    falls = (mean[:, seen[0], seen[1]] * fine[:, seen[0], seen[1]]).sum(axis=0)
    result = np.zeros(found.shape, np.float32)
    result[seen] = found[seen] * np.maximum(pooled(falls, ESTIMATED * side(falls.shape)), 0)
    return result


class Witnesses(NamedTuple):
    """Maps ``[H, W]`` beside S, not scaled, that point at places of their own."""

    second: Array
    """W."""
    finer: Array | None
    """V; None without a finer layer that speaks for the target."""
    effect: Array | None = None
    """E; None where it was not estimated."""


def witnesses(
    squared: Array, activation: Array, finer: Sequence[Array], seen: tuple[slice, slice]
) -> Witnesses:
    """Return W and V from Σ_c E[g²] ``[H, W]``, C ``[H, W]``, and F and K ``[H, W]``, or none of these."""
    gradient = np.sqrt(np.maximum(squared[seen], 0))
    wide = pooled(gradient, WIDE * side(gradient.shape))
    speaking = [one[seen] / one[seen].max() for one in finer if one[seen].max() > 0]

    def spread(values: Array) -> Array:
        result = np.zeros(squared.shape, np.float32)
        result[seen] = wide * values
        return result

    if not speaking:
        return Witnesses(spread(activation[seen]), None)
    coarse, fine = (one[seen] / max(float(one[seen].max()), 1e-30) for one in (activation, finer[0]))
    return Witnesses(spread(coarse + fine), spread(np.maximum.reduce(speaking)))


def compared(
    squared: Array,
    activations: Sequence[Array],
    seen: tuple[slice, slice],
    difference: Array,
    good: Array | None = None,
) -> Array:
    """Return D, ``[H, W]``, not scaled, at least 0: the map where good parts are known at each pixel.

    ``difference [H, W]`` is d, and ``good [H, W]`` is the magnitude of the gradient at good parts.
    """
    magnitudes = [np.sqrt(np.maximum(squared[seen], 0))] + ([] if good is None else [good[seen]])
    softened = [pooled(one, POOLED * side(one.shape)) for one in magnitudes]
    reacting = [one / one.max() for one in softened if one.max() > 0]
    speaking = [one[seen] / one[seen].max() for one in activations if one[seen].max() > 0]
    found = difference[seen] * np.sqrt(np.float32(FLOOR) + sum(speaking, np.float32(0)))
    if reacting:
        found = found * np.sqrt(sum(reacting, np.float32(0)))
    result = np.zeros(squared.shape, np.float32)
    result[seen] = found
    return result


def pooled(values: Array, sigma: float) -> Array:
    """Return ``values [h, w]`` pooled with a Gaussian of ``sigma`` pixels; nothing beyond the edges."""
    if sigma < 0.3:  # the Gaussian's weight beside its centre is below 1 %
        return values
    height, width = values.shape
    kernel = _gaussian(sigma)
    total = cv2.sepFilter2D(values, -1, kernel, kernel, borderType=cv2.BORDER_CONSTANT)
    result: Array = np.asarray(total / _inside(height, width, sigma), np.float32)
    return result


def _gaussian(sigma: float) -> Array:
    return np.asarray(cv2.getGaussianKernel(2 * math.ceil(4 * sigma) + 1, sigma, cv2.CV_32F), np.float32)


@lru_cache(maxsize=4)
def _inside(height: int, width: int, sigma: float) -> Array:
    """Return the Gaussian's weight inside an image, for each of its pixels ``[height, width]``."""
    kernel, one = _gaussian(sigma), np.ones(1, np.float32)
    # A product of a column and a row, as the Gaussian is.
    ones = np.ones((height, 1), np.float32), np.ones((1, width), np.float32)
    column = cv2.sepFilter2D(ones[0], -1, one, kernel, borderType=cv2.BORDER_CONSTANT)
    row = cv2.sepFilter2D(ones[1], -1, kernel, one, borderType=cv2.BORDER_CONSTANT)
    result: Array = column * row
    result.setflags(write=False)
    return result
