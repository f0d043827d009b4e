"""Thumbnail of the report: the frame with the defect's outline."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gagrad_runtime.evaluate.metrics import widened
from gagrad_runtime.frame.placement import resample
from gagrad_runtime.report.marks import outline
from gagrad_runtime.report.thumbnail import jpeg, small

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gagrad_runtime.frame.frame import Frame
_BESIDE = 4
"""Pixels between a defect and the line around it."""


def frame_thumbnail(frame: Frame, mask: NDArray[np.bool_] | None) -> bytes:
    """Return ``frame`` as a small JPEG, the defect ``mask [H, W]`` outlined."""
    picture = small(frame)
    if mask is not None:
        # Outside the defect, so that the line does not cover a defect as thin as the line.
        outline(picture, widened(resample(mask, picture.shape[:2]) > 0.25, _BESIDE), 2)
    return jpeg(picture)
