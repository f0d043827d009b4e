"""Thumbnails of the report: the frame with the defect's outline, and the map over the dimmed frame."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from gagrad_runtime.evaluate.metrics import widened
from gagrad_runtime.explanation.places import soften
from gagrad_runtime.frame.placement import resample
from gagrad_runtime.report.colour import overlay, scale_of, to_eight_bits
from gagrad_runtime.report.marks import outline

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gagrad_runtime.explanation.explanation import Explanation
    from gagrad_runtime.frame.frame import Frame

    Canvas = NDArray[np.uint8]

_SIDE = 224
"""Longer side in pixels; the page shows them somewhat smaller, so that they are sharp on fine screens."""
_QUALITY = 80
_BESIDE = 4
"""Pixels between a defect and the line around it."""


def frame_thumbnail(frame: Frame, mask: NDArray[np.bool_] | None) -> bytes:
    """Return ``frame`` as a small JPEG, the defect ``mask [H, W]`` outlined."""
    picture = _small(frame)
    if mask is not None:
        # Outside the defect, so that the line does not cover a defect as thin as the line.
        outline(picture, widened(resample(mask, picture.shape[:2]) > 0.25, _BESIDE), 2)
    return _jpeg(picture)


def map_thumbnail(explanation: Explanation) -> bytes:
    """Return the map of ``explanation`` over its frame as a small JPEG, coloured as ``explain`` does."""
    picture = _small(explanation.frame)
    softened, sigma = soften(explanation.saliency)
    on_panel = resample(explanation.placement.to_frame(softened), picture.shape[:2])
    return _jpeg(overlay(picture, scale_of(on_panel, sigma).shown(on_panel)))


def _small(frame: Frame) -> Canvas:
    scale = _SIDE / max(frame.height, frame.width)
    size = (max(round(frame.height * scale), 1), max(round(frame.width * scale), 1))
    pixels: Any = frame.picture if frame.picture.ndim == 3 else frame.picture[..., None]
    planes = [resample(pixels[..., channel], size) for channel in range(pixels.shape[2])]
    return to_eight_bits(frame, np.stack(planes, axis=2) if len(planes) == 3 else planes[0])[0]


def _jpeg(picture: Canvas) -> bytes:
    _, data = cv2.imencode(
        ".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
    )
    return data.tobytes()
