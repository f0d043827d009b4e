"""Which frames are explained."""

from __future__ import annotations

import pytest

from gagrad_runtime.station.rule import Rule


@pytest.mark.parametrize(
    ("rule", "frames", "wanted"),
    [
        (Rule(), [("ok", 0.9, 0.0)] * 3, [True] * 3),
        (Rule(good=("ok",)), [("ok", 0.9, 0.0), ("dent", 0.9, 0.0)], [False, True]),
        (
            Rule(good=("ok",), below=0.8),
            [("ok", p, 0.0) for p in (0.7, 0.8, None)],
            [True, False, False],
        ),
        (Rule(every=3), [("ok", 0.9, 0.0)] * 7, [True, False, False, True, False, False, True]),
        (
            Rule(per_minute=2),
            [("ok", 0.9, t) for t in (0, 1, 2, 59, 60, 61)],
            [True, True, False, False, True, True],
        ),
        (
            Rule(per_second=2),
            [("ok", 0.9, t) for t in (0, 0.5, 0.8, 1.0, 1.3, 1.5)],
            [True, True, False, True, False, True],
        ),
        (Rule(per_second=0.1), [("ok", 0.9, t) for t in (0, 9, 10, 19)], [True, False, True, False]),
        (
            Rule(per_second=1, per_minute=2),
            [("ok", 0.9, t) for t in (0, 1, 2, 60, 60.5)],
            [True, True, False, True, False],
        ),
    ],
)
def test_rules(rule: Rule, frames: list[tuple[str, float | None, float]], wanted: list[bool]) -> None:
    """Each rule explains exactly the frames that its class list, probability, count and rates allow."""
    assert [rule.wants(*frame) for frame in frames] == wanted
