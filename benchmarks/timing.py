"""Wall times, and the text form of figures from several rounds."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def seconds(run: Callable[[], object]) -> float:
    """Return the wall time of ``run`` in seconds."""
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def spread(figures: Sequence[float] | None) -> str:
    """Return the median as text, with the smallest and the largest in brackets; a dash if there are no values."""
    if not figures:
        return "–"
    return f"{statistics.median(figures):.2f} ({min(figures):.2f}–{max(figures):.2f})"
