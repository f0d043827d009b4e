"""The colours of a map by what good parts reach: they stay in the lower half, the top is twice as much."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gagrad_runtime.report.colour import Scale

if TYPE_CHECKING:
    from gagrad_runtime.explanation.scale import GoodScale

HEADROOM = 2.0
"""The top of the scale, in units of what good parts reach: good parts then stay in its lower half."""


def good_colours(scale: GoodScale, softened: float) -> Scale:
    """Return how raw values become colours; ``softened`` is what ``soften`` returned."""
    return Scale(HEADROOM * scale.value, softened, good_parts=scale.images)
