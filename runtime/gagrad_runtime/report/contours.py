"""Contours: a line around what the model itself found, on the picture, and its key."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from gagrad_runtime.frame.placement import resample
from gagrad_runtime.language import text
from gagrad_runtime.report.lettering import Style
from gagrad_runtime.report.region_words import region_name

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gagrad_runtime.answer.prediction import Prediction
    from gagrad_runtime.frame.placement import Placement
    from gagrad_runtime.question.target import Target
    from gagrad_runtime.report.sheet import Sheet

    Canvas = NDArray[np.uint8]
    Array = NDArray[np.float32]

_LINE, _HALO = (255, 255, 255), (10, 20, 30)
_KEY = Style(16, (92, 98, 108), lines=2)


def contours_of(target: Target, prediction: Prediction | None) -> tuple[Array, str] | None:
    """Return the cells [h, w], 0 or 1, of what is drawn, and what the line is around; None without any.

    That is the region that is explained, and for the score of an image the places of the model's own anomaly
    map that reach its limit.
    """
    region = target.region
    if region is not None:
        return region.cells, text("the line: {what}", what=_around(target))
    if prediction is None or prediction.anomaly_map is None or prediction.map_threshold is None:
        return None
    cells = (prediction.anomaly_map >= prediction.map_threshold).astype(np.float32)
    return (
        (cells, text("the line: where the model's own anomaly map is above its limit"))
        if cells.any()
        else None
    )


def _around(target: Target) -> str:
    assert target.region is not None  # noqa: S101 - the caller has looked
    if not target.region.found:
        return text("what is explained")
    name = target.region.name
    if name == "where it is predicted":
        return text('where the model finds "{name}"', name=target.name)
    return region_name(name)


def draw_contours(
    panel: Canvas, target: Target, prediction: Prediction | None, placement: Placement
) -> str | None:
    """Draw ``contours_of`` onto ``panel`` (the frame, scaled), and return what the line is around."""
    found = contours_of(target, prediction)
    if found is None:
        return None
    cells, words = found
    on_frame = placement.to_frame(resample(cells, placement.model_size))
    zone = resample(on_frame, panel.shape[:2]) >= 0.5
    lines, _ = cv2.findContours(zone.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(panel, lines, -1, _HALO, 3)
    cv2.drawContours(panel, lines, -1, _LINE, 1)
    return words


def draw_key(sheet: Sheet, words: str | None) -> None:
    """Draw the key below the panels: what the line is around; nothing without a line."""
    if words is None:
        return
    swatch = np.full((18, 34, 3), _HALO, np.uint8)
    swatch[4:-4, 4:-4], swatch[5:-5, 5:-5] = _LINE, _HALO
    sheet.paste(swatch, 0, sheet.y)
    sheet.line(sheet.margin + 44, sheet.y - 1, words, _KEY)
    sheet.y += 28
