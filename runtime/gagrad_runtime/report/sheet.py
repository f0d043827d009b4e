"""Sheet: white pixels that grow downwards as panels and lines of text are added."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from gagrad_runtime.report.lettering import Style
from gagrad_runtime.report.line_breaks import Piece, pieces

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gagrad_runtime.report.lettering import Lettering
    from gagrad_runtime.report.verdicts import Verdict

    Canvas = NDArray[np.uint8]
    Rgb = tuple[int, int, int]

_PAPER = 255
_LINE = 1.4
"""Distance between lines, in units of the letters' size."""

_WHITE = (255, 255, 255)
_VERDICTS: dict[Verdict, tuple[Rgb, Rgb]] = {
    "OK": ((16, 112, 52), (226, 244, 230)),
    "NG": ((184, 24, 24), (252, 228, 226)),
}
"""Colours of the floor: of the badge, and of the strip behind the words."""


class Sheet:
    """Pixels [h, w, 3] RGB, ``width`` wide between margins; the cursor ``y`` is where the next row starts."""

    def __init__(self, width: int, margin: int, pen: Lettering) -> None:
        self.width, self.margin, self.y = width, margin, margin
        self._pen = pen
        self._pixels = np.full((1024, width + 2 * margin, 3), _PAPER, np.uint8)

    def text(self, text: str, style: Style, *, indent: int = 0) -> None:
        """Write ``text``, wrapped, ``indent`` pixels from the margin; the cursor moves below the text."""
        for line in wrap(text, self.width - 2 * indent, style, self._pen):
            self.line(self.margin + indent, self.y, line, style)
            self.y += round(style.size * _LINE)

    def line(self, x: int, y: int, text: str, style: Style) -> None:
        """Write ``text`` as one line whose row starts at ``y``; the cursor stays."""
        self._grow(y + 2 * style.size)
        baseline = y + round(style.size * 1.08)
        self._pen.draw(self._pixels, x, baseline, text, style)

    def paste(self, panel: Canvas, x: int, y: int) -> None:
        """Put ``panel [h, w, 3]`` at ``x`` (from the left margin) and ``y``; the cursor stays."""
        self._grow(y + len(panel))
        x += self.margin
        self._pixels[y : y + len(panel), x : x + panel.shape[1]] = panel

    def warning(self, text: str, style: Style, paper: Rgb, sign: Rgb) -> None:
        """Write ``text`` on a coloured strip after a warning triangle; the cursor moves below the strip."""
        indent, padding = 52, 10
        lines = wrap(text, self.width - indent - padding, style, self._pen)
        height = round(len(lines) * style.size * _LINE) + 2 * padding
        self._grow(self.y + height)
        strip = self._pixels[self.y : self.y + height, self.margin : self.margin + self.width]
        strip[:] = paper
        self._sign(self.margin + 12, self.y + padding - 1, sign)
        self.y += padding
        for line in lines:
            self.line(self.margin + indent, self.y, line, style)
            self.y += round(style.size * _LINE)
        self.y += padding

    def strip(self, text: str, style: Style, paper: Rgb) -> None:
        """Write ``text`` on a coloured strip as wide as the sheet; the cursor moves below the strip."""
        padding = 10
        lines = wrap(text, self.width - 2 * padding, style, self._pen)
        height = round(len(lines) * style.size * _LINE) + 2 * padding
        self._grow(self.y + height)
        self._pixels[self.y : self.y + height, self.margin : self.margin + self.width] = paper
        for number, line in enumerate(lines):
            below = self.y + padding + number * round(style.size * _LINE)
            self.line(self.margin + padding, below, line, style)
        self.y += height

    def verdict(self, verdict: Verdict, text: str, style: Style) -> None:
        """Write ``text`` on a strip that begins with the verdict; the cursor moves below the strip.

        OK is a ring on green, NG a cross on red: the form says it too, for the colour-blind and on a
        black-and-white print.
        """
        solid, pale = _VERDICTS[verdict]
        badge, padding = 108, 11
        lines = wrap(text, self.width - badge - 2 * padding, style, self._pen)
        height = round(len(lines) * style.size * _LINE) + 2 * padding
        self._grow(self.y + height)
        strip = self._pixels[self.y : self.y + height, self.margin : self.margin + self.width]
        strip[:], strip[:, :badge] = pale, solid
        middle = self.y + height // 2
        self._form(verdict, self.margin + 28, middle)
        self.line(self.margin + 52, middle - 16, verdict, Style(26, _WHITE, bold=True))
        for number, line in enumerate(lines):
            below = self.y + padding + number * round(style.size * _LINE)
            self.line(self.margin + badge + padding, below, line, style)
        self.y += height

    def _form(self, verdict: Verdict, x: int, y: int) -> None:
        if verdict == "OK":
            cv2.circle(self._pixels, (x, y), 12, _WHITE, 4, cv2.LINE_AA)
            return
        for down in (-1, 1):
            start, end = (x - 11, y - 11 * down), (x + 11, y + 11 * down)
            cv2.line(self._pixels, start, end, _WHITE, 5, cv2.LINE_AA)

    def _sign(self, x: int, y: int, colour: Rgb) -> None:
        # Drawn as shapes: not every font has the warning sign. Shift 4: sixteenths of a pixel.
        corners = np.array([[x + 14, y], [x + 28, y + 26], [x, y + 26]], np.int32) * 16
        cv2.fillPoly(self._pixels, [corners], colour, cv2.LINE_AA, 4)
        white = (_PAPER, _PAPER, _PAPER)
        cv2.line(self._pixels, (x + 14, y + 10), (x + 14, y + 17), white, 3, cv2.LINE_AA)
        cv2.circle(self._pixels, ((x + 14) * 16, (y + 22) * 16), 28, white, -1, cv2.LINE_AA, 4)

    def finish(self) -> Canvas:
        """Return the pixels from the top to one margin below the cursor."""
        self._grow(self.y + self.margin)
        pixels: Canvas = self._pixels[: self.y + self.margin].copy()
        return pixels

    def _grow(self, height: int) -> None:
        if height > len(self._pixels):
            more = np.full((max(height - len(self._pixels), 512), *self._pixels.shape[1:]), _PAPER, np.uint8)
            self._pixels = np.concatenate([self._pixels, more])


def wrap(text: str, width: int, style: Style, pen: Lettering) -> list[str]:
    """Split ``text`` into lines of at most ``width`` pixels: inside a piece only if it must."""
    lines, line = [], ""
    pending = pieces(text)
    while pending:
        space, word = pending.pop(0)
        tried = f"{line}{space}{word}" if line else word
        if pen.width(tried, style) <= width:
            line = tried
        elif line:
            lines.append(line)
            line, pending = "", [Piece(space, word), *pending]
        else:
            fits = _fitting(word, width, style, pen)
            lines.append(word[:fits])
            pending = [Piece(space, word[fits:]), *pending]
    lines.append(line)
    if len(lines) > style.lines:
        last = lines[style.lines - 1]
        fits = _fitting(last, width - pen.width("...", style), style, pen)
        lines = [*lines[: style.lines - 1], last[:fits].rstrip() + "..."]
    return lines


def _fitting(word: str, width: int, style: Style, pen: Lettering) -> int:
    """Return how many letters of ``word`` fit, at least one. Bisection: names can be thousands long."""
    low, high = 1, len(word)
    while low < high:
        middle = (low + high + 1) // 2
        fits = pen.width(word[:middle], style) <= width
        low, high = (middle, high) if fits else (low, middle - 1)
    return low
