"""The picture of an explanation: the frame, the frame with the map over it, the scale and the words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gagrad_runtime.language import listed, marked, text
from gagrad_runtime.report.boxes import draw_boxes, draw_explained
from gagrad_runtime.report.caption import write_caption
from gagrad_runtime.report.colour import colour_bar, to_eight_bits
from gagrad_runtime.report.contours import draw_contours, draw_key
from gagrad_runtime.report.detection_words import DetectionWords
from gagrad_runtime.report.evidence import numbered
from gagrad_runtime.report.lettering import Style, lettering
from gagrad_runtime.report.marks import draw_roi_key, mark_roi, write_roi_share
from gagrad_runtime.report.overlay import draw_map, panel_size, scaled
from gagrad_runtime.report.place_marks import mark_places
from gagrad_runtime.report.received import differences
from gagrad_runtime.report.sheet import Sheet
from gagrad_runtime.report.task_words import words_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gagrad_runtime.explanation.explanation import Explanation
    from gagrad_runtime.explanation.scale import GoodScale
    from gagrad_runtime.frame.frame import Frame
    from gagrad_runtime.report.caption import Caption
    from gagrad_runtime.report.colour import Scale
    from gagrad_runtime.report.lettering import Lettering
    from gagrad_runtime.report.roi import RoiResult

    Canvas = NDArray[np.uint8]

_MARGIN, _GAP, _HEADING = 28, 24, 32
_SIDE_BY_SIDE = (720, 620)
"""Largest panel (height, width) when the two stand side by side."""
_THREE = (620, 440)
"""The same for three panels."""
_STACKED = (300, 1120)
"""The same for wide frames, whose panels stand one above the other."""
_WIDE = 2.2
"""Width to height from which the panels are stacked."""
_LEAST_RECEIVED = 200
"""Height in pixels from which the model's image may be higher than the panel of a very wide frame."""
_TEXT_WIDTH, _COLUMN = 1000, 110
_BAR, _BAR_HEIGHT, _LEGEND = 24, (170, 420), 190
_INK, _SOFT_INK = (24, 28, 34), (92, 98, 108)
_CAUTION_INK, _CAUTION_PAPER, _CAUTION_SIGN = (84, 50, 0), (255, 243, 210), (217, 119, 0)
_TITLE = Style(30, _INK, bold=True, lines=3)
_ANSWER = Style(22, _INK, lines=3)
_LABEL = Style(19, _INK)
_SMALL = Style(16, _SOFT_INK, lines=3)
_RECEIVED = Style(19, _SOFT_INK)
_EVIDENCE = Style(21, _INK, bold=True)
_STRENGTH = {
    "strong": marked("Strong evidence: one place decides."),
    "weak": marked("Weak evidence for a place."),
    "none": marked("No evidence for any one place."),
}
_CAUTION = Style(19, _CAUTION_INK)


def render(
    explanation: Explanation, *, roi: RoiResult | None = None, scale: GoodScale | None = None
) -> NDArray[np.uint8]:
    """Return the picture of ``explanation`` as uint8 [h, w, 3] RGB.

    From left to right (from above, for a wide frame): what the model got, where that differs visibly from the
    frame; the frame; the same frame in dim grey under the colours of the map. ``roi`` adds the region's
    outline and its share, ``scale`` the colours of good parts. The text has the same size whatever the
    frame's. Every change that the display makes to the map or the frame is said in the caption.
    """
    pen, frame = lettering(), explanation.frame
    stacked = frame.width / frame.height > _WIDE
    received = explanation.received if differences(explanation) else None
    box = _STACKED if stacked else _SIDE_BY_SIDE if received is None else _THREE
    size, thick = panel_size(frame.height, frame.width, box)
    picture, stretched_note = to_eight_bits(frame, scaled(frame.picture, size))
    drawn = draw_map(explanation, picture, scale)
    over = drawn.panel
    contours = draw_contours(over, explanation.target, explanation.prediction, explanation.placement)
    if roi is not None:
        mark_roi(over, roi.zones)
    _mark_detections(explanation, picture, over, pen)
    box_drawn = explanation.target.box
    avoid = () if box_drawn is None else (box_drawn,)
    mark_places(over, numbered(explanation), (frame.height, frame.width), pen, avoid=avoid)
    notes = [stretched_note, thick, _channels_note(frame), *drawn.notes]
    caption = write_caption(explanation, pen, notes=tuple(note for note in notes if note))
    heading = text("Frame, stretched for viewing") if stretched_note else text("Frame")
    panels = [(heading, picture), (text("Looked at"), over)]
    if received is not None:
        panels.insert(0, (text("What the model got"), _received_panel(received, size, box)))
    places, extent = _arranged(panels, pen, stacked=stacked)

    sheet = Sheet(max(extent[1] + _LEGEND, _TEXT_WIDTH), _MARGIN, pen)
    sheet.text(caption.title, _TITLE)
    _write_answer(sheet, caption)
    sheet.y += 14
    for (heading, panel), (x, y) in zip(panels, places, strict=True):
        sheet.line(_MARGIN + x, sheet.y + y, heading, _LABEL)
        sheet.paste(panel, x, sheet.y + y + _HEADING)
    sheet.y += _HEADING
    sheet.y += max(_legend(sheet, extent[1] + 18, extent[0], drawn.colours), extent[0]) + 20
    draw_key(sheet, contours)
    if roi is not None:
        draw_roi_key(sheet, roi)
        write_roi_share(sheet, roi)
        sheet.y += 8
    if caption.received is not None:
        sheet.text(caption.received, _RECEIVED)
        sheet.y += 8
    _write_evidence(sheet, caption)
    for caution in caption.cautions:
        sheet.warning(caution, _CAUTION, _CAUTION_PAPER, _CAUTION_SIGN)
        sheet.y += 8
    for fact in caption.facts:
        sheet.text(fact, _SMALL)
    return sheet.finish()


