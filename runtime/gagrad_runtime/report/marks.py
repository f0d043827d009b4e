"""Marks of the region of interest on the picture: its outline, its ignore zones, its share and verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from gagrad_runtime.frame.placement import resample
from gagrad_runtime.language import text
from gagrad_runtime.language.numbers import share_text
from gagrad_runtime.report.lettering import Style

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gagrad_runtime.report.roi import RoiResult, Zones
    from gagrad_runtime.report.sheet import Sheet

    Canvas = NDArray[np.uint8]

# The map's colours run from violet to yellow: cyan differs from them on every print and for every eye.
_OUTLINE, _HALO = (90, 220, 255), (10, 20, 30)
_HATCH = 9
"""Distance in pixels between the stripes over an ignore zone."""
_KEY = Style(16, (92, 98, 108), lines=2)
_PASS = ((24, 84, 40), (226, 244, 230))
_FAIL = ((122, 24, 24), (252, 228, 226))
_NEUTRAL = ((40, 60, 80), (232, 240, 246))
_VERDICT = 20


def mark_roi(panel: Canvas, zones: Zones) -> None:
    """Draw the region's outline, and stripes over its ignore zones, onto ``panel`` (the frame, scaled)."""
    inside, ignore = (_at(zone, panel) for zone in (zones.inside, zones.ignore))
    y, x = np.mgrid[: panel.shape[0], : panel.shape[1]]
    panel[ignore & ((x + y) % _HATCH < 2)] = _OUTLINE
    outline(panel, ignore, 1)
    outline(panel, inside, 2)


def draw_roi_key(sheet: Sheet, roi: RoiResult) -> None:
    """Draw the key below the panels: what the outline and the stripes mean."""
    entries = [("line", text("inside the line: where it should look"))]
    if roi.zones.ignore.any():
        entries.append(("stripes", text("striped: not counted")))
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
    said = text("{share} of what it looked at lies inside the line", share=share_text(roi.share))
    if roi.zones.ignore.any():
        ignored = share_text(roi.ignored)
        said = text("{said} ({share} in striped zones is not counted)", said=said, share=ignored)
    if roi.passed is None:
        sheet.strip(text("{sentence}.", sentence=said), Style(_VERDICT, _NEUTRAL[0]), _NEUTRAL[1])
        return
    ink, paper = _PASS if roi.passed else _FAIL
    said = text("{said}; at least {limit} % is asked for", said=said, limit=f"{(roi.limit or 0) * 100:g}")
    if roi.flat:
        said = text("the map says nothing, as it is the same everywhere")
    outcome = text("PASS: {said}.", said=said) if roi.passed else text("FAIL: {said}.", said=said)
    sheet.strip(outcome, Style(_VERDICT, ink), paper)


def _at(zone: NDArray[np.bool_], panel: Canvas) -> NDArray[np.bool_]:
    scaled: NDArray[np.bool_] = resample(zone, panel.shape[:2]) >= 0.5
    return scaled


def outline(panel: Canvas, zone: NDArray[np.bool_], width: int) -> None:
    """Draw the border of ``zone [h, w]`` onto ``panel [h, w, 3]``."""
    lines, _ = cv2.findContours(zone.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(panel, lines, -1, _HALO, width + 2)
    cv2.drawContours(panel, lines, -1, _OUTLINE, width)
