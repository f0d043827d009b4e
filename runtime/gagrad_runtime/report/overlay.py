"""The map over the frame: at the size of a panel, with the colour scale and what the display changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import numpy as np

from gagrad_runtime.explanation.comparing import raw_map
from gagrad_runtime.explanation.places import soften
from gagrad_runtime.frame.placement import resample
from gagrad_runtime.language import text
from gagrad_runtime.language.numbers import share_text
from gagrad_runtime.report.colour import overlay, scale_of
from gagrad_runtime.report.received import ALL
from gagrad_runtime.report.scale import good_colours

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gagrad_runtime.explanation.explanation import Explanation
    from gagrad_runtime.explanation.scale import GoodScale
    from gagrad_runtime.frame.placement import Placement
    from gagrad_runtime.report.colour import Scale

    Canvas = NDArray[np.uint8]
    Array = NDArray[np.float32]

_LEAST = 48
"""Least height and width of a panel in pixels; a narrower frame is stretched to it, and a note says so."""
_BESIDE = 0.05
"""Share of the map on the padding beside the frame, above which a note says so and the colours are scaled by
the whole map: scaled by the frame alone, the faint rest of the map would look like the place that matters."""


class MapPanel(NamedTuple):
    """The frame in dim grey under the colours of the map."""

    panel: Canvas
    """[h, w, 3]."""
    colours: Scale
    notes: tuple[str, ...]
    """What the display changed, in words."""


def draw_map(explanation: Explanation, picture: Canvas, scale: GoodScale | None = None) -> MapPanel:
    """Return the map of ``explanation`` over ``picture`` (the frame, scaled).

    It has the colours of good parts
    where there is a ``scale``.
    """
    placement, beside = explanation.placement, _beside(explanation)
    values, sigma = map_values(explanation, scale)
    on_panel = scaled(placement.to_frame(values), picture.shape[:2])
    colours = colours_of(explanation, values, on_panel, sigma, scale)
    over, notes = overlay(picture, colours.shown(on_panel)), [colours.note]
    if placement.seen_share < ALL:
        _mark_seen(over, placement)
        notes.append(text("the model sees only what is inside the dashed line"))
    if beside > _BESIDE:
        notes.append(
            text(
                "{share} of the map lies on the bars beside the frame, not shown here",
                share=share_text(beside),
            )
        )
    return MapPanel(over, colours, tuple(notes))


def map_values(explanation: Explanation, scale: GoodScale | None) -> tuple[Array, float]:
    """Return the values [H, W] that are drawn, and the blur's standard deviation in model pixels.

    They are the softened map, raw where a ``scale`` of good parts colours it.
    """
    return soften(explanation.saliency) if scale is None else raw_map(explanation)


def colours_of(
    explanation: Explanation, values: Array, on_panel: Array, sigma: float, scale: GoodScale | None
) -> Scale:
    """Return the colours of ``values``, which ``on_panel`` has at the size of a panel."""
    if scale is not None:
        return good_colours(scale, sigma)
    return scale_of(values if _beside(explanation) > _BESIDE else on_panel, sigma)


def _beside(explanation: Explanation) -> float:
    """Return the share of the map that lies on the padding beside the frame."""
    return 1 - explanation.placement.share_on_frame(explanation.saliency)


def panel_size(height: int, width: int, box: tuple[int, int]) -> tuple[tuple[int, int], str | None]:
    """Return the panel's (height, width) inside ``box``, and a note when it has other proportions."""
    scale = min(box[0] / height, box[1] / width)
    fitted = (round(height * scale), round(width * scale))
    size = (max(fitted[0], _LEAST), max(fitted[1], _LEAST))
    return size, None if size == fitted else text("the frame is very long; it is drawn thicker than it is")


def scaled(pixels: NDArray[Any], size: tuple[int, int]) -> NDArray[np.float32]:
    """Return ``pixels [H, W]`` or ``[H, W, 3]`` at ``size``: means when it shrinks, else plain squares.

    A frame of few pixels then looks like few pixels and not like a blurred photograph.
    """
    grows = size[0] >= 3 * pixels.shape[0] and size[1] >= 3 * pixels.shape[1]
    if grows:
        enlarged: Any = cv2.resize(pixels, size[::-1], interpolation=cv2.INTER_NEAREST)
        return np.asarray(enlarged, np.float32)
    if pixels.ndim == 2:
        return resample(pixels, size)
    return np.stack([resample(pixels[..., channel], size) for channel in range(pixels.shape[2])], axis=2)


def _mark_seen(over: Canvas, placement: Placement) -> None:
    """Draw a dashed line on ``over`` around what the model sees of the frame."""
    height, width = over.shape[:2]
    across, down = width / placement.frame_size[1], height / placement.frame_size[0]
    left, top, right, bottom = placement.seen
    x0, x1 = round(left * across), max(round(right * across), 2)
    y0, y1 = round(top * down), max(round(bottom * down), 2)
    for start in range(0, max(height, width), 14):
        rows, columns = slice(max(start, y0), min(start + 8, y1)), slice(max(start, x0), min(start + 8, x1))
        over[rows, x0 : x0 + 2] = over[rows, x1 - 2 : x1] = 255
        over[y0 : y0 + 2, columns] = over[y1 - 2 : y1, columns] = 255
