"""The picture of an explanation: the frame, the frame with the map over it, the scale and the words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from gagrad_runtime.explanation.places import soften
from gagrad_runtime.explanation.scale import raw_map
from gagrad_runtime.frame.placement import resample
from gagrad_runtime.question.probability import share_text
from gagrad_runtime.report.boxes import draw_boxes, draw_explained
from gagrad_runtime.report.caption import write_caption
from gagrad_runtime.report.colour import colour_bar, overlay, scale_of, to_eight_bits
from gagrad_runtime.report.contours import draw_contours, draw_key
from gagrad_runtime.report.detection_words import DetectionWords
from gagrad_runtime.report.lettering import Style, lettering
from gagrad_runtime.report.marks import draw_roi_key, mark_places, mark_roi, places_line, write_roi_share
from gagrad_runtime.report.scale import colours as colours_of
from gagrad_runtime.report.sheet import Sheet
from gagrad_runtime.report.task_words import words_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gagrad_runtime.explanation.explanation import Explanation
    from gagrad_runtime.explanation.scale import GoodScale
    from gagrad_runtime.frame.frame import Frame
    from gagrad_runtime.frame.placement import Placement
    from gagrad_runtime.report.colour import Scale
    from gagrad_runtime.report.lettering import Lettering
    from gagrad_runtime.report.roi import RoiResult

    Canvas = NDArray[np.uint8]

_MARGIN, _GAP, _HEADING = 28, 24, 32
_SIDE_BY_SIDE = (720, 620)
"""Largest panel (height, width) when the two stand side by side."""
_STACKED = (300, 1120)
"""The same for wide frames, whose panels stand one above the other."""
_WIDE = 2.2
"""Width to height from which the panels are stacked."""
_LEAST = 48
"""Least height and width of a panel in pixels; a narrower frame is stretched to it, and a note says so."""
_ALL = 0.999
"""Share of the frame that the model must see for the picture to leave out the dashed line."""
_BESIDE = 0.05
"""Share of the map on the padding beside the frame, above which a note says so and the colours are scaled by
the whole map: scaled by the frame alone, the faint rest of the map would look like the place that matters."""
_TEXT_WIDTH, _COLUMN = 1000, 110
_BAR, _BAR_HEIGHT, _LEGEND = 24, (170, 420), 190
_INK, _SOFT_INK = (24, 28, 34), (92, 98, 108)
_CAUTION_INK, _CAUTION_PAPER, _CAUTION_SIGN = (84, 50, 0), (255, 243, 210), (217, 119, 0)
_TITLE = Style(30, _INK, bold=True, lines=3)
_ANSWER = Style(22, _INK, lines=3)
_LABEL = Style(19, _INK)
_SMALL = Style(16, _SOFT_INK, lines=3)
_CAUTION = Style(19, _CAUTION_INK)


def render(
    explanation: Explanation, *, roi: RoiResult | None = None, scale: GoodScale | None = None
) -> NDArray[np.uint8]:
    """Return the picture of ``explanation`` as uint8 [h, w, 3] RGB.

    Left (above, for a wide frame) is the frame as it came, right the same frame in dim grey under the
    colours of the map; ``roi`` adds the region's outline and its share, ``scale`` the colours of good
    parts. The text has the same size whatever the frame's. Every change that the display makes to the map
    or the frame is said in the caption.
    """
    pen = lettering()
    frame, placement = explanation.frame, explanation.placement
    stacked = frame.width / frame.height > _WIDE
    size, note = panel_size(frame.height, frame.width, _STACKED if stacked else _SIDE_BY_SIDE)
    picture, sixteen_bits = to_eight_bits(frame, scaled(frame.picture, size))
    softened, sigma = soften(explanation.saliency)
    if scale is not None:
        softened, sigma = raw_map(explanation)
    beside = 1 - placement.share_on_frame(explanation.saliency)
    on_panel = scaled(placement.to_frame(softened), size)
    colours = scale_of(softened if beside > _BESIDE else on_panel, sigma)
    if scale is not None:
        colours = colours_of(scale, sigma)
    over = overlay(picture, colours.shown(on_panel))
    contours = draw_contours(over, explanation.target, explanation.prediction, placement)
    if roi is not None:
        mark_roi(over, roi.zones)
    _mark_detections(explanation, picture, over, pen)
    mark_places(over, explanation.places, (frame.height, frame.width), pen)
    notes = [places_line(explanation.places), note, sixteen_bits, _channels_note(frame), colours.note]
    if placement.seen_share < _ALL:
        _mark_seen(over, placement)
        notes.append("the model sees only what is inside the dashed line")
    if beside > _BESIDE:
        notes.append(f"{share_text(beside)} of the map lies on the bars beside the frame, not shown here")
    caption = write_caption(explanation, pen, notes=tuple(note for note in notes if note))

    second = (0, size[0] + _GAP + _HEADING) if stacked else (max(size[1], _COLUMN) + _GAP, 0)
    content = second[0] + max(size[1], _COLUMN) + _LEGEND
    sheet = Sheet(max(content, _TEXT_WIDTH), _MARGIN, pen)
    sheet.text(caption.title, _TITLE)
    sheet.text(caption.answer, _ANSWER)
    sheet.y += 14
    for heading, panel, (x, below) in (("Frame", picture, (0, 0)), ("Looked at", over, second)):
        sheet.line(_MARGIN + x, sheet.y + below, heading, _LABEL)
        sheet.paste(panel, x, sheet.y + below + _HEADING)
    sheet.y += _HEADING
    bottom = max(_legend(sheet, content - _LEGEND + 18, second[1] + size[0], colours), second[1] + size[0])
    sheet.y += bottom + 20
    draw_key(sheet, contours)
    if roi is not None:
        draw_roi_key(sheet, roi)
        write_roi_share(sheet, roi)
        sheet.y += 8
    for text in caption.cautions:
        sheet.warning(text, _CAUTION, _CAUTION_PAPER, _CAUTION_SIGN)
        sheet.y += 8
    for fact in caption.facts:
        sheet.text(fact, _SMALL)
    return sheet.finish()


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
        return f"the picture shows channel {last}, of {frame.channels}"
    names = f"{', '.join(others)} and {last}"
    return f"the picture shows channels {names} as red, green and blue, of {frame.channels}"


def panel_size(height: int, width: int, box: tuple[int, int]) -> tuple[tuple[int, int], str | None]:
    """Return the panel's (height, width) inside ``box``, and a note when it has other proportions."""
    scale = min(box[0] / height, box[1] / width)
    fitted = (round(height * scale), round(width * scale))
    size = (max(fitted[0], _LEAST), max(fitted[1], _LEAST))
    return size, None if size == fitted else "the frame is very long; it is drawn thicker than it is"


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


def _legend(sheet: Sheet, x: int, height: int, scale: Scale) -> int:
    """Draw the colour bar with its words at ``x``, about as high as the panels; return its height."""
    height = min(max(height, _BAR_HEIGHT[0]), _BAR_HEIGHT[1])
    sheet.paste(colour_bar(height, _BAR), x, sheet.y)
    words = (
        (0.0, "most" if scale.good_parts is None else "twice as much", f"{scale.top:.2g} and above"),
        (0.5, "half as much" if scale.good_parts is None else "good parts", f"{scale.top / 2:.2g}"),
        (1.0, "not at all", "0"),
    )
    for share, word, value in words:
        y = sheet.y + round(share * (height - 1))
        sheet.paste(np.full((1, 6, 3), _SOFT_INK, np.uint8), x + _BAR, y)
        y -= round(share * 44)
        sheet.line(_MARGIN + x + _BAR + 12, y - 2, word, _LABEL)
        sheet.line(_MARGIN + x + _BAR + 12, y + 22, value, _SMALL)
    return height
