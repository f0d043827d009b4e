"""Two layers for a page: the frame, and the coloured map with a transparent ground that lies exactly over it.

A page can then show the one, the other, or anything in between. Both are small: receivers of a station's
events get them with each explanation.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from PIL import Image

from gagrad_runtime.frame.placement import resample
from gagrad_runtime.report.colour import map_colours, to_eight_bits
from gagrad_runtime.report.overlay import colours_of, map_values

if TYPE_CHECKING:
    from gagrad_runtime.explanation.explanation import Explanation
    from gagrad_runtime.explanation.scale import GoodScale
    from gagrad_runtime.frame.frame import Frame

FRAME_SIDE = 640
"""Longest side of the frame in pixels; a smaller frame keeps its size."""
MAP_SIDE = 320
"""The same of the map, which has less detail."""
_QUALITY = 85


def frame_layer(frame: Frame) -> bytes:
    """Return ``frame`` as a JPEG of at most FRAME_SIDE pixels on its longer side."""
    size = _size(frame, FRAME_SIDE)
    pixels: Any = frame.picture if frame.picture.ndim == 3 else frame.picture[..., None]
    planes = [resample(pixels[..., channel], size) for channel in range(pixels.shape[2])]
    picture, _ = to_eight_bits(frame, np.stack(planes, axis=2) if len(planes) == 3 else planes[0])
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return data.tobytes()


def map_layer(explanation: Explanation, scale: GoodScale | None = None) -> bytes:
    """Return the map of ``explanation`` as a PNG with the proportions of the frame.

    It has the picture's colours, and is the more transparent the lower the map is. Each level of the map is
    one entry of a palette, so a map takes some 10 kB.
    """
    values, sigma = map_values(explanation, scale)
    on_frame = resample(explanation.placement.to_frame(values), _size(explanation.frame, MAP_SIDE))
    shown = colours_of(explanation, values, on_frame, sigma, scale).shown(on_frame)
    picture = Image.fromarray(np.rint(np.nan_to_num(shown) * 255).astype(np.uint8), "L")
    colours, shares = map_colours()
    picture.putpalette(colours.tobytes())
    stream = io.BytesIO()
    picture.save(stream, "PNG", transparency=np.rint(shares * 255).astype(np.uint8).tobytes())
    return stream.getvalue()


def _size(frame: Frame, side: int) -> tuple[int, int]:
    """Return (height, width) of at most ``side`` pixels, in the proportions of ``frame``."""
    scale = min(side / max(frame.height, frame.width), 1.0)
    return max(round(frame.height * scale), 1), max(round(frame.width * scale), 1)
