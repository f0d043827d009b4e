"""Limits of good parts' statistics: how often a further good part is outside, and what is never usual."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gagrad_runtime.reference.limits import limits_of, student


def test_students_t_is_that_of_the_tables() -> None:
    """The 0.5 % and 5 % points of the printed tables."""
    assert student(0.005, 7) == pytest.approx(3.499, abs=2e-3)
    assert student(0.05, 1) == pytest.approx(6.314, abs=5e-3)
    assert student(0.025, 1000) == pytest.approx(1.962, abs=2e-3)


@pytest.mark.parametrize("count", [4, 8, 30])
def test_few_further_good_parts_are_outside(count: int) -> None:
    """At most 2 % of further parts are outside any of six limits, whatever the number of parts seen."""
    rng = np.random.default_rng(count)
    outside = total = 0
    for _ in range(150):
        values = {str(name): rng.normal(size=count).tolist() for name in range(6)}
        limits = limits_of(values, dict.fromkeys(values, 1e-3))
        for _ in range(10):
            drawn = rng.normal(size=6)
            total += 1
            outside += any(
                not low <= x <= high for x, (low, high) in zip(drawn, limits.values(), strict=True)
            )
    assert outside / total < 0.03  # 0.02, and the error of 1500 draws


def test_what_is_far_away_makes_no_limits() -> None:
    """One bad part among eight good ones leaves the limits as they are without it."""
    rng = np.random.default_rng(0)
    good = rng.normal(size=8).tolist()
    (without,), (with_bad,) = (
        limits_of({"x": values}, {"x": 1e-3}).values() for values in (good, [*good, 60.0])
    )
    assert with_bad == pytest.approx(without)


def test_two_parts_make_no_limits_and_equal_ones_get_a_floor() -> None:
    """Nothing is said of what two parts cannot say; equal parts still leave room."""
    assert limits_of({"x": [1.0, 2.0]}, {"x": 0.1}) == {}
    low, high = limits_of({"x": [1.0] * 5}, {"x": 0.1})["x"]
    assert high - 1 == pytest.approx(1 - low)
    assert high - 1 > 0.1 * math.sqrt(1.2)
