"""The method in numpy against what the authors' implementation gave."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gagrad_edge.method.reference import State, accumulate, finalize, rcap_levels, recover

AGGREGATES = ("aggregate_large_gradients", "aggregate_mono", "aggregate_small_gradients")
PERCENTILES = ("0", "0.15", "0.5", "0.7", "0.85", "0.95", "1.0", "-1")


@pytest.mark.parametrize("name", AGGREGATES)
@pytest.mark.parametrize("chunk", [1, 3, 100])
def test_maps_equal_the_authors(golden: Path, name: str, chunk: int) -> None:
    """Every guide of the authors' program, however the samples are cut into chunks."""
    with np.load(golden / f"{name}.npz") as vectors:
        gradients = vectors["gradients"]
        state = State.empty(gradients.shape[1:])
        for start in range(0, len(gradients), chunk):
            state = accumulate(state, gradients[start : start + chunk])
        compared = 0
        for percentile in PERCENTILES:
            key = f"guided_p{percentile}_abs"
            if key in vectors:
                difference = np.abs(finalize(state, float(percentile)) - vectors[key]).max()
                assert difference <= 1e-5, percentile
                compared += 1
        assert compared >= 7


def test_running_state_survives_an_offset() -> None:
    """A large common gradient does not eat the variance, as Σg² − (Σg)²/n would let it in float32."""
    rng = np.random.default_rng(0)
    gradients = (1000 + 1e-2 * rng.standard_normal((24, 3, 8, 8))).astype(np.float32)
    state = State.empty((3, 8, 8))
    for chunk in np.split(gradients, 6):
        state = accumulate(state, chunk)
    exact = gradients.astype(np.float64).var(axis=0, ddof=1)
    # float32 holds 1000 to 6e-5: that is what remains of a spread of 1e-2.
    np.testing.assert_allclose(state.m2 / 23, exact, rtol=0.05)
    naive = (np.square(gradients).sum(0) - np.square(gradients.sum(0)) / 24) / 23
    assert np.abs(naive - exact).max() > 100 * np.abs(state.m2 / 23 - exact).max()


def test_a_constant_map_becomes_ones() -> None:
    """0/0 everywhere, as the authors' program has it."""
    assert (finalize(State.empty((3, 4, 5)), 0.85) == 1).all()


@pytest.mark.parametrize("name", ["rcap_distinct", "rcap_ties"])
@pytest.mark.parametrize(("lower", "interval"), [(0.5, 0.1), (0.7, 0.05), (0.1, 0.3)])
def test_recovered_images_equal_the_authors(golden: Path, name: str, lower: float, interval: float) -> None:
    """Bit-equal recovered images, ratios to 1e-6, also with heavy ties."""
    with np.load(golden / f"{name}.npz") as vectors:
        key = f"lb{lower}_iv{interval}"
        levels = rcap_levels(lower, interval)
        recovered, ratio = recover(vectors["image"], vectors["saliency"], levels)
        counted = ratio >= 0
        np.testing.assert_array_equal(recovered[counted], vectors[f"{key}_recovered"])
        np.testing.assert_allclose(ratio[counted], vectors[f"{key}_ratio"], atol=1e-6)


def test_levels_run_from_high_to_low() -> None:
    """RCAP's levels run from below 1 down to the lower bound, in steps of the interval."""
    assert rcap_levels(0.5, 0.1) == [0.9, 0.8, 0.7, 0.6, 0.5]
