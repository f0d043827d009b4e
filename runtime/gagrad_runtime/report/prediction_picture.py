"""The picture of a prediction: the frame, what the model finds on it, and the answer in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gagrad_runtime.language import shown, text
from gagrad_runtime.language.numbers import percent
from gagrad_runtime.report.boxes import Tag, draw_boxes, draw_explained
from gagrad_runtime.report.colour import to_eight_bits
from gagrad_runtime.report.contours import draw_contours, draw_key
from gagrad_runtime.report.lettering import Style, lettering, printable
from gagrad_runtime.report.overlay import panel_size, scaled
from gagrad_runtime.report.sheet import Sheet

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gagrad_runtime.answer.prediction import Prediction
    from gagrad_runtime.frame.frame import Frame
    from gagrad_runtime.frame.placement import Placement

_MARGIN, _GAP = 28, 16
_BOX = (900, 1000)
"""Largest panel, height and width."""
_INK, _SOFT_INK = (24, 28, 34), (92, 98, 108)
_TITLE = Style(30, _INK, bold=True, lines=3)
_LINE = Style(20, _INK)
_SMALL = Style(16, _SOFT_INK, lines=3)
_LISTED = 12
"""Detections that are listed below the frame; all are drawn."""


def prediction_picture(
    said: Prediction, frame: Frame, placement: Placement, bundle: str
) -> NDArray[np.uint8]:
    """Return the picture as uint8 [h, w, 3] RGB.

    ``placement`` is where the frame is in the model's image, and ``bundle`` the bundle's name.
    """
    pen = lettering()
    size, note = panel_size(frame.height, frame.width, _BOX)
    panel, sixteen_bits = to_eight_bits(frame, scaled(frame.picture, size))
    frame_size = (frame.height, frame.width)
    found = said.detections
    draw_boxes(panel, [one.box for one in found[1:]], frame_size)
    if found:
        tag = Tag(printable(found[0].name, pen)[0], shown(percent(found[0].score)))
        draw_explained(panel, found[0].box, frame_size, tag, pen)
    around = draw_contours(panel, said.target, said, placement) if said.areas else None
    sheet = Sheet(max(size[1], 640), _MARGIN, pen)
    sheet.text(printable(shown(said.answer), pen)[0], _TITLE)
    sheet.y += _GAP
    sheet.paste(panel, 0, sheet.y)
    sheet.y += size[0] + _GAP
    draw_key(sheet, around)
    for number, one in enumerate(found[:_LISTED], start=1):
        box = ", ".join(f"{value:.0f}" for value in one.box)
        sheet.text(f"{number}  {printable(one.name, pen)[0]}  {shown(percent(one.score))}  ({box})", _LINE)
    if len(found) > _LISTED:
        sheet.text(text("and {count} more", count=len(found) - _LISTED), _LINE)
    frame_fact = text(
        "{file} · {height} high, {width} wide · bundle {bundle}",
        file=frame.name,
        height=frame.height,
        width=frame.width,
        bundle=bundle,
    )
    facts = [frame_fact, note, sixteen_bits]
    for fact in facts:
        if fact:
            sheet.text(printable(fact, pen)[0], _SMALL)
    return sheet.finish()
