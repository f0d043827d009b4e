"""How far a map has settled: split-half reliability, from one explanation.

Two interleaved halves of the samples give two maps. Their rank correlation says how well a map of half the
samples repeats; the Spearman–Brown formula carries that to the map of all of them (Spearman 1910, Brown 1910;
usual in the theory of tests). The figure is the expected rank correlation of this map with another made from
as many other samples; docs/fidelity.md holds it against measurements.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from gagrad_edge.method.reference import State

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float32]

PIXELS = 4096
"""Pixels compared: all of them would give a correlation that differs by about (1 − r²)/√4096."""

LEAST = 4
"""Samples below which there is no figure: each half needs a variance."""


def pixel_subset(height: int, width: int) -> NDArray[np.intp]:
    """Return up to ``PIXELS`` flat pixel indices, spread evenly and without alignment to rows or columns.

    Multiples of the golden ratio (a Weyl sequence), so the same every time.
    """
    pixels = height * width
    if pixels <= PIXELS:
        return np.arange(pixels)
    golden = (math.sqrt(5) - 1) / 2
    return np.unique((np.arange(PIXELS) * golden % 1 * pixels).astype(np.intp))


def at_pixels(state: State, pixels: NDArray[np.intp]) -> State:
    """Return ``state`` at some pixels only, as an image ``[C, 1, n]``."""
    channels = len(state.mean)
    parts = (
        values.reshape(channels, 1, -1)[:, :, pixels] for values in (state.abs_sum, state.mean, state.m2)
    )
    return State(state.count, *parts)


def full_sample(correlation: float, counts: tuple[int, int]) -> float:
    """Return the reliability of the map of all samples from the correlation of its two parts.

    A map of k samples has the reliability 1/(1 + s/k), s its noise to signal for one sample, and the maps of
    m and n other samples correlate by r = ((1 + s/m)(1 + s/n))^(−1/2). Solved for s; for m = n this is
    Spearman–Brown's 2r/(1 + r). No correlation, or a negative one, is 0.
    """
    if correlation <= 0:
        return 0.0
    m, n = counts
    a, b, c = 1 / (m * n), 1 / m + 1 / n, 1 - 1 / min(correlation, 1.0) ** 2
    noise = (math.sqrt(b * b - 4 * a * c) - b) / (2 * a)
    return 1 / (1 + noise / (m + n))
