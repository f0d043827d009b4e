"""Marks of places: a ring on each numbered spot, and its number beside it, whatever the panel's shape.

A ring is around the middle of a place; one that only something else points at has brackets. The number
stands on a dark tag, so that it can be read on bright and on dark ground, and never on another number.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import cv2

from gagrad_runtime.report.lettering import Style

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from gagrad_runtime.explanation.places import Place
    from gagrad_runtime.report.lettering import Lettering

    Canvas = NDArray[np.uint8]

_GROUND = (10, 20, 30)
_LINE = (190, 215, 230)
"""Colour of rings and numbers; not white, so that nothing is brighter than the top of the map."""
_DIGIT = 18
_RING, _LEAST_RING = 13, 4
"""Radius of a ring in pixels; on a panel of few pixels it is smaller."""
_NEAR = 7
"""Distance from its spot, in radii of a ring, to which a number gives way to a box."""
_TURNS = (-45, 0, 45, -135, 180, 135, -90, 90)
"""Directions in degrees, clockwise from the right, in which a number is tried: to the upper right first."""


class _Box(NamedTuple):
    left: int
    top: int
    width: int
    height: int

    def distance(self, spot: tuple[int, int]) -> float:
        """Return the distance in pixels of the middle from ``spot``."""
        return math.dist(spot, (self.left + self.width / 2, self.top + self.height / 2))

    def overlap(self, other: _Box) -> int:
        """Return the area in pixels that both cover."""
        across = min(self.left + self.width, other.left + other.width) - max(self.left, other.left)
        down = min(self.top + self.height, other.top + other.height) - max(self.top, other.top)
        return max(across, 0) * max(down, 0)


def mark_places(
    panel: Canvas,
    places: Sequence[tuple[int, Place]],
    frame_size: tuple[int, int],
    pen: Lettering,
    *,
    scale: float = 1.0,
    avoid: Sequence[tuple[float, float, float, float]] = (),
) -> None:
    """Draw rings and numbers of the numbered ``places`` onto ``panel`` (the frame, scaled).

    ``scale`` is the size of the marks, for a panel that is looked at from farther away. ``avoid`` are boxes
    of the frame (left, top, right, bottom) that are drawn, too: the numbers stand beside them where they can.
    """
    height, width = panel.shape[:2]
    radius = max(min(round(_RING * scale), min(height, width) // 6), _LEAST_RING)
    spots = []
    across, down = width / frame_size[1], height / frame_size[0]
    for _, one in places:
        x, y = one.middle[0] * across, one.middle[1] * down
        spots.append((_within(x, radius, width), _within(y, radius, height)))
    for (_, one), spot in zip(places, spots, strict=True):
        _ring(panel, spot, radius, round(max(scale, 1)), broken=one.evidence != "map")
    style = Style(round(_DIGIT * scale), _LINE, bold=True)
    rings = [_Box(x - radius, y - radius, 2 * radius, 2 * radius) for x, y in spots]
    tags: list[_Box] = []
    drawn = [
        _Box(round(box[0] * across), round(box[1] * down), round((box[2] - box[0]) * across) + 3,
             round((box[3] - box[1]) * down) + 3)
        for box in avoid
    ]  # fmt: skip
    for (number, _), spot in zip(places, spots, strict=True):
        tall = style.size + 4
        size = (max(pen.width(str(number), style) + 8, tall), tall)
        tag = _free(size, spot, radius, (height, width), (drawn, rings, tags))
        _tag(panel, tag, number, style, pen)
        tags.append(tag)


def _within(at: float, radius: int, size: int) -> int:
    """Return the pixel ``at``, moved so that a ring around it is on the panel."""
    low, high = radius + 2, size - radius - 3
    return size // 2 if low > high else min(max(round(at), low), high)


def _ring(panel: Canvas, spot: tuple[int, int], radius: int, line: int, *, broken: bool) -> None:
    """Draw a ring around ``spot``, or the corners of a square where it is ``broken``."""
    for colour, thickness in ((_GROUND, 3 * line + 1), (_LINE, line + 1)):
        if not broken:
            cv2.circle(panel, spot, radius, colour, thickness, cv2.LINE_AA)
            continue
        (x, y), arm = spot, max(radius * 2 // 3, 2)
        for across, down in ((-1, -1), (1, -1), (1, 1), (-1, 1)):
            corner = (x + across * radius, y + down * radius)
            cv2.line(panel, corner, (corner[0] - across * arm, corner[1]), colour, thickness)
            cv2.line(panel, corner, (corner[0], corner[1] - down * arm), colour, thickness)


def _free(
    size: tuple[int, int],
    spot: tuple[int, int],
    radius: int,
    panel: tuple[int, int],
    in_the_way: tuple[Sequence[_Box], Sequence[_Box], Sequence[_Box]],
) -> _Box:
    """Return where a tag of ``size`` (width, height) stands: near ``spot``, on the panel, on no other tag.

    ``in_the_way`` are what else is drawn, the rings, and the tags. The tag is off the first where there is
    room within a few ring's widths, and off the second where there is any.
    """
    drawn, rings, tags = in_the_way
    tried = list(_around(size, spot, radius, panel))
    near = [box for box in tried if box.distance(spot) < _NEAR * radius]
    for boxes, others in ((near, (*drawn, *rings, *tags)), (tried, (*rings, *tags)), (tried, tuple(tags))):
        for box in boxes:
            if not any(box.overlap(other) for other in others):
                return box
    return min(tried, key=lambda box: sum(box.overlap(other) for other in tags))


def _around(
    size: tuple[int, int], spot: tuple[int, int], radius: int, panel: tuple[int, int]
) -> Iterable[_Box]:
    """Yield the boxes of ``size`` on ``panel`` (height, width), those beside ``spot`` first."""
    wide, tall = size
    step = max(tall // 2, 4)
    for distance in range(radius + 3, radius + 3 + max(panel), step):
        for turn in _TURNS:
            across, down = math.cos(math.radians(turn)), math.sin(math.radians(turn))
            # From the spot to the tag's middle: the distance, and half of the tag in that direction.
            x = spot[0] + across * distance + _sign(across) * wide / 2
            y = spot[1] + down * distance + _sign(down) * tall / 2
            yield _on_panel(x - wide / 2, y - tall / 2, size, panel)


def _on_panel(left: float, top: float, size: tuple[int, int], panel: tuple[int, int]) -> _Box:
    return _Box(
        max(min(round(left), panel[1] - size[0]), 0), max(min(round(top), panel[0] - size[1]), 0), *size
    )


def _sign(value: float) -> int:
    return 0 if abs(value) < 1e-6 else 1 if value > 0 else -1


def _tag(panel: Canvas, box: _Box, number: int, style: Style, pen: Lettering) -> None:
    """Write ``number`` on a dark ground into ``box``."""
    right, bottom = box.left + box.width, box.top + box.height
    panel[box.top : bottom, box.left : right] = _GROUND
    line = max(style.size // _DIGIT, 1)
    cv2.rectangle(panel, (box.left, box.top), (right - 1, bottom - 1), _LINE, line)
    x = box.left + (box.width - pen.width(str(number), style)) // 2
    pen.draw(panel, x, box.top + 2 + round(style.size * 0.86), str(number), style)
