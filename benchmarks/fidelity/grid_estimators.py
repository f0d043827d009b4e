"""Estimators that estimate the grid of the network's strides separately and pool the rest.

A convolution of stride 2 reads some pixels in more windows than others, so the gradient's magnitude has a
checkerboard (Odena et al., "Deconvolution and Checkerboard Artifacts", Distill 2016): a factor that depends on the
pixel's row and column modulo the strides, as large as the structure of the picture. Pooling over neighbours blurs this
factor away, and with it half of what the paper's map shows. Divided by the factor, the magnitude is smooth and can be
pooled.
"""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.fidelity.evidence import thresholds
from benchmarks.fidelity.pooling import gaussian, grid, guided
from gagrad_edge.method.pooled import pooled, tent

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from benchmarks.fidelity.evidence import Evidence

    Array = NDArray[np.float32]

PERIOD = 8
"""Period of the grid in pixels: three strides of 2. Deeper strides leave no visible grid."""


def logarithm(x: Array, floor: float = 1e-2) -> Array:
    """Return log x, with x at least ``floor`` times the channel's mean: padding and dead units have gradients of 0."""
    return np.log(np.maximum(x, np.float32(floor) * x.mean(axis=(1, 2), keepdims=True) + np.float32(1e-30)))


def total(log_magnitude: Array, log_variance: Array) -> Array:
    """Return Σ_c A·w from log A and log V, with the paper's guide: w = 1 where V > q, else V."""
    above = log_variance > thresholds(log_variance)
    result: Array = (np.exp(log_magnitude) * np.where(above, np.float32(1), np.exp(log_variance))).sum(axis=0)
    return result


def excess(evidence: Evidence) -> Array:
    """Return log V − 2·log A ``[C, H, W]``, the part of the variance that the magnitude does not predict.

    It is constant if the gradients of all pixels have the same shape of distribution around 0.
    """
    return logarithm(evidence.variance, 1e-4) - 2 * logarithm(evidence.magnitude)


def apart(
    evidence: Evidence, pool: Callable[[Array], Array], period: int = PERIOD, own: float = 0.0
) -> Array:
    """Return the map with log A pooled separately from the grid, and V = κ·A² with one κ per channel.

    m = grid mean of (log A − pool(log A)); log Â = (1 − own)·(pool(log A − m) + m) + own·log A.
    """
    log = logarithm(evidence.magnitude)
    factor = grid(log - pool(log), period)
    smooth = pool(log - factor) + factor
    estimate = (1 - own) * smooth + own * log
    return total(estimate, 2 * estimate + excess(evidence).mean(axis=(1, 2), keepdims=True))


def image_apart(evidence: Evidence) -> Array:
    """Return the map of ``apart`` with a filter guided by the image as its pooling."""
    return apart(evidence, partial(guided, image=evidence.image))


def linear_apart(evidence: Evidence, sigma: float = 2) -> Array:
    """Return the map of ``apart`` on A and V instead of log A: m = grid(x)/grid(pool(x)); pool(x/m)·m."""

    def estimate(x: Array) -> Array:
        factor = grid(x, PERIOD) / np.maximum(grid(gaussian(x, sigma), PERIOD), np.float32(1e-30))
        factor = np.maximum(factor, np.float32(1e-6))
        return gaussian(x / factor, sigma) * factor

    variance = estimate(evidence.variance)
    guide = np.where(variance > thresholds(variance), np.float32(1), variance)
    result: Array = (estimate(evidence.magnitude) * guide).sum(axis=0)
    return result


def candidate(evidence: Evidence, *, relative: bool = False) -> Array:
    """Return the map of ``--guide pooled``; ``gagrad_edge.method.pooled`` has the formula.

    With ``relative`` the guide is min(1, V/q).
    """
    magnitude, variance = pooled(evidence.count, evidence.state.abs_sum, evidence.variance)
    limits = thresholds(variance)
    if relative:
        guide = np.minimum(np.float32(1), variance / np.maximum(limits, np.float32(1e-36)))
    else:
        guide = np.where(variance > limits, np.float32(1), variance)
    result: Array = (magnitude * guide).sum(axis=0)
    return result


def adaptive(evidence: Evidence) -> Array:
    """Return the map with each band of detail weighted by the agreement of the two halves.

    The signal is common to both halves: weight = cov(band of even, band of odd)/var(band of all), in 0..1, the
    Wiener gain (Wiener 1949). The bands lie between Gaussians of σ 0, 1, 2, 4 and 8; the grid is one more band.
    """
    *bands, coarse = _bands(evidence.magnitude)
    gains = band_gains(evidence)
    estimate = coarse + sum(gain * band for gain, band in zip(gains, bands, strict=True))
    return total(estimate, 2 * estimate + excess(evidence).mean(axis=(1, 2), keepdims=True))


def band_gains(evidence: Evidence) -> list[np.float32]:
    """Return the weights of ``adaptive``: the grid's, then those of the bands from fine to coarse."""
    parts = [_bands(half.abs_sum / np.float32(max(half.count, 1))) for half in (evidence.even, evidence.odd)]
    bands = _bands(evidence.magnitude)[:-1]
    return [_gain(one, two, both) for one, two, both in zip(*parts, bands, strict=False)]


def grid_share(magnitude: Array) -> float:
    """Return the share of the variance of log A − t₉(log A) that the grid explains."""
    log = logarithm(magnitude)
    detail = log - tent(log, 9)
    return 1 - float((detail - grid(detail, PERIOD)).var() / detail.var())


def _bands(magnitude: Array) -> list[Array]:
    """Return log A as its grid, its bands from fine to coarse, and the remaining smooth part."""
    log = logarithm(magnitude)
    factor = grid(log - gaussian(log, 2.5), PERIOD)
    levels = [log - factor] + [gaussian(log - factor, sigma) for sigma in (1, 2, 4, 8)]
    return [factor, *(one - two for one, two in pairwise(levels)), levels[-1]]


def _gain(one: Array, two: Array, both: Array) -> np.float32:
    common = np.mean((one - one.mean()) * (two - two.mean()))
    return np.float32(np.clip(common / max(float(both.var()), 1e-12), 0, 1))


GRID_ESTIMATORS: dict[str, Callable[[Evidence], Array]] = {
    "grid separate, A and V, Gaussian 2": linear_apart,
    "grid separate, log A, Gaussian 1.5": partial(apart, pool=partial(gaussian, sigma=1.5)),
    "grid separate, log A, Gaussian 2.5": partial(apart, pool=partial(gaussian, sigma=2.5)),
    "grid separate, log A, Gaussian 4": partial(apart, pool=partial(gaussian, sigma=4)),
    "grid of 4": partial(apart, pool=partial(gaussian, sigma=2.5), period=4),
    "grid of 16": partial(apart, pool=partial(gaussian, sigma=2.5), period=16),
    "grid separate, a tenth of the pixel's own": partial(apart, pool=partial(gaussian, sigma=2.5), own=0.1),
    "grid separate, guided filter by image": image_apart,
    "pooled, relative guide": partial(candidate, relative=True),
    "pooled": candidate,
    "adaptive": adaptive,
}
