"""What is said of a doubtful map, and that nothing is said of a sound one."""

from __future__ import annotations

import numpy as np
import pytest

from gagrad_runtime.explanation.cautions import Caution, constant_map, late, saturated, unstable
from gagrad_runtime.question.target import Target

TARGET = Target((1,), "scratch")


def codes(found: list[Caution]) -> list[str]:
    assert all(len(one.text) > 20 and one.text.endswith(".") for one in found)
    return [one.code for one in found]


def test_a_map_without_differences() -> None:
    """A constant map gets the caution that fits its cause; an ordinary map gets none."""
    flat, ordinary = np.ones((4, 5), np.float32), np.eye(4, dtype=np.float32)
    assert codes(constant_map(flat, dead=True)) == ["dead-gradient"]
    assert codes(constant_map(flat, dead=False)) == ["constant-map"]
    assert codes(constant_map(flat * 0, dead=True, cam=True)) == ["no-evidence"]
    assert codes(constant_map(ordinary, dead=False)) == []


def test_a_score_that_does_not_move() -> None:
    """Only the target's own score counts, and fewer than 4 samples prove nothing."""
    low, high = np.array([0.0, 5.0], np.float32), np.array([1.0, 5.0], np.float32)
    assert codes(saturated(low, high, TARGET, 20)) == ["saturated-score"]
    assert codes(saturated(low, high, Target((0,), "ok"), 20)) == []
    assert codes(saturated(low, high, TARGET, 3)) == []


@pytest.mark.parametrize(
    ("stability", "wanted", "expected"),
    [
        (0.9, None, []),
        (0.3, None, ["unstable"]),
        (None, None, []),
        (0.8, 0.9, ["not-settled"]),
        (0.95, 0.9, []),
        (None, 0.9, ["not-settled"]),
        (0.3, 0.9, ["unstable"]),
    ],
)
def test_a_map_that_has_not_settled(
    stability: float | None, wanted: float | None, expected: list[str]
) -> None:
    """A caution is given for low stability, or stability below the one asked for, and else none."""
    assert codes(unstable(stability, wanted)) == expected


def test_a_late_result() -> None:
    """A result after its budget gets a caution, which names the least samples where they were the cause."""
    assert codes(late(0.2, 100, 4)) == ["late"]
    assert "least" in late(0.2, 100, 4)[0].text
    assert "least" not in late(0.2, 100, 8)[0].text
    assert codes(late(0.1, 100, 4)) == codes(late(9.0, None, 20)) == []
