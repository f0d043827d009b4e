"""Lettering: text on a picture, on machines whose fonts are not known.

OpenCV 5 carries its own fonts, with Latin, Vietnamese, Cyrillic, Chinese, Japanese and Korean letters: the
same text on every machine. With an older OpenCV, Pillow draws the text: in the system's fonts, or where there
are none in the ASCII letters of the font that Pillow carries.

Japanese is drawn by Pillow in the font that this package carries: OpenCV's has the Chinese forms of kanji.
"""

from __future__ import annotations

import functools
import math
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from gagrad_runtime.language import current
from gagrad_runtime.language.font import FONT

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gagrad_runtime.language import Language

    Canvas = NDArray[np.uint8]
    Rgb = tuple[int, int, int]

_SYSTEM_FONTS = (
    "DejaVuSans.ttf", "NotoSans-Regular.ttf", "arial.ttf",
    "NotoSansCJK-Regular.ttc", "NotoSansCJKjp-Regular.otf", "DroidSansFallbackFull.ttf", "wqy-microhei.ttc",
    "msgothic.ttc", "msyh.ttc", "malgun.ttf",
)  # fmt: skip
"""System fonts, in the order in which they are tried; most machines have at most two of them."""

_SPELLINGS = str.maketrans({
    "ß": "ss", "ẞ": "SS", "æ": "ae", "Æ": "AE", "ø": "o", "Ø": "O", "œ": "oe", "Œ": "OE", "ł": "l", "Ł": "L",
    "đ": "d", "Đ": "D", "ı": "i", "þ": "th", "Þ": "Th", "×": "x", "−": "-", "–": "-", "—": "-", "≥": ">=",
    "“": '"', "”": '"', "„": '"', "‘": "'", "’": "'", "…": "...", "·": "-", "µ": "u", "→": "->",
})  # fmt: skip
"""ASCII spellings of letters and signs that Unicode's decomposition does not turn into ASCII."""


@dataclass(frozen=True)
class Style:
    """Style of a text: size in pixels, RGB colour, weight, and most lines before it is cut off."""

    size: int
    colour: Rgb
    bold: bool = False
    lines: int = 6


class Lettering(Protocol):
    """Interface of what draws one line of text."""

    def width(self, text: str, style: Style) -> int:
        """Return the width of ``text`` in pixels."""

    def draw(self, canvas: Canvas, x: int, baseline: int, text: str, style: Style) -> None:
        """Draw ``text`` onto ``canvas [h, w, 3]`` from ``x``, on ``baseline``."""

    def covers(self, character: str) -> bool:
        """Whether there is a glyph for ``character``."""


def lettering() -> Lettering:
    """Return the lettering for this machine and language.

    English: OpenCV's where it has fonts, else Pillow's. Japanese: Pillow's with our font.
    """
    return _lettering(current())


@functools.cache
def _lettering(language: Language) -> Lettering:
    if language == "ja" and _opens(str(FONT)):
        return PillowLettering(str(FONT))
    return OpenCvLettering() if hasattr(cv2, "FontFace") else PillowLettering()


def printable(text: str, pen: Lettering) -> tuple[str, bool]:
    """Return ``text`` on one line in letters that ``pen`` can draw, and whether the text is still readable.

    A letter without a glyph is spelt in ASCII where that is usual (``ß`` as ``ss``, ``ế`` as ``e``); any
    other becomes ``?``, and the text counts as not readable.
    """
    # Lone surrogates (bytes of a file name that are no UTF-8) crash OpenCV's text drawing.
    text = text.encode("utf-8", "replace").decode()
    letters, complete = [], True
    for letter in unicodedata.normalize("NFC", text):
        category = unicodedata.category(letter)
        if category in ("Cc", "Zl", "Zp", "Zs"):
            letters.append(" ")
        elif category != "Cf" and pen.covers(letter):
            letters.append(letter)
        elif category not in ("Cf", "Mn"):
            spelt = unicodedata.normalize("NFKD", letter.translate(_SPELLINGS)).encode("ascii", "ignore")
            letters.append(spelt.decode() or "?")
            complete = complete and bool(spelt)
    return " ".join("".join(letters).split()), complete


_ODD_IN_BOLD = "()"
"""Rubik's brackets are half a letter away from the word that they hold."""


