"""Boxes on the picture: all that a detector found, and the one that is explained."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import cv2

from gagrad_runtime.report.lettering import Style

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    from numpy.typing import NDArray

    from gagrad_runtime.question.target import Box
    from gagrad_runtime.report.lettering import Lettering

    Canvas = NDArray[np.uint8]
    Corners = tuple[int, int, int, int]

# Neither a colour of the map (violet to yellow) nor that of a region of interest (cyan).
_LINE, _HALO = (120, 255, 120), (10, 20, 30)
_LEAST, _LEAST_BOLD = 10, 18
"""Least side of a drawn box in pixels: a smaller one is drawn around its middle, and can still be seen."""
_TAG = Style(16, _LINE, bold=True)
_PADDING = 4
_SHORTEST = 3
"""Letters of a name below which the tag is left out: the caption has the whole name."""
_LONGEST = 28
"""Letters of a name beyond which it is cut: a longer tag would hide the frame."""


class Tag(NamedTuple):
    """What stands beside the explained box."""

    name: str
    """The class."""
    chance: str
    """Its probability in words."""


def draw_boxes(panel: Canvas, boxes: Iterable[Box], frame_size: tuple[int, int]) -> None:
    """Draw thin lines around ``boxes`` (frame pixels) onto ``panel`` (the frame, scaled)."""
    drawn = [_on_panel(box, panel, frame_size) for box in boxes]
    for line, width in ((_HALO, 3), (_LINE, 1)):  # no halo hides a line of another box
        for left, top, right, bottom in drawn:
            cv2.rectangle(panel, (left, top), (right, bottom), line, width)


def draw_explained(panel: Canvas, box: Box, frame_size: tuple[int, int], tag: Tag, pen: Lettering) -> None:
    """Draw bold lines around ``box``, and ``tag`` beside it where there is room."""
    left, top, right, bottom = corners = _on_panel(box, panel, frame_size, _LEAST_BOLD)
    height, width = panel.shape[:2]
    edge, beyond = (
        2,
        2,
    )  # the line lies outside, so that a small object stays visible, and is whole at the border
    start = max(left - beyond, edge), max(top - beyond, edge)
    end = min(right + beyond, width - 1 - edge), min(bottom + beyond, height - 1 - edge)
    for line, thickness in ((_HALO, 7), (_LINE, 3)):
        cv2.rectangle(panel, start, end, line, thickness)
    _write_tag(panel, corners, tag, pen)


def _on_panel(box: Box, panel: Canvas, frame_size: tuple[int, int], least: int = _LEAST) -> Corners:
    """Return the corners of ``box`` on ``panel``, inside it and large enough to be seen."""
    height, width = panel.shape[:2]
    across, down = width / frame_size[1], height / frame_size[0]
    left, right = _side(box[0] * across, box[2] * across, width, least)
    top, bottom = _side(box[1] * down, box[3] * down, height, least)
    return left, top, right, bottom


def _side(low: float, high: float, size: int, least: int) -> tuple[int, int]:
    if high - low < least:
        low, high = (low + high - least) / 2, (low + high + least) / 2
    start = min(max(round(low), 0), size - 2)
    return start, min(max(round(high), start + 1), size - 1)


def _write_tag(panel: Canvas, corners: Corners, tag: Tag, pen: Lettering) -> None:
    """Write ``tag`` on a dark ground above the box, else below it, else inside its upper edge."""
    height, width = panel.shape[:2]
    left, top, _, bottom = corners
    tall, space = _TAG.size + 2 * _PADDING, width - 2 * _PADDING
    text = _fitting(tag, space, pen)
    if text is None:
        return
    wide = pen.width(text, _TAG) + 2 * _PADDING
    x = min(max(left - 3, 0), width - wide)
    if top - 4 - tall >= 0:
        y = top - 4 - tall
    elif bottom + 4 + tall <= height:
        y = bottom + 4
    else:
        y = min(top + 3, height - tall)
        x = min(x + 6, width - wide)
    panel[y : y + tall, x : x + wide] = _HALO
    pen.draw(panel, x + _PADDING, y + _PADDING + round(_TAG.size * 0.85), text, _TAG)


def _fitting(tag: Tag, space: int, pen: Lettering) -> str | None:
    """Return ``tag`` with its name cut so that it fits; None where nothing of the name would be left."""
    for letters in range(min(len(tag.name), _LONGEST), _SHORTEST - 1, -1):
        name = tag.name if letters == len(tag.name) else f"{tag.name[:letters].rstrip()}.."
        text = f"{name} {tag.chance}"
        if pen.width(text, _TAG) <= space:
            return text
    return None
