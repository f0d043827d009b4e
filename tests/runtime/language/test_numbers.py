"""Probabilities and shares as people read them."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

from gagrad_runtime.language.numbers import agreement_text, percent, points_text, rate_text, share_text


@pytest.mark.parametrize(
    ("probability", "words"),
    [
        (0.5, "50.0 %"),
        (1.0, "over 99.9 %"),
        (0.0, "under 0.1 %"),
        (float("nan"), "no probability (not a number)"),
    ],
)
def test_percentages(probability: float, words: str) -> None:
    """No model is certain, and NaN is said."""
    assert percent(probability) == words


def test_a_share_is_a_whole_number_with_a_space() -> None:
    """A share of a map reads the same on the picture and on the terminal."""
    assert [share_text(share) for share in (0.0, 0.794, 1.0)] == ["0 %", "79 %", "100 %"]


def test_pixels_that_agree_are_rounded_down() -> None:
    """What is required reads as it is, what falls short of it never does, and 100 % is all of them."""
    shares = (1.0, 0.9999, 0.995, 0.99499, 0.0)
    assert [agreement_text(share) for share in shares] == ["100 %", "99.9 %", "99.5 %", "99.4 %", "0.0 %"]


def test_rates_and_their_differences() -> None:
    """What was counted may be none or all; a difference has its sign, and nothing is no negative nothing."""
    assert [rate_text(rate) for rate in (0.0, 0.0432, 1.0, math.nan)] == ["0.0 %", "4.3 %", "100.0 %", "–"]
    found = [points_text(one) for one in (0.013, -0.2, -0.0004, 0.0006, math.nan)]
    assert found == ["+1.3", "−20.0", "0.0", "+0.1", "–"]


def test_there_is_one_place_that_writes_a_probability_or_a_share(root: Path) -> None:
    """No other module of the device side formats a probability or a share of a map by itself."""
    own_way = re.compile(r"\b(probability|chance|confidence|share)\b[^}]*(:\.\d%\}|\* 100:\.\df\})")
    assert own_way.search('f"{row.probability * 100:.1f} %"')
    assert own_way.search('f"{roi.share:.0%}"')
    for path in (root / "runtime").rglob("*.py"):
        if path.name != "numbers.py":
            for line in path.read_text(encoding="utf-8").splitlines():
                assert not own_way.search(line), (path, line)
