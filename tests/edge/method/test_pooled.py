"""What the guide ``pooled`` promises: less noise, the grid kept, the paper's limit."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from gagrad_edge.errors import SettingError
from gagrad_edge.method.pooled import grid_mean, pooled, tent
from gagrad_edge.method.reference import State, accumulate, finalize

SHAPE = (3, 48, 56)


def scale() -> np.ndarray:
    """Return a smooth structure times a grid of period 4, as a strided network's gradients have it."""
    y, x = np.mgrid[: SHAPE[1], : SHAPE[2]]
    smooth = np.exp(1.5 * np.sin(x / 17) * np.cos(y / 13))
    return smooth * np.array([0.2, 1.0, 0.5, 2.0])[x % 4] * np.array([1.0, 0.3])[y % 2]


def draw(samples: int, seed: int) -> State:
    rng = np.random.default_rng(seed)
    state = State.empty(SHAPE)
    chunk = min(samples, 100)
    for _ in range(0, samples, chunk):
        gradients = 0.01 * rng.standard_normal((chunk, *SHAPE)) * scale()
        state = accumulate(state, gradients.astype(np.float32))
    return state


def test_four_samples_are_worth_twenty_of_the_paper() -> None:
    """Where the truth is smooth but for a grid, by Spearman to the paper's own limit."""
    limit = finalize(draw(1000, 9), 0.85).ravel()
    ours = spearmanr(finalize(draw(4, 1), 0.85, "pooled").ravel(), limit).statistic
    theirs = spearmanr(finalize(draw(20, 1), 0.85).ravel(), limit).statistic
    assert ours > theirs > 0.8


@pytest.mark.slow
def test_many_samples_give_the_paper_its_map() -> None:
    """The weights go to 1, so both maps have one limit."""
    state = draw(4000, 2)
    same = spearmanr(finalize(state, 0.85, "pooled").ravel(), finalize(state, 0.85).ravel()).statistic
    assert same > 0.998


def test_pooling_keeps_what_is_constant() -> None:
    """Tents and the grid's mean are means, at the border too."""
    ones = np.full((1, 13, 21), 3, np.float32)
    for k in (3, 9):
        np.testing.assert_allclose(tent(ones, k), 3, rtol=1e-6)
    np.testing.assert_allclose(grid_mean(ones), 3, rtol=1e-6)


def test_grid_mean_is_the_mean_of_a_phase() -> None:
    """grid_mean gives each pixel the mean of the pixels of its phase in the 8×8 grid."""
    x = np.random.default_rng(0).standard_normal((2, 19, 27)).astype(np.float32)
    found = grid_mean(x)
    for i, j in ((0, 0), (2, 5), (7, 7)):
        expected = x[:, i::8, j::8].mean(axis=(1, 2), keepdims=True)
        np.testing.assert_allclose(
            found[:, i::8, j::8], np.broadcast_to(expected, found[:, i::8, j::8].shape), rtol=1e-5, atol=1e-6
        )


def test_zero_variance_is_finite() -> None:
    """One sample has no variance; the guide is then the magnitude's."""
    magnitude, variance = pooled(1, draw(4, 3).abs_sum, np.zeros(SHAPE, np.float32))
    assert np.isfinite(magnitude).all()
    assert np.isfinite(variance).all()


def test_an_unknown_guide_names_the_known() -> None:
    """An unknown guide raises SettingError with its name."""
    with pytest.raises(SettingError, match="unknown guide 'x'"):
        finalize(State.empty(SHAPE), 0.85, "x")
