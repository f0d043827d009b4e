"""Probabilities in words."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gagrad_runtime.question.probability import percent


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


def test_there_is_one_place_that_writes_a_probability(root: Path) -> None:
    """No other module of the device side formats a probability by itself."""
    for path in (root / "runtime").rglob("*.py"):
        for line in path.read_text(encoding="utf-8").splitlines():
            assert not re.search(r"\b(probability|chance|confidence)\b[^}]*:\.\d%\}", line), (path, line)
