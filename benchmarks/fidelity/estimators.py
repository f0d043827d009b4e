"""Estimators of the form of the paper's map, S = Σ_c A·w(V), with A, V or w estimated in another way.

Each estimator takes ``Evidence`` and returns a map ``[H, W]``. Only the order of the map's values is compared, so
maps are not scaled. A is mean |g| and V = Var(g), per channel and pixel; q is the channel's 0.85 quantile of V.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.fidelity.evidence import Evidence, thresholds
from benchmarks.fidelity.grid_estimators import GRID_ESTIMATORS
from benchmarks.fidelity.pooling import bilateral, box, gaussian, guided

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float32]

Estimator = Callable[[Evidence], "Array"]
Pool = Callable[["Array"], "Array"]
Guide = Callable[["Array"], "Array"]


def step(variance: Array) -> Array:
    """Return the paper's guide (its equation 5): 1 where V > q, else V."""
    return np.where(variance > thresholds(variance), np.float32(1), variance)


def relative(variance: Array) -> Array:
    """Return the relative guide ``min(1, V/q)``, which is continuous and independent of the gradient's unit."""
    return np.minimum(np.float32(1), variance / np.maximum(thresholds(variance), np.float32(1e-30)))


def soft(variance: Array) -> Array:
    """Return the soft guide V²/(V² + q²), the logistic function of log V around log q with slope 2."""
    ratio = np.square(variance / np.maximum(thresholds(variance), np.float32(1e-30)))
    return ratio / (1 + ratio)


def same(x: Array) -> Array:
    """Return ``x`` unchanged: no pooling."""
    return x


def shared(x: Array) -> Array:
    """Return ``x`` with each channel replaced by the mean over the channels."""
    return np.broadcast_to(x.mean(axis=0), x.shape)


def pooled(evidence: Evidence, guide: Guide = step, magnitude: Pool = same, variance: Pool = same) -> Array:
    """Return the map Σ_c magnitude(A)·guide(variance(V)); ``magnitude`` and ``variance`` are poolings."""
    total = magnitude(evidence.magnitude) * guide(variance(evidence.variance))
    result: Array = total.sum(axis=0)
    return result


def by_image(evidence: Evidence, filtered: Callable[[Array, Array], Array]) -> Array:
    """Return the map with A and V smoothed by a filter that the image guides, and the relative guide."""
    return pooled(
        evidence,
        relative,
        lambda x: np.maximum(filtered(x, evidence.image), 0),
        lambda x: np.maximum(filtered(x, evidence.image), 0),
    )


def multi_scale(x: Array) -> Array:
    """Return the geometric mean of ``x`` and its means over 3², 5² and 9² pixels."""
    floor = np.float32(1e-2) * x.mean(axis=(1, 2), keepdims=True) + np.float32(1e-30)
    scales = [np.log(np.maximum(values, floor)) for values in (x, box(x, 3), box(x, 5), box(x, 9))]
    return np.exp(np.mean(scales, axis=0))


def towards_neighbours(evidence: Evidence) -> Array:
    """Return the map with log V shrunk towards its neighbourhood, like limma's moderated variance (Smyth 2004).

    log V estimates log σ² with an error variance of about 2/(T − 1). The prior's mean is the 5 × 5 mean of log V, and
    the prior's variance is the spread around this mean minus the error variance. One factor per channel.
    """

    def shrunk(variance: Array) -> Array:
        floor = np.float32(1e-4) * variance.mean(axis=(1, 2), keepdims=True) + np.float32(1e-30)
        log = np.log(np.maximum(variance, floor))
        prior = box(log, 5)
        spread = np.square(log - prior).mean(axis=(1, 2), keepdims=True)
        error = 2 / max(evidence.count - 1, 1)
        weight = np.clip(1 - error / np.maximum(spread, 1e-12), 0, 1)
        return np.exp(prior + weight * (log - prior)).astype(np.float32)

    return pooled(evidence, relative, same, shrunk)