def _write_answer(sheet: Sheet, caption: Caption) -> None:
    """Write the answer, on the colour of the verdict where there is one."""
    if caption.verdict is None:
        sheet.text(caption.answer, _ANSWER)
        return
    sheet.y += 6
    sheet.verdict(caption.verdict, caption.answer, _ANSWER)


def _write_evidence(sheet: Sheet, caption: Caption) -> None:
    """Write how strong the evidence is, what it is, and where the places are."""
    if caption.strength is not None:
        sheet.text(text(_STRENGTH[caption.strength]), _EVIDENCE)
    for line in (*caption.evidence, *caption.places):
        sheet.text(line, _LABEL)
    if caption.evidence or caption.places:
        sheet.y += 10


def _received_panel(received: Canvas, size: tuple[int, int], box: tuple[int, int]) -> Canvas:
    """Return the model's image, as high as the frame's panel where the ``box`` of a panel allows it."""
    height, width = received.shape[:2]
    scale = min(max(size[0], _LEAST_RECEIVED) / height, box[1] / width)
    fitted = (max(round(height * scale), 1), max(round(width * scale), 1))
    eight = np.clip(np.rint(scaled(received, fitted)), 0, 255).astype(np.uint8)
    return eight if eight.ndim == 3 else np.repeat(eight[..., None], 3, axis=2)


def _arranged(
    panels: list[tuple[str, Canvas]], pen: Lettering, *, stacked: bool
) -> tuple[list[tuple[int, int]], tuple[int, int]]:
    """Return where each panel's heading starts, (x, y), and the (height, width) of all without a heading."""
    places, x, y, height, width = [], 0, 0, 0, 0
    for heading, panel in panels:
        places.append((x, y))
        column = max(panel.shape[1], pen.width(heading, _LABEL), _COLUMN)
        height, width = max(height, y + panel.shape[0]), max(width, x + column)
        if stacked:
            y += panel.shape[0] + _GAP + _HEADING
        else:
            x += column + _GAP
    return places, (height, width)


def _mark_detections(explanation: Explanation, picture: Canvas, over: Canvas, pen: Lettering) -> None:
    """Draw what a detector found onto the frame, and the explained box onto the map too."""
    words, box = words_of(explanation), explanation.target.box
    if not isinstance(words, DetectionWords) or box is None:
        return
    size = (explanation.frame.height, explanation.frame.width)
    draw_boxes(picture, [one.box for one in words.found if one.box != box], size)
    draw_explained(picture, box, size, words.tag(pen), pen)
    draw_boxes(over, [box], size)


def _channels_note(frame: Frame) -> str | None:
    """Return which channels the picture shows; None for grey and colours."""
    if not frame.shown:
        return None
    *others, last = frame.shown.values()
    if not others:
        return text("the picture shows channel {name}, of {count}", name=last, count=frame.channels)
    return text(
        "the picture shows channels {names} and {last} as red, green and blue, of {count}",
        names=listed(others),
        last=last,
        count=frame.channels,
    )


def _legend(sheet: Sheet, x: int, height: int, scale: Scale) -> int:
    """Draw the colour bar with its words at ``x``, about as high as the panels; return its height."""
    height = min(max(height, _BAR_HEIGHT[0]), _BAR_HEIGHT[1])
    sheet.paste(colour_bar(height, _BAR), x, sheet.y)
    alone = scale.good_parts is None
    words = (
        (
            0.0,
            text("most") if alone else text("twice as much"),
            text("{value} and above", value=f"{scale.top:.2g}"),
        ),
        (0.5, text("half as much") if alone else text("good parts"), f"{scale.top / 2:.2g}"),
        (1.0, text("not at all"), "0"),
    )
    for share, word, value in words:
        y = sheet.y + round(share * (height - 1))
        sheet.paste(np.full((1, 6, 3), _SOFT_INK, np.uint8), x + _BAR, y)
        y -= round(share * 44)
        sheet.line(_MARGIN + x + _BAR + 12, y - 2, word, _LABEL)
        sheet.line(_MARGIN + x + _BAR + 12, y + 22, value, _SMALL)
    return height
