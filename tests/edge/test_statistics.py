"""One rank correlation for device and exporter, in which equal values get their mean rank."""

from __future__ import annotations

import numpy as np
import pytest

from gagrad_edge.statistics import rank_correlation


def test_independent_sparse_maps_do_not_correlate() -> None:
    """Nine of ten pixels are 0 in both, as in a map of a ReLU network: ranks by position would give 0.67."""
    g = np.random.default_rng(0)
    first, second = (
        np.where(g.random((112, 112)) < 0.9, 0, g.random((112, 112))).astype(np.float32) for _ in range(2)
    )
    found = rank_correlation(first, second)
    assert found is not None
    assert abs(found) < 0.05


def test_ties_get_their_mean_rank() -> None:
    """Spearman's ρ of (1, 2.5, 2.5, 4) and (1, 2, 3, 4), by hand: 4.5 / √(4.5 · 5)."""
    found = rank_correlation(np.array([0, 1, 1, 9], np.float32), np.array([1, 2, 3, 4], np.float32))
    assert found == pytest.approx(4.5 / (4.5 * 5) ** 0.5)


def test_a_constant_map_has_no_rank_correlation() -> None:
    """A map without differences has no ranks, so the correlation is None on either side."""
    flat, slope = np.zeros((4, 4), np.float32), np.arange(16, dtype=np.float32).reshape(4, 4)
    assert rank_correlation(flat, slope) is rank_correlation(slope, flat) is None
