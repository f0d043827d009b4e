"""The map over the frame at the frame's own size, and the map alone at that size.

A frame of 12 megapixels is worked on in strips: memory is about 20 bytes for each of its pixels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gagrad_runtime.report.colour import ground_levels, overlay, to_eight_bits
from gagrad_runtime.report.evidence import numbered
from gagrad_runtime.report.lettering import lettering
from gagrad_runtime.report.overlay import colours_of, map_values, panel_size, scaled
from gagrad_runtime.report.place_marks import mark_places

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gagrad_runtime.explanation.explanation import Explanation
    from gagrad_runtime.explanation.scale import GoodScale

    Canvas = NDArray[np.uint8]

_STRIP = 512
"""Rows that are worked on at a time."""
_PANEL = (720, 620)
"""Height and width of a picture's panel: the marks are as large on the full size as they are there."""
_LEAST = 120
"""Height and width in pixels from which the places are marked: on a smaller frame marks would hide it."""


def full_overlay(explanation: Explanation, scale: GoodScale | None = None) -> Canvas:
    """Return the frame in dim grey under the colours of the map, [H, W, 3], with the numbered places.

    The colours are those of the picture.
    """
    frame = explanation.frame
    values, sigma = map_values(explanation, scale)
    on_frame = explanation.placement.to_frame(values)
    size, _ = panel_size(frame.height, frame.width, _PANEL)
    colours = colours_of(explanation, values, scaled(on_frame, size), sigma, scale)
    ground = ground_levels(to_eight_bits(frame, scaled(frame.picture, size))[0])
    full = np.empty((frame.height, frame.width, 3), np.uint8)
    for start in range(0, frame.height, _STRIP):
        rows = slice(start, start + _STRIP)
        picture, _ = to_eight_bits(frame, frame.picture[rows])
        full[rows] = overlay(picture, colours.shown(on_frame[rows]), ground)
    if min(frame.height, frame.width) >= _LEAST:
        shrunk = max(frame.height / _PANEL[0], frame.width / _PANEL[1], 1.0)
        mark_places(full, numbered(explanation), (frame.height, frame.width), lettering(), scale=shrunk)
    return full


def full_map(explanation: Explanation) -> NDArray[np.uint16]:
    """Return the bare map at the frame's size, 65535 for 1, 0 where the model saw nothing; NaN becomes 0."""
    clean = np.nan_to_num(explanation.saliency, nan=0.0, posinf=0.0, neginf=0.0)
    on_frame = explanation.placement.to_frame(clean)
    full = np.empty(on_frame.shape, np.uint16)
    for start in range(0, len(full), _STRIP):
        rows = slice(start, start + _STRIP)
        full[rows] = np.rint(np.clip(on_frame[rows], 0, 1) * np.float32(65535))
    return full
