"""The guide ``pooled``: the paper's map from fewer samples, its statistics pooled over pixels.

A convolution of stride 2 reads some pixels in more windows than others, so the magnitude of a gradient has a
checkerboard (Odena et al., "Deconvolution and Checkerboard Artifacts", Distill 2016). Pooling over neighbours
would blur the checkerboard away, and half of the map with it. So the checkerboard is divided out first, and
what is pooled is smooth.

With a = log Σ|g| per channel and pixel, t₃ and t₉ tents (a box mean of 3 or 9 pixels, twice) and P₈ the mean
over all pixels of the same row and column modulo 8:

    m = P₈(a − t₉(a)),  b = a − m
    log Â = m + t₉(b) + T/(T + 10)·(t₃(b) − t₉(b)) + T/(T + 40)·(b − t₃(b))
    e = log V − 2a,  ē its mean per channel
    log V̂ = 2·log Â + ē + (T − 1)/(T + 99)·(e − ē)

and then the paper's guide and sum on Â and V̂. T/(T + k) is the weight of T observations whose error has k
times the variance of the observed quantity (the gain of James & Stein, and of Kalman). The more samples, the
more detail counts, the finest last: as T grows, Â → Σ|g| and V̂ → V, and the map becomes the paper's own. With
few samples V̂ follows A², whose relative error is half that of V. ``docs/fidelity.md`` has the study behind
this estimate and behind the numbers 10 and 40.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float32]

PERIOD = 8
"""Period of the checkerboard in pixels: three strides of 2. Deeper strides leave no visible checkerboard."""
FINE, COARSE = 3, 9
"""Sizes of the boxes of the two tents, in pixels."""
FINE_SAMPLES, COARSE_SAMPLES, VARIANCE_SAMPLES = 40, 10, 100
"""Number of samples T at which the weight of a term is one half: of the finest detail, of the coarser detail,
and of the measured variance beside the variance that the magnitude predicts."""
MAGNITUDE_FLOOR, VARIANCE_FLOOR, TINY = 1e-2, 1e-4, 1e-36
"""Lower bounds of a value before its logarithm: two as a share of the channel's mean, one absolute. Dead
units give zeros."""


def pooled(count: float, abs_sum: Array, variance: Array) -> tuple[Array, Array]:
    """Return Â and V̂, ``[C, H, W]`` each, from Σ|g| and Var(g) of ``count`` samples."""
    log = _logarithm(abs_sum, MAGNITUDE_FLOOR)
    grid = grid_mean(log - tent(log, COARSE))
    level = log - grid
    fine, coarse = tent(level, FINE), tent(level, COARSE)
    estimate = grid + coarse
    estimate += np.float32(count / (count + COARSE_SAMPLES)) * (fine - coarse)
    estimate += np.float32(count / (count + FINE_SAMPLES)) * (level - fine)
    excess = _logarithm(variance, VARIANCE_FLOOR) - 2 * log
    mean = excess.mean(axis=(1, 2), keepdims=True)
    beyond = max(count - 1, 0)
    weight = np.float32(beyond / (beyond + VARIANCE_SAMPLES))
    return np.exp(estimate), np.exp(2 * estimate + mean + weight * (excess - mean))


def tent(x: Array, k: int) -> Array:
    """Return the mean over k × k pixels of the mean over k × k pixels of ``x [C, H, W]``.

    Pixels outside the image do not count, as in AveragePool without its padding.
    """
    inside = np.ones_like(x[:1])
    for axis in (1, 2, 1, 2):
        x = _running_sum(x, k, axis) / _running_sum(inside, k, axis)
    return x


def grid_mean(x: Array) -> Array:
    """Return for each pixel of ``x [C, H, W]`` the mean over all of its row and column modulo PERIOD."""
    channels, height, width = x.shape
    rows, columns = -(-height // PERIOD), -(-width // PERIOD)
    padding = ((0, 0), (0, rows * PERIOD - height), (0, columns * PERIOD - width))
    tiles = (channels, rows, PERIOD, columns, PERIOD)
    total = np.pad(x, padding).reshape(tiles).sum(axis=(1, 3))
    number = np.pad(np.ones_like(x), padding).reshape(tiles).sum(axis=(1, 3))
    mean: Array = total / np.maximum(number, 1)
    whole: Array = np.tile(mean, (1, rows, columns))[:, :height, :width]
    return whole


def _running_sum(x: Array, k: int, axis: int) -> Array:
    padding = [(k // 2, k // 2) if number == axis else (0, 0) for number in range(3)]
    lines, size = np.moveaxis(np.pad(x, padding), axis, 0), x.shape[axis]
    total = lines[:size].copy()
    for first in range(1, k):
        total += lines[first : first + size]
    return np.moveaxis(total, 0, axis)


def _logarithm(x: Array, floor: float) -> Array:
    lowest = np.maximum(np.float32(floor) * x.mean(axis=(1, 2), keepdims=True), np.float32(TINY))
    result: Array = np.log(np.maximum(x, lowest))
    return result