class OpenCvLettering:
    """Fonts inside OpenCV 5: WenQuanYi Micro Hei for all letters, Rubik for bold text.

    Micro Hei has no bold weight. Rubik slashes its zeros and lacks letters, for which OpenCV switches to
    Micro Hei in the middle of a word. So bold text that Rubik cannot write is drawn twice in Micro Hei, a
    pixel apart.
    """

    def __init__(self) -> None:
        self._regular: Any = cv2.FontFace("uni")
        self._bold: Any = cv2.FontFace("sans")
        self._known: dict[str, bool] = {}
        self._in_bold: dict[str, bool] = {}

    def width(self, text: str, style: Style) -> int:
        """Return the width of ``text`` in pixels."""
        face, weight = self._face(text, style)
        # The empty image size switches off the wrapping at the image's edge.
        box = cv2.getTextSize((0, 0), text, (0, 0), face, style.size, weight)
        return int(box[0] + box[2]) + (style.bold and face is self._regular)

    def draw(self, canvas: Canvas, x: int, baseline: int, text: str, style: Style) -> None:
        """Draw ``text`` onto ``canvas [h, w, 3]`` from ``x``, on ``baseline``."""
        face, weight = self._face(text, style)
        for shift in (0, 1) if style.bold and face is self._regular else (0,):
            cv2.putText(canvas, text, (x + shift, baseline), style.colour, face, style.size, weight)

    def covers(self, character: str) -> bool:
        """Whether there is a glyph: OpenCV draws a question mark where there is none."""
        if character not in self._known:
            glyph, unknown = (_glyph(self._regular, letter) for letter in (character, "?"))
            self._known[character] = character == "?" or not np.array_equal(glyph, unknown)
        return self._known[character]

    def _face(self, text: str, style: Style) -> tuple[Any, int]:
        if style.bold and all(map(self._bold_covers, text)):
            return self._bold, 600
        return self._regular, 400

    def _bold_covers(self, character: str) -> bool:
        if character not in self._in_bold:
            bold, regular = _glyph(self._bold, character), _glyph(self._regular, character)
            # Equal pixels mean that OpenCV took the glyph from Micro Hei; a blank is equal in every font.
            own = not bold.any() or not np.array_equal(bold, regular)
            self._in_bold[character] = own and character not in _ODD_IN_BOLD
        return self._in_bold[character]


def _glyph(face: Any, character: str) -> Canvas:
    canvas = np.zeros((48, 64, 3), np.uint8)
    cv2.putText(canvas, character, (12, 32), (255, 255, 255), face, 24, 400)
    return canvas


class PillowLettering:
    """Pillow's own font, or ``first``; for a word with letters that it lacks, the next font that has them."""

    def __init__(self, first: str | None = None) -> None:
        self._fonts = _fonts() if first is None else (first, *_fonts())

    def width(self, text: str, style: Style) -> int:
        """Return the width of ``text`` in pixels."""
        length = sum(float(_font(font, style.size).getlength(part)) for font, part in self._parts(text))
        return math.ceil(length) + style.bold

    def draw(self, canvas: Canvas, x: int, baseline: int, text: str, style: Style) -> None:
        """Draw ``text`` onto ``canvas [h, w, 3]`` from ``x``, on ``baseline``."""
        top, bottom = max(baseline - 2 * style.size, 0), min(baseline + style.size, len(canvas))
        mask = Image.new("L", (canvas.shape[1], bottom - top))
        pencil, position = ImageDraw.Draw(mask), float(x)
        for name, part in self._parts(text):
            font = _font(name, style.size)
            # Only the regular weight is sure to exist; a second stroke beside the first makes it bolder.
            for shift in (0, 1) if style.bold else (0,):
                pencil.text((position + shift, baseline - top), part, fill=255, font=font, anchor="ls")
            position += font.getlength(part)
        share = np.asarray(mask, np.float32)[..., None] / 255
        band = canvas[top:bottom]
        band[:] = np.rint(band * (1 - share) + np.array(style.colour, np.float32) * share)

    def covers(self, character: str) -> bool:
        """Whether any of the fonts has a glyph for ``character``."""
        return any(_has_glyph(font, character) for font in self._fonts)

    def _parts(self, text: str) -> list[tuple[str, str]]:
        """Split ``text`` into (font, part); a word stays in one font where one font has all its letters."""
        parts: list[tuple[str, str]] = []
        for word in text.replace(" ", " \0").split("\0"):
            letters = word.strip()
            whole = [font for font in self._fonts if all(_has_glyph(font, letter) for letter in letters)]
            pieces = [(whole[0], word)] if whole else [(self._font_of(letter), letter) for letter in word]
            for font, piece in pieces:
                if parts and parts[-1][0] == font:
                    parts[-1] = (font, parts[-1][1] + piece)
                else:
                    parts.append((font, piece))
        return parts

    def _font_of(self, letter: str) -> str:
        return next((font for font in self._fonts if _has_glyph(font, letter)), self._fonts[0])


@functools.cache
def _fonts() -> tuple[str, ...]:
    """Return the names of the fonts on this machine; the empty name is Pillow's own font."""
    return ("", *filter(_opens, _SYSTEM_FONTS))


def _opens(name: str) -> bool:
    """Whether the font ``name`` is there, and Pillow can read it."""
    try:
        ImageFont.truetype(name, 10)
    except OSError:
        return False
    return True


@functools.cache
def _font(name: str, size: int) -> Any:
    # Pillow's size is the em square; OpenCV's is about the same for its Rubik.
    return ImageFont.truetype(name, size) if name else ImageFont.load_default(size)


@functools.cache
def _has_glyph(font: str, character: str) -> bool:
    """Whether ``character`` looks different from a character that no font has."""
    face = _font(font, 24)
    mask, missing = face.getmask(character), face.getmask("\uffff")
    return character == " " or mask.size != missing.size or bytes(mask) != bytes(missing)
