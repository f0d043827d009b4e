"""Poolings of statistics ``[C, H, W]`` over neighbouring pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float32]


def box(x: Array, k: int) -> Array:
    """Return the mean over k × k pixels; pixels outside the image do not count (AveragePool)."""

    def total(plane: Array) -> Array:
        found = cv2.boxFilter(plane, -1, (k, k), normalize=False, borderType=cv2.BORDER_CONSTANT)
        return np.asarray(found, np.float32)

    count = total(np.ones_like(x[0]))
    return np.stack([total(np.ascontiguousarray(channel)) / count for channel in x])


def gaussian(x: Array, sigma: float) -> Array:
    """Return the Gaussian mean."""
    return np.stack([cv2.GaussianBlur(c, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101) for c in x])


def guided(x: Array, image: Array, radius: int = 4, epsilon: float = 1e-3) -> Array:
    """Return the guided filter by the image's luminance I (He, Sun & Tang, ECCV 2010): locally x ≈ a·I + b.

    a = cov(I, x)/(var I + ε), b = mean x − a·mean I, both then averaged; means over (2·radius + 1)² pixels.
    """
    k = 2 * radius + 1
    light = image.mean(axis=0, keepdims=True)
    middle = box(light, k)
    spread = box(light * light, k) - middle * middle
    mean = box(x, k)
    a = (box(x * light, k) - middle * mean) / (spread + np.float32(epsilon))
    return box(a, k) * light + box(mean - a * middle, k)


def bilateral(x: Array, image: Array, radius: int = 3, sigma: float = 2, spread: float = 0.1) -> Array:
    """Return the joint bilateral filter (Petschnigg et al., SIGGRAPH 2004): weights by distance and luminance."""
    light = np.pad(image.mean(axis=0), radius, mode="reflect")
    padded = np.pad(x, ((0, 0), (radius, radius), (radius, radius)), mode="reflect")
    height, width = x.shape[1:]
    centre = light[radius : radius + height, radius : radius + width]
    total, weights = np.zeros_like(x), np.zeros_like(x[0])
    for dy in range(2 * radius + 1):
        for dx in range(2 * radius + 1):
            near = ((dy - radius) ** 2 + (dx - radius) ** 2) / (2 * sigma**2)
            alike = np.square(light[dy : dy + height, dx : dx + width] - centre) / (2 * spread**2)
            weight = np.exp(-near - alike)
            total += weight * padded[:, dy : dy + height, dx : dx + width]
            weights += weight
    return total / weights


def grid(x: Array, period: int) -> Array:
    """Return at each pixel the mean over all pixels with the same row and column modulo ``period``."""
    out = np.empty_like(x)
    for i in range(period):
        for j in range(period):
            phase = x[:, i::period, j::period]
            out[:, i::period, j::period] = phase.mean(axis=(1, 2), keepdims=True)
    return out
