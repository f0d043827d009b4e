"""The noise level of a model: how much its images bear before its answers change.

Too much noise and the gradients belong to images that the model no longer answers as it does the frame; too
little and they are those of a single point. So the level is the largest at which the answer is kept, and no
larger than the one beyond which place 1 gets no better: docs/where.md has places by level.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

USUAL = 0.05
"""Level where none is known, relative to the range of the model input. None is larger: good parts
bear more than parts with a defect do, and at 0.1 fewer defects are found (docs/where.md)."""
LEVELS = (USUAL, 0.03, 0.02, 0.01)
"""Levels that are tried, the largest first."""
KEPT = 0.95
"""Share of the noisy copies that keep their answer at a level that the model bears."""
COPIES = 4
"""Noisy copies of each sample image at each level."""


def bearable(kept: Sequence[float]) -> tuple[float, float]:
    """Return the largest of ``LEVELS`` whose share ``kept`` is ``KEPT`` or more, and that share.

    ``kept`` has one share for each level. Where none is enough, the smallest level.
    """
    found = next((one for one in zip(LEVELS, kept, strict=True) if one[1] >= KEPT), (LEVELS[-1], kept[-1]))
    return found[0], round(found[1], 4)
