"""Drift and duplicates: no alarm without drift, an alarm with it, and copies found."""

from __future__ import annotations

import numpy as np
import pytest

from gagrad_runtime.audit.drift import Daily, alarms, compared, daily
from gagrad_runtime.audit.duplicates import groups, near

DAYS, REFERENCE = 35, 14


def plant(rng: np.random.Generator, rate_after: float) -> Daily:
    """Return the NG of 35 days of 150 parts: 4 % NG, but each day has a rate of its own; drift at the end."""
    day = np.repeat(np.arange(DAYS), 150)
    level = rng.beta(10, 240, DAYS)
    level[28:] *= rate_after / 0.04
    return daily(day, (rng.random(len(day)) < level[day]).astype(float), DAYS)


def weeks_with_alarm(quantities: list[Daily], seed: int) -> set[int]:
    """Return the weeks after the reference with an alarm in any quantity, all compared together."""
    rng = np.random.default_rng(seed)
    reference = np.arange(DAYS) < REFERENCE
    weeks = [np.arange(DAYS) // 7 == week for week in range(2, 5)]
    found = [compared(one, reference, week, rng).chance for one in quantities for week in weeks]
    return {2 + index % 3 for index, alarm in enumerate(alarms(found)) if alarm}


@pytest.mark.slow
def test_no_alarm_without_drift() -> None:
    """In 60 plants whose days differ, of four quantities and three weeks each, at most 5 % have an alarm."""
    rng = np.random.default_rng(0)
    false = sum(bool(weeks_with_alarm([plant(rng, 0.04) for _ in range(4)], seed)) for seed in range(60))
    assert false <= 3


@pytest.mark.slow
def test_planted_drift_is_found() -> None:
    """An NG rate of 12 % in the last week, after 4 %, is found in that week, in nine of ten plants."""
    rng = np.random.default_rng(1)
    found = [
        weeks_with_alarm([plant(rng, 0.12), *(plant(rng, 0.04) for _ in range(3))], s) for s in range(20)
    ]
    assert sum(4 in one for one in found) >= 18
    assert sum(bool(one - {4}) for one in found) <= 1


def test_distributions_are_compared_as_a_whole() -> None:
    """A place that moves is found though no mean changes; the difference is the share that moved."""
    rng = np.random.default_rng(2)
    day = np.repeat(np.arange(DAYS), 60)
    place = rng.integers(0, 4, len(day)).astype(float)
    moved = (day >= 28) & (place == 0)
    place[moved] = 9
    found = compared(daily(day, place, DAYS, 16), np.arange(DAYS) < 14, np.arange(DAYS) >= 28, rng)
    assert found.chance is not None
    assert found.chance < 0.01
    assert found.difference == pytest.approx(0.25, abs=0.06)
    assert found.low <= found.difference <= found.high + 0.05


def test_too_few_days_say_nothing() -> None:
    """A week of two days, or nulls only, gives no alarm; the values are there all the same."""
    day = np.repeat(np.arange(9), 10)
    values = np.arange(90) % 2 * 1.0
    found = compared(daily(day, values, 9), np.arange(9) < 6, np.arange(9) >= 7, np.random.default_rng(0))
    assert found.chance is None
    assert found.after == pytest.approx([0.5])
    empty = daily(day, np.full(90, np.nan), 9)
    assert compared(empty, np.arange(9) < 6, np.arange(9) >= 6, np.random.default_rng(0)).chance is None


def test_duplicates_and_near_duplicates() -> None:
    """Equal keys are groups; of hashes those within two bits, also through a third one, and no others."""
    assert [one.tolist() for one in groups(np.array([5, 3, 5, 7, 3, 5]))] == [[0, 2, 5], [1, 4]]
    rng = np.random.default_rng(0)
    base = rng.integers(0, 2**63, 300, dtype=np.uint64)
    chain = [int(base[0]) ^ (1 << 40) ^ (1 << 2), int(base[0]) ^ (1 << 40) ^ (1 << 2) ^ (1 << 63) ^ (1 << 21)]
    hashes = np.array([*base.tolist(), *chain, int(base[7])], np.uint64)
    pytest.importorskip("scipy")
    assert [one.tolist() for one in near(hashes)] == [[0, 300, 301], [7, 302]]
