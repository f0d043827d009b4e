"""Insertion and deletion: the model's confidence while pixels appear or disappear in the order of the map.

Petsiuk, Das & Saenko 2018 (RISE, arXiv 1806.07421). As in the authors' program, a deleted pixel becomes the
mean that the model's normalisation subtracts, and insertion starts from a Gaussian blur (there 11 pixels wide
with σ = 5 at a side of 224; here in proportion to the shorter side). Differences: ``steps`` steps instead of
one per image row, and a blur that mirrors the border where theirs pads it with zeros.

Quantus' Pixel Flipping is a deletion curve too: by default to black, one colour value at a time, without the
intact image as its first point.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float32]
    Curve = NDArray[np.float64]
    Confidence = Callable[[Array], NDArray[np.float64]]
    """From images [N, C, H, W] to the confidence in the target, 0..1, [N]."""

STEPS = 28
_ROWS = 10
"""Images in one run of the model; all at once might not fit in memory."""


def deletion_curve(
    image: Array, order: NDArray[np.intp], mean: Sequence[float], confidence: Confidence, steps: int = STEPS
) -> Curve:
    """Return the confidence ``[steps + 1]`` while pixels of ``image [C, H, W]`` are deleted, in ``order``."""
    deleted = np.broadcast_to(np.array(mean, np.float32)[:, None, None], image.shape)
    return _curve(image, deleted, order, confidence, steps)


def insertion_curve(
    image: Array, order: NDArray[np.intp], confidence: Confidence, steps: int = STEPS
) -> Curve:
    """Return the confidence ``[steps + 1]`` while pixels of ``image`` replace a blurred one, in ``order``."""
    return _curve(blurred(image), image, order, confidence, steps)


def blurred(image: Array) -> Array:
    """Return ``image [C, H, W]`` after a Gaussian blur that removes small structures."""
    side = min(image.shape[1:])
    width, sigma = 2 * max(round(5 * side / 224), 1) + 1, 5 * side / 224
    planes = [cv2.GaussianBlur(plane, (width, width), sigma) for plane in image]
    return np.stack(planes).astype(np.float32)


def _curve(start: Array, end: Array, order: NDArray[np.intp], confidence: Confidence, steps: int) -> Curve:
    """Return the confidence while pixels of ``end`` replace those of ``start [C, H, W]``, in ``order``."""
    rank = np.empty(order.size, np.intp)
    rank[order] = np.arange(order.size)
    counts = np.round(np.linspace(0, order.size, steps + 1)).astype(np.intp)
    parts = []
    for first in range(0, len(counts), _ROWS):
        few = counts[first : first + _ROWS, None]
        changed = (rank < few).reshape(-1, 1, *start.shape[1:])
        parts.append(confidence(np.where(changed, end, start)))
    return np.concatenate(parts)
