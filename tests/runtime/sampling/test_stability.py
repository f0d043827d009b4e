"""The split-half figure against what it estimates."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import spearmanr

from gagrad_edge.method.reference import State, accumulate, finalize
from gagrad_edge.statistics import rank_correlation
from gagrad_runtime.sampling.stability import at_pixels, full_sample, pixel_subset
from gagrad_runtime.sampling.statistics import chunk_sizes


def test_rank_correlation_is_spearmans(rng: np.random.Generator) -> None:
    """With ties, which a map with a dead border has many of."""
    first = np.round(rng.random((20, 30)), 1).astype(np.float32)
    second = np.round(first + rng.random((20, 30)), 1).astype(np.float32)
    expected = float(spearmanr(first.ravel(), second.ravel()).statistic)
    assert rank_correlation(first, second) == pytest.approx(expected, abs=1e-9)
    assert rank_correlation(first, np.zeros_like(first)) is None


@pytest.mark.parametrize("correlation", [0.05, 0.5, 0.9, 1.0])
def test_equal_halves_give_spearman_brown(correlation: float) -> None:
    """For halves of equal size the full-sample figure is the Spearman-Brown formula."""
    assert full_sample(correlation, (7, 7)) == pytest.approx(2 * correlation / (1 + correlation))


def test_unequal_halves_follow_the_same_model() -> None:
    """Two maps of 3 and 9 samples whose noise is s for one sample, carried to 12."""
    s = 2.0
    correlation = 1 / math.sqrt((1 + s / 3) * (1 + s / 9))
    assert full_sample(correlation, (3, 9)) == pytest.approx(1 / (1 + s / 12))
    assert full_sample(-0.2, (5, 5)) == 0


def test_a_subset_speaks_for_all(rng: np.random.Generator) -> None:
    """4,096 of 224² pixels: within four standard errors, 4 (1 − r²)/64, of the correlation of all."""
    scale = rng.gamma(1.0, size=(3, 224, 224)).astype(np.float32)
    halves = [
        accumulate(State.empty((3, 224, 224)), rng.normal(size=(6, 3, 224, 224)).astype(np.float32) * scale)
        for _ in range(2)
    ]
    whole = rank_correlation(*(finalize(half, 0.85) for half in halves))
    pixels = pixel_subset(224, 224)
    assert len(pixels) == len(set(pixels.tolist())) > 3900
    part = rank_correlation(*(finalize(at_pixels(half, pixels), 0.85) for half in halves))
    assert whole is not None
    assert part == pytest.approx(whole, abs=4 * (1 - whole**2) / 64)


def test_small_images_are_compared_whole() -> None:
    """A small image is compared at every pixel."""
    assert pixel_subset(20, 30).tolist() == list(range(600))


@pytest.mark.parametrize(
    ("samples", "chunk", "sizes"),
    [(20, 10, [10, 10]), (20, 20, [10, 10]), (20, 7, [5, 5, 5, 5]), (3, 1, [1, 1, 1]), (2, 10, [1, 1])],
)
def test_chunks_come_in_equal_pairs(samples: int, chunk: int, sizes: list[int]) -> None:
    """Chunks are within the size, in equal pairs, so that both halves get as many samples."""
    assert chunk_sizes(samples, chunk) == sizes
    for cap in range(2, 60):
        for size in range(1, 25):
            planned = chunk_sizes(cap, size)
            assert sum(planned) == cap
            assert max(planned) <= size
            assert abs(sum(planned[::2]) - sum(planned[1::2])) <= max(1, max(planned) - min(planned) + 1)
