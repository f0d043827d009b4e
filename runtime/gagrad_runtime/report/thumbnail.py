"""Thumbnails of pages: the map over the dimmed frame, as small JPEGs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from gagrad_runtime.frame.placement import resample
from gagrad_runtime.report.colour import overlay, to_eight_bits
from gagrad_runtime.report.evidence import numbered
from gagrad_runtime.report.lettering import lettering
from gagrad_runtime.report.overlay import colours_of, map_values
from gagrad_runtime.report.place_marks import mark_places

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gagrad_runtime.explanation.explanation import Explanation
    from gagrad_runtime.explanation.scale import GoodScale
    from gagrad_runtime.frame.frame import Frame

    Canvas = NDArray[np.uint8]

_SIDE = 224
"""Longer side in pixels; the page shows them somewhat smaller, so that they are sharp on fine screens."""
_QUALITY = 80
_MARKS = 0.75
"""Size of the marks, against those of the picture."""


def map_thumbnail(explanation: Explanation, scale: GoodScale | None = None, *, marked: bool = False) -> bytes:
    """Return the map of ``explanation`` over its frame as a small JPEG, coloured as ``explain`` does.

    ``marked`` draws the numbered places.
    """
    frame = explanation.frame
    picture = small(frame)
    values, sigma = map_values(explanation, scale)
    on_panel = resample(explanation.placement.to_frame(values), picture.shape[:2])
    over = overlay(picture, colours_of(explanation, values, on_panel, sigma, scale).shown(on_panel))
    if marked:
        size = (frame.height, frame.width)
        mark_places(over, numbered(explanation), size, lettering(), scale=_MARKS)
    return jpeg(over)


def frame_alone(frame: Frame) -> bytes:
    """Return ``frame`` as a small JPEG."""
    return jpeg(small(frame))


def small(frame: Frame) -> Canvas:
    """Return ``frame`` [h, w, 3] as it is shown, at the size of a thumbnail."""
    scale = _SIDE / max(frame.height, frame.width)
    size = (max(round(frame.height * scale), 1), max(round(frame.width * scale), 1))
    pixels: Any = frame.picture if frame.picture.ndim == 3 else frame.picture[..., None]
    planes = [resample(pixels[..., channel], size) for channel in range(pixels.shape[2])]
    return to_eight_bits(frame, np.stack(planes, axis=2) if len(planes) == 3 else planes[0])[0]


def jpeg(picture: Canvas) -> bytes:
    """Return ``picture [h, w, 3]`` RGB as JPEG."""
    _, data = cv2.imencode(
        ".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
    )
    return data.tobytes()