def towards_channels(evidence: Evidence) -> Array:
    """Return the map with each pixel's log variances shrunk towards their mean over channels (James & Stein 1961).

    The factor is the positive part of 1 − error/|deviation|²; C − 3 of the formula is replaced by 1, because C is 3.
    """

    def shrunk(variance: Array) -> Array:
        scale = np.median(variance, axis=(1, 2), keepdims=True) + np.float32(1e-30)
        log = np.log(np.maximum(variance / scale, np.float32(1e-4)))
        middle = log.mean(axis=0)
        error = 2 / max(evidence.count - 1, 1)
        square = np.square(log - middle).sum(axis=0)
        weight = np.clip(1 - error / np.maximum(square, 1e-12), 0, 1)
        return (np.exp(middle + weight * (log - middle)) * scale).astype(np.float32)

    return pooled(evidence, relative, same, shrunk)


def from_magnitude(evidence: Evidence) -> Array:
    """Return the map with V taken as proportional to A², as it is for gradients of zero mean.

    The relative error of A is half that of V.
    """
    return pooled(evidence, lambda _: relative(np.square(evidence.magnitude)))


def half_product(evidence: Evidence) -> Array:
    """Return the geometric mean of the paper's maps of both halves."""
    return np.sqrt(pooled(evidence.half(evidence.even)) * pooled(evidence.half(evidence.odd)))


def half_crossed(evidence: Evidence) -> Array:
    """Return the map with the guide from one half and A from the other, summed over both ways."""
    even, odd = evidence.half(evidence.even), evidence.half(evidence.odd)
    total = even.magnitude * step(odd.variance) + odd.magnitude * step(even.variance)
    result: Array = total.sum(axis=0)
    return result


def with_clean(evidence: Evidence) -> Array:
    """Return the paper's map with the gradient at the unperturbed image as one more sample of A."""
    magnitude = (evidence.state.abs_sum + np.abs(evidence.clean)) / np.float32(evidence.count + 1)
    return pooled(evidence, step, lambda _: magnitude)


def _both(pool: Pool, guide: Guide = step) -> Estimator:
    return partial(pooled, guide=guide, magnitude=pool, variance=pool)


ESTIMATORS: dict[str, Estimator] = {
    "paper": pooled,
    "V 3×3": partial(pooled, variance=partial(box, k=3)),
    "A, V 3×3": _both(partial(box, k=3)),
    "A, V 5×5": _both(partial(box, k=5)),
    "A, V Gaussian 1": _both(partial(gaussian, sigma=1)),
    "A, V Gaussian 2": _both(partial(gaussian, sigma=2)),
    "V shared over channels": partial(pooled, variance=shared),
    "V shared, 3×3": partial(pooled, variance=lambda x: shared(box(x, 3))),
    "relative": partial(pooled, guide=relative),
    "relative, V 3×3": partial(pooled, guide=relative, variance=partial(box, k=3)),
    "relative, A, V 3×3": _both(partial(box, k=3), relative),
    "relative, A, V 5×5": _both(partial(box, k=5), relative),
    "relative, A, V Gaussian 1": _both(partial(gaussian, sigma=1), relative),
    "relative, A, V Gaussian 2": _both(partial(gaussian, sigma=2), relative),
    "relative, V shared, both 3×3": partial(
        pooled, guide=relative, magnitude=partial(box, k=3), variance=lambda x: shared(box(x, 3))
    ),
    "relative, multi-scale": _both(multi_scale, relative),
    "relative, guided filter by image": partial(by_image, filtered=guided),
    "relative, joint bilateral by image": partial(by_image, filtered=bilateral),
    "relative, V shrunk to neighbours": towards_neighbours,
    "relative, V shrunk over channels": towards_channels,
    "relative, V from A²": from_magnitude,
    "soft guide": partial(pooled, guide=soft),
    "geometric mean of halves": half_product,
    "guide from the other half": half_crossed,
    "gradient at the image as a sample": with_clean,
    **GRID_ESTIMATORS,
}
"""All estimators: name in the tables → function."""
