"""Estimators that keep the grid of the network's strides apart while they pool.

A convolution of stride 2 reads some pixels in more windows than others, so the gradient's magnitude has a
checkerboard (Odena et al., "Deconvolution and Checkerboard Artifacts", Distill 2016): a factor of the pixel's
place modulo the strides, as large as the picture's own structure. Pooling over neighbours blurs it away, and
with it half of what the paper's map shows. Divided out, it leaves something smooth to pool.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.fidelity.evidence import thresholds
from benchmarks.fidelity.pooling import gaussian, grid, guided, tent

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from benchmarks.fidelity.evidence import Evidence

    Array = NDArray[np.float32]

PERIOD = 8
"""Three strides of 2; deeper ones leave no visible grid."""


def logarithm(x: Array, floor: float = 1e-2) -> Array:
    """Log x, no lower than ``floor`` times the channel's mean: padding and dead units have gradients of 0."""
    return np.log(np.maximum(x, np.float32(floor) * x.mean(axis=(1, 2), keepdims=True) + np.float32(1e-30)))


def total(log_magnitude: Array, log_variance: Array | None = None) -> Array:
    """Σ_c A·min(1, V/q) of logarithms; V ∝ A² by default."""
    log_variance = 2 * log_magnitude if log_variance is None else log_variance
    guide = np.minimum(np.float32(1), np.exp(log_variance - thresholds(log_variance)))
    result: Array = (np.exp(log_magnitude) * guide).sum(axis=0)
    return result


def apart(
    evidence: Evidence, pool: Callable[[Array], Array], period: int = PERIOD, own: float = 0.0
) -> Array:
    """Log A pooled with the grid kept apart; V ∝ A², relative guide.

    m = grid mean of (log A − pool(log A)); log Â = (1 − own)·(pool(log A − m) + m) + own·log A.
    """
    log = logarithm(evidence.magnitude)
    factor = grid(log - pool(log), period)
    smooth = pool(log - factor) + factor
    return total((1 - own) * smooth + own * log)


def image_apart(evidence: Evidence) -> Array:
    """As ``apart``, with the guided filter steered by the image."""
    return apart(evidence, partial(guided, image=evidence.image))


def linear_apart(evidence: Evidence, sigma: float = 2) -> Array:
    """As ``apart``, of A and V themselves: m = grid(x)/grid(pool(x)); pool(x/m)·m."""

    def estimate(x: Array) -> Array:
        factor = grid(x, PERIOD) / np.maximum(grid(gaussian(x, sigma), PERIOD), np.float32(1e-30))
        factor = np.maximum(factor, np.float32(1e-6))
        return gaussian(x / factor, sigma) * factor

    variance = estimate(evidence.variance)
    guide = np.minimum(np.float32(1), variance / np.maximum(thresholds(variance), np.float32(1e-30)))
    result: Array = (estimate(evidence.magnitude) * guide).sum(axis=0)
    return result


def banded(evidence: Evidence) -> Array:
    """The candidate ``pooled``: two bands of detail that come in as samples do, variance at the end.

    With a = log A, m the grid's factor, b = a − m, and tents t₃, t₉ (``tent`` of 3 and 9):
    log Â = m + t₉(b) + T/(T + 10)·(t₃(b) − t₉(b)) + T/(T + 40)·(b − t₃(b)),
    log V̂ = 2·log Â + (T − 1)/(T + 99)·(log V − 2a);  S = Σ_c Â·min(1, V̂/q(V̂)).

    T/(T + k) is the weight of T observations whose error has k times the variance of what is observed (the
    James–Stein or Kalman gain); 10 and 40 are about what ``adaptive`` finds. As T grows the estimate goes to A
    and V themselves: it has the relative guide's limit.
    """
    count = evidence.count
    log = logarithm(evidence.magnitude)
    factor = grid(log - tent(log, 9), PERIOD)
    level = log - factor
    fine, coarse = tent(level, 3), tent(level, 9)
    bands = np.float32(count / (count + 10)) * (fine - coarse)
    bands += np.float32(count / (count + 40)) * (level - fine)
    estimate = factor + coarse + bands
    spread = logarithm(evidence.variance, 1e-4) - 2 * log
    return total(estimate, 2 * estimate + np.float32((count - 1) / (count + 99)) * spread)


def adaptive(evidence: Evidence) -> Array:
    """The candidate ``adaptive``: as ``banded``, each band's weight measured between the two halves.

    What both halves share is signal: weight = cov(band of even, band of odd)/var(band of all), in 0..1, the
    Wiener gain (Wiener 1949). Bands between Gaussians of σ 0, 1, 2, 4 and 8; the grid's factor is one more.
    """
    parts = [_bands(half.abs_sum / np.float32(max(half.count, 1))) for half in (evidence.even, evidence.odd)]
    *bands, coarse = _bands(evidence.magnitude)
    gains = [_gain(one, two, both) for one, two, both in zip(*parts, bands, strict=False)]
    return total(coarse + sum(gain * band for gain, band in zip(gains, bands, strict=True)))


def _bands(magnitude: Array) -> list[Array]:
    """Return the grid's factor, the bands from fine to coarse, and what is left, of log A."""
    log = logarithm(magnitude)
    factor = grid(log - gaussian(log, 2.5), PERIOD)
    levels = [log - factor] + [gaussian(log - factor, sigma) for sigma in (1, 2, 4, 8)]
    return [factor, *(one - two for one, two in zip(levels[:-1], levels[1:], strict=True)), levels[-1]]


def _gain(one: Array, two: Array, both: Array) -> np.float32:
    common = np.mean((one - one.mean()) * (two - two.mean()))
    return np.float32(np.clip(common / max(float(both.var()), 1e-12), 0, 1))


GRID_ESTIMATORS: dict[str, Callable[[Evidence], Array]] = {
    "grid apart, A and V, Gaussian 2": linear_apart,
    "grid apart, log A, Gaussian 1.5": partial(apart, pool=partial(gaussian, sigma=1.5)),
    "grid apart, log A, Gaussian 2.5": partial(apart, pool=partial(gaussian, sigma=2.5)),
    "grid apart, log A, Gaussian 4": partial(apart, pool=partial(gaussian, sigma=4)),
    "grid of 4": partial(apart, pool=partial(gaussian, sigma=2.5), period=4),
    "grid of 16": partial(apart, pool=partial(gaussian, sigma=2.5), period=16),
    "grid apart, a tenth of the pixel's own": partial(apart, pool=partial(gaussian, sigma=2.5), own=0.1),
    "grid apart, guided filter by image": image_apart,
    "pooled": banded,
    "adaptive": adaptive,
}
