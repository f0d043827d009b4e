"""The method in numpy: the readable reference that the graphs of every backend are compared with.

Source: Huang & Liu, "Guided AbsoluteGrad: Magnitude of Gradients Matters to Explanation's Localization
and Saliency", Canadian AI 2024 (arXiv 2404.15564): equations 4 to 6 and Algorithm 1 for the map, section 4
for RCAP. Where the paper leaves a case open (constant maps, ties) this follows the authors' program.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gagrad_edge.errors import SettingError
from gagrad_edge.method.pooled import pooled

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float32]


@dataclass(frozen=True)
class State:
    """Running statistics, per channel and pixel, of the gradients g of the samples so far.

    ``abs_sum`` is Σ|g|, ``mean`` the mean of g and ``m2`` the sum of squared deviations from the mean, each
    ``[C, H, W]``. The guide does not depend on the sample, so these are enough, whatever T is.
    """

    count: int
    abs_sum: Array
    mean: Array
    m2: Array

    @staticmethod
    def empty(shape: tuple[int, int, int]) -> State:
        """Return the state before the first sample."""
        zeros = np.zeros(shape, np.float32)
        return State(0, zeros, zeros, zeros)


def accumulate(state: State, gradients: Array) -> State:
    """Merge a chunk of ``gradients [B, C, H, W]`` into ``state``.

    Chan, Golub & LeVeque's pairwise update: a plain Σg² − (Σg)²/n cancels badly in float32.
    """
    samples = len(gradients)
    total = state.count + samples
    chunk_mean = gradients.mean(axis=0)
    chunk_m2 = np.square(gradients - chunk_mean).sum(axis=0)
    delta = chunk_mean - state.mean
    return State(
        count=total,
        abs_sum=state.abs_sum + np.abs(gradients).sum(axis=0),
        mean=state.mean + delta * np.float32(samples / total),
        m2=state.m2 + chunk_m2 + np.square(delta) * np.float32(state.count * samples / total),
    )


def combine(first: State, second: State) -> State:
    """Return the state of both halves of the samples; either may be empty."""
    total = first.count + second.count
    share = np.float32(second.count / max(total, 1))
    delta = second.mean - first.mean
    return State(
        count=total,
        abs_sum=first.abs_sum + second.abs_sum,
        mean=first.mean + delta * share,
        m2=first.m2 + second.m2 + np.square(delta) * (np.float32(first.count) * share),
    )


STATE_MAPS = ("absolute", "signed", "squared", "variance")
"""Names of the maps that ``state_maps`` returns, in order."""


def state_maps(state: State, multiplier: Array) -> Array:
    """Return the maps ``[4, H, W]`` of the methods without a guide, not scaled.

    Σ_c of: E|g| (AbsoluteGrad), |E[g] · multiplier| (the plain gradient and SmoothGrad with a ``multiplier``
    of ones, Input × Gradient with the model input, Integrated Gradients with the input's difference from the
    baseline), E[g²] (SmoothGrad-Squared) and Var[g] with divisor T − 1 (VarGrad).
    """
    count = np.float32(state.count)
    per_channel = [
        state.abs_sum / count,
        np.abs(state.mean * multiplier),
        state.m2 / count + np.square(state.mean),
        state.m2 / np.float32(max(state.count - 1, 1)),
    ]
    return np.stack([values.sum(axis=0) for values in per_channel])


GUIDES = ("paper", "pooled")
"""Guides by name: from the statistics of each pixel alone, or from those of ``gagrad_edge.method.pooled``."""


def finalize(state: State, percentile: float, guide: str = "paper") -> Array:
    """Return the saliency map ``[H, W]`` in 0..1.

    ``percentile`` is p of the guide ``w = 1 where V > quantile_p(V), else V``, per channel. Two values
    outside (0, 1] select the authors' other guides: 0 is a guide of ones, a negative value is V itself. A
    constant sum is 0/0 everywhere and becomes a map of ones, as in the authors' program. ``guide`` is one of
    GUIDES; another raises SettingError.
    """
    if guide not in GUIDES:
        raise SettingError(f"unknown guide {guide!r}", where="guide", hint=f"give one of {', '.join(GUIDES)}")
    abs_sum, variance = state.abs_sum, state.m2 / np.float32(max(state.count - 1, 1))
    if guide == "pooled":
        abs_sum, variance = pooled(state.count, abs_sum, variance)
    channels = len(variance)
    if percentile < 0:
        threshold = np.full(channels, np.inf, np.float32)
    elif percentile == 0:
        threshold = np.full(channels, -1, np.float32)
    else:
        threshold = quantile(variance.reshape(channels, -1), percentile)
    weight = np.where(variance > threshold[:, None, None], np.float32(1), variance)
    return normalise((abs_sum * weight).sum(axis=0))


def quantile(values: Array, percentile: float) -> Array:
    """Return the ``percentile`` quantile of each row of ``values [R, n]``, linearly interpolated, as ``[R]``.

    As ``numpy.quantile``, except that p is first rounded to float32, as in the authors' program: the rank of
    p = 0.7 among 221 values is then 153.9999974 and not 154, so the threshold lies below the 154th value and
    one more pixel above the threshold. The guide is a step, so this pixel shows in the map.
    """
    ordered = np.sort(values, axis=1)
    rank = float(np.float32(percentile)) * (values.shape[1] - 1)
    below = int(rank)
    above = min(below + 1, values.shape[1] - 1)
    weight = np.float32(rank - below)
    low, high = ordered[:, below], ordered[:, above]
    span: Array = high - low
    result: Array = low + weight * span if weight < 0.5 else high - span * (1 - weight)
    return result


def normalise(total: Array) -> Array:
    """Scale ``total [H, W]`` to 0..1; a constant map becomes ones."""
    shifted = total - total.min()
    span = shifted.max()
    return np.ones_like(total) if span == 0 else shifted / span


def rcap_levels(lower_bound: float, interval: float) -> list[float]:
    """Return RCAP's levels r from high to low, rounded to two decimals as the authors do.

    ``numpy.arange`` may include a last level of 1 when the interval divides the range, through rounding. The
    level is kept, because the authors' figures contain it.
    """
    return [round(float(r), 2) for r in np.arange(lower_bound, 1, interval)][::-1]


def threshold_index(pixels: int, level: float) -> int:
    """Return the index of a level's threshold in the ascending sorted map of ``pixels`` values.

    −1 (levels below 1/pixels) means the largest value, as it does in the authors' program.
    """
    return (int(pixels * level) - 1) % pixels


def recover(image: Array, saliency: Array, levels: list[float]) -> tuple[Array, Array]:
    """Return ``recovered [P, C, H, W]`` and ``ratio [P]`` for ``levels`` from high to low.

    At level r the pixels with ``S > t_r`` are kept and the others are black; ``ratio`` is the share of the
    map's sum on the kept pixels. Three cases follow the authors' program: a threshold at the map's maximum
    would keep nothing and becomes 0, so that all of the map is kept; pixels that one level keeps, the lower
    levels keep too; and when all thresholds differ, a first threshold at the maximum is left out, with a
    ``ratio`` of −1: this level does not count.
    """
    ordered = np.sort(saliency.ravel())
    thresholds = np.array([ordered[threshold_index(saliency.size, level)] for level in levels], np.float32)
    skipped = len(levels) > 1 and thresholds[0] >= 1 and len(np.unique(thresholds)) == len(levels)
    thresholds[thresholds >= 1] = 0
    kept = saliency > thresholds[:, None, None]
    mass = np.where(kept, saliency, 0).astype(np.float64).sum(axis=(1, 2))
    ratio = (mass / saliency.astype(np.float64).sum()).astype(np.float32)
    recovered_pixels = kept.copy()
    if skipped:
        ratio[0] = -1
        recovered_pixels[0] = False
    recovered_pixels = np.logical_or.accumulate(recovered_pixels, axis=0)
    return np.where(recovered_pixels[:, None], image, np.float32(0)), ratio
