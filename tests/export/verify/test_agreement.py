"""What two forms of a model must agree in before the second is packaged."""

from __future__ import annotations

import numpy as np

from gagrad_edge.method.reference import State
from gagrad_export.verify.agreement import agreement, map_correlation
from gagrad_export.verify.half import CORRELATION


def sparse_map(seed: int) -> np.ndarray:
    g = np.random.default_rng(seed)
    return np.where(g.random((112, 112)) < 0.9, 0, g.random((112, 112))).astype(np.float32)


def test_equal_pixels_of_a_sparse_map_are_no_agreement() -> None:
    """Two independent maps, 90 % of whose pixels are 0: float16 that gave such a map would be refused."""
    assert abs(map_correlation(sparse_map(0), sparse_map(1))) < 0.05 < CORRELATION
    assert map_correlation(sparse_map(0), sparse_map(0) * np.float32(2)) > 0.999


def test_constant_maps_agree_with_constant_maps_only() -> None:
    """A linear model has constant maps, in float16 too; a map beside a constant one has lost everything."""
    flat = np.ones((112, 112), np.float32)
    assert map_correlation(flat, flat) == 1
    assert map_correlation(flat, sparse_map(0)) == map_correlation(sparse_map(0), flat) == 0


def test_the_bundles_figure_is_that_correlation() -> None:
    """``manifest.Agreement.map_correlation`` of states whose maps are sparse and independent."""

    def state(seed: int) -> State:
        gradient = sparse_map(seed)[None]
        return State(4, gradient, gradient, gradient)

    scores = np.array([[1.0, 2.0]], np.float32)
    figures = agreement((scores, state(0)), (scores, state(1)), 0.85)
    assert abs(figures["map_correlation"]) < 0.05
    assert figures["scores_error"] == 0
