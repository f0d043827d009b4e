"""Stability of a map: its split-half reliability, 0..1, from one explanation.

Two interleaved halves of the samples give two maps. Their rank correlation says how well a map of half the
samples repeats; the Spearman–Brown formula extends that to the map of all samples (Spearman 1910, Brown 1910;
usual in the theory of tests). The stability is the expected rank correlation of this map with a map of as
many other samples; docs/fidelity.md compares it with measurements.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from gagrad_edge.method.reference import State

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float32]

PIXELS = 4096
"""Pixels that are compared: all pixels would give a correlation r that differs by about (1 − r²)/√4096."""


@lru_cache(maxsize=8)
def pixel_subset(height: int, width: int) -> NDArray[np.intp]:
    """Return up to ``PIXELS`` flat pixel indices, spread evenly and without alignment to rows or columns.

    Multiples of the golden ratio (a Weyl sequence): the same indices every time.
    """
    pixels = height * width
    golden = (math.sqrt(5) - 1) / 2
    chosen = (
        np.arange(pixels)
        if pixels <= PIXELS
        # Each once and in order, without np.unique: that loads masked arrays, for 10 ms of a start.
        else np.flatnonzero(np.bincount((np.arange(PIXELS) * golden % 1 * pixels).astype(np.intp)))
    )
    chosen.setflags(write=False)
    return chosen


def at_pixels(state: State, pixels: NDArray[np.intp]) -> State:
    """Return ``state`` at the flat indices ``pixels [n]``, as of an image ``[C, 1, n]``."""
    channels = len(state.mean)
    parts = (
        values.reshape(channels, 1, -1)[:, :, pixels] for values in (state.abs_sum, state.mean, state.m2)
    )
    return State(state.count, *parts)


def full_sample(correlation: float, counts: tuple[int, int]) -> float:
    """Return the reliability, 0..1, of the map of all samples from the rank correlation of two parts' maps.

    ``counts`` are the samples m and n of the parts. A map of k samples has the reliability 1/(1 + s/k), where
    s is the ratio of noise to signal of one sample, and maps of m and n other samples correlate by
    r = ((1 + s/m)(1 + s/n))^(−1/2), which is solved for s. For m = n the result is Spearman–Brown's
    2r/(1 + r). A correlation of 0 or less gives 0.
    """
    if correlation <= 0:
        return 0.0
    m, n = counts
    a, b, c = 1 / (m * n), 1 / m + 1 / n, 1 - 1 / min(correlation, 1.0) ** 2
    noise = (math.sqrt(b * b - 4 * a * c) - b) / (2 * a)
    return 1 / (1 + noise / (m + n))
