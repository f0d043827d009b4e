"""Marks on the picture: numbers at the salient places, and the outline of the region of interest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from gagrad_runtime.frame.placement import resample
from gagrad_runtime.question.probability import share_text
from gagrad_runtime.report.lettering import Style

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gagrad_runtime.explanation.places import Place
    from gagrad_runtime.report.lettering import Lettering
    from gagrad_runtime.report.roi import RoiResult, Zones
    from gagrad_runtime.report.sheet import Sheet

    Canvas = NDArray[np.uint8]

NUMBERED = 3
"""Number of salient places that get a number; more numbers would hide the map."""
_LEAST_SHARE = 0.05
"""Share of the map, 0..1, below which a place gets no number."""

# The map's colours run from violet to yellow: cyan differs from them on every print and for every eye.
_OUTLINE, _HALO = (90, 220, 255), (10, 20, 30)
_DIGIT = (190, 215, 230)
"""Colour of the numbers;
not white, so that nothing on the panel is brighter than the top of the map."""
_HATCH = 9
"""Distance in pixels between the stripes over an ignore zone."""
_KEY = Style(16, (92, 98, 108), lines=2)
_PASS = ((24, 84, 40), (226, 244, 230))
_FAIL = ((122, 24, 24), (252, 228, 226))
_NEUTRAL = ((40, 60, 80), (232, 240, 246))
_VERDICT = 20


def numbered(places: Sequence[Place]) -> tuple[Place, ...]:
    """Return the places that get a number on the picture and a share in the caption."""
    return tuple(one for one in places[:NUMBERED] if one.share >= _LEAST_SHARE)


def mark_places(panel: Canvas, places: Sequence[Place], frame_size: tuple[int, int], pen: Lettering) -> None:
    """Write 1, 2, 3 beside the largest of ``places`` onto ``panel`` (the frame, scaled)."""
    height, width = panel.shape[:2]
    down, across = height / frame_size[0], width / frame_size[1]
    for number, one in enumerate(numbered(places), start=1):
        _, top, right, _ = one.box
        # Beside the upper right corner: a number on the place would hide the place.
        x = min(max(round(right * across) + 2, 2), width - 14)
        y = min(max(round(top * down) + 10, 18), height - 4)
        for dx, dy in ((-1, 0), (1, 0), (0, -1), (0, 1)):
            pen.draw(panel, x + dx, y + dy, str(number), Style(18, _HALO, bold=True))
        pen.draw(panel, x, y, str(number), Style(18, _DIGIT, bold=True))


def places_line(places: Sequence[Place]) -> str | None:
    """Return the caption's sentence with the share of each numbered place; None without numbered places."""
    shares = [f"{share_text(one.share)} ({n})" for n, one in enumerate(numbered(places), start=1)]
    return f"the numbered places hold {', '.join(shares)} of the map" if shares else None


def mark_roi(panel: Canvas, zones: Zones) -> None:
    """Draw the region's outline, and stripes over its ignore zones, onto ``panel`` (the frame, scaled)."""
    inside, ignore = (_at(zone, panel) for zone in (zones.inside, zones.ignore))
    y, x = np.mgrid[: panel.shape[0], : panel.shape[1]]
    panel[ignore & ((x + y) % _HATCH < 2)] = _OUTLINE
    outline(panel, ignore, 1)
    outline(panel, inside, 2)


def draw_roi_key(sheet: Sheet, roi: RoiResult) -> None:
    """Draw the key below the panels: what the outline and the stripes mean."""
    entries = [("line", "inside the line: where it should look")]
    if roi.zones.ignore.any():
        entries.append(("stripes", "striped: not counted"))
    x = 0
    for kind, words in entries:
        swatch = np.full((18, 34, 3), _HALO, np.uint8)
        if kind == "line":
            swatch[3:-3, 3:-3], swatch[5:-5, 5:-5] = _OUTLINE, _HALO
        else:
            rows, columns = np.mgrid[:18, :34]
            swatch[(rows + columns) % _HATCH < 2] = _OUTLINE
        sheet.paste(swatch, x, sheet.y)
        sheet.line(sheet.margin + x + 44, sheet.y - 1, words, _KEY)
        x += 400
    sheet.y += 28


def write_roi_share(sheet: Sheet, roi: RoiResult) -> None:
    """Write a coloured strip below the panels: the share of the map inside the region, and PASS or FAIL."""
    said = f"{share_text(roi.share)} of what it looked at lies inside the line"
    if roi.zones.ignore.any():
        said += f" ({share_text(roi.ignored)} in striped zones is not counted)"
    if roi.passed is None:
        sheet.strip(f"{said}.", Style(_VERDICT, _NEUTRAL[0]), _NEUTRAL[1])
        return
    ink, paper = _PASS if roi.passed else _FAIL
    asked = f"at least {(roi.limit or 0) * 100:g} % is asked for"
    said = "the map says nothing, as it is the same everywhere" if roi.flat else f"{said}; {asked}"
    sheet.strip(f"{'PASS' if roi.passed else 'FAIL'}: {said}.", Style(_VERDICT, ink), paper)


def _at(zone: NDArray[np.bool_], panel: Canvas) -> NDArray[np.bool_]:
    scaled: NDArray[np.bool_] = resample(zone, panel.shape[:2]) >= 0.5
    return scaled


def outline(panel: Canvas, zone: NDArray[np.bool_], width: int) -> None:
    """Draw the border of ``zone [h, w]`` onto ``panel [h, w, 3]``."""
    lines, _ = cv2.findContours(zone.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(panel, lines, -1, _HALO, width + 2)
    cv2.drawContours(panel, lines, -1, _OUTLINE, width)
