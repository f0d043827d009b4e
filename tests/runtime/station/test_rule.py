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
        (
            Rule(per_second=1.5),
            [("ok", 0.9, t / 4) for t in range(12)],
            [True, True, False, False, False, False, True, True, False, False, False, False],
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
    """Each rule picks the frames that its table says."""
    assert [rule.wants((name,), *others) for name, *others in frames] == wanted


def test_a_frame_is_good_where_all_that_is_found_is() -> None:
    """A bad class beside a good one is explained, and nothing found is good; without classes all are."""
    rule = Rule(good=("hole", "screw"))
    assert not rule.wants(("hole", "screw"), 0.9, 0.0)
    assert rule.wants(("hole", "scratch"), 0.9, 0.0)
    assert not rule.wants((), 0.9, 0.0)
    assert Rule().wants((), 0.9, 0.0)


@pytest.mark.parametrize("rate", [0.5, 1, 1.5, 1.9, 2, 2.9])
def test_a_rate_is_kept_on_average(rate: float) -> None:
    """At 100 frames a second the rule lets through as many as it says, also where that is no whole number."""
    rule = Rule(per_second=rate)
    seconds = 120
    admitted = sum(rule.wants(("ng",), 0.9, frame / 100) for frame in range(100 * seconds))
    assert admitted / seconds == pytest.approx(rate, rel=0.02)
