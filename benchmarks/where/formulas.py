"""Maps made of what was gathered, for the comparison of formulas: every one is ``[H, W]``, not scaled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from benchmarks.where.drawing import SIZE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmarks.where.gathering import Gathered

    Array = NDArray[np.float32]

CONTRAST = -1
"""Number of the level whose gradients are of the difference to the class ok."""


@dataclass(frozen=True)
class Formula:
    """√E[g²], pooled, times a power of a class activation map and of the difference to good parts."""

    level: int | None = 1
    """Number of the noise level; None leaves the gradient out."""
    samples: int = 5
    pool: float = 0.025
    """Standard deviation of the pooling, relative to the side."""
    cam: str = "last-grad"
    power: float = 1.0
    """Exponent of the class activation map; 0 leaves it out."""
    good: bool = False
    difference: float = 1.0
    """Exponent of the difference to good parts, where ``good``."""
    seen: str = "grey 0.3"
    """What the parts are compared by, see ``aligning.seen``, and what is added to the spread."""
    floor: float = 0.0
    """Added to the scaled class activation map, so that its zeros do not forbid a place."""


def pooled(values: Array, sigma: float) -> Array:
    """Return ``values`` softened by a Gaussian of ``sigma`` relative to the side."""
    if sigma <= 0:
        return values
    return np.asarray(
        cv2.GaussianBlur(values, (0, 0), sigma * SIZE, borderType=cv2.BORDER_REFLECT), np.float32
    )


def enlarged(cam: Array) -> Array:
    """Return a class activation map ``[h, w]`` at the image's size, scaled to 0..1."""
    large = cv2.resize(cam, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)
    return np.asarray(large / max(float(large.max()), 1e-12), np.float32)


def strength(found: Gathered, level: int, samples: int = 5) -> Array:
    """Return √E[g²] of the first ``samples`` copies."""
    return np.asarray(np.sqrt(np.square(found.magnitude[level][:samples]).mean(0)), np.float32)


def saliency(formula: Formula, found: Gathered, d: Array | None = None, g_good: Array | None = None) -> Array:
    """Return the map; ``d`` and ``g_good`` are the difference to good parts and the gradient's strength there."""
    result = np.ones((SIZE, SIZE), np.float32)
    if formula.level is not None:
        g = strength(found, formula.level, formula.samples)
        if formula.good and g_good is not None:
            g = g / max(float(g.max()), 1e-12) + g_good / max(float(g_good.max()), 1e-12)
        result = pooled(g, formula.pool)
    if formula.good and d is not None:
        result = result * d**formula.difference
    if formula.power:
        cam = enlarged(found.cams[formula.cam])
        result = result * (cam + formula.floor) ** formula.power
    return result


def peak(values: Array) -> tuple[int, int]:
    """Return row and column of the highest value."""
    row, column = np.unravel_index(int(values.argmax()), values.shape)
    return int(row), int(column)


def peaks(values: Array, count: int, apart: float = 0.12) -> list[tuple[int, int]]:
    """Return the ``count`` highest places that are at least ``apart`` of the side from one another."""
    left, found = values.copy(), []
    for _ in range(count):
        row, column = peak(left)
        found.append((row, column))
        cv2.circle(left, (column, row), int(apart * SIZE), float(values.min()), -1)
    return found


def apart(a: tuple[int, int], b: tuple[int, int]) -> float:
    """Return the distance of two places relative to the side."""
    return float(np.hypot(a[0] - b[0], a[1] - b[1]) / SIZE)
