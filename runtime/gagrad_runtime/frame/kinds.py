"""Kinds of files of which decoders make different pixels: they are refused as what they are.

Found by decoding a file of each kind with Pillow and with OpenCV (tests/runtime/frame/test_kinds.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gagrad_edge.errors import FrameError

if TYPE_CHECKING:
    from gagrad_runtime.frame.tiff import Page

_UNSIGNED, _UNDEFINED = 1, 4
_RGB = 2
_WHOLE = (1, 2, 4, 8, 16, 32, 64)
_BMP_BITS, _BMP_SIZE, _CORE = 28, 14, 12
_USUAL = "save it with 8 or 16 bits per channel, unsigned, black as 0"


def check_bmp(data: bytes, where: str) -> None:
    """Refuse a BMP with 16 bits per pixel: for 5 bits some readers make 248 of white, others 255."""
    size = int.from_bytes(data[_BMP_SIZE : _BMP_SIZE + 4], "little")
    if size > _CORE and int.from_bytes(data[_BMP_BITS : _BMP_BITS + 2], "little") == 16:
        raise _refused(
            "it has 5 or 6 bits for each colour of a pixel, and readers do not agree which value is white",
            where,
            "save it with 24 bits per pixel",
        )


def check_palette(page: Page, where: str) -> None:
    """Refuse a palette of which readers make different colours."""
    if page.narrow_palette:
        raise _refused(
            "its palette holds values of 8 bits where TIFF has 16, and readers do not agree whether that is "
            "nearly black",
            where,
            "save it as colours or grey levels, without a palette",
        )


def check_tiff(page: Page, where: str) -> None:
    """Refuse a page of colours or grey levels that readers do not agree on.

    These are odd palettes and bit numbers, signed values, and colours multiplied by transparency.
    """
    check_palette(page, where)
    odd = next((bits for bits in page.bits if bits not in _WHOLE), None)
    if odd is not None:
        raise _refused(
            f"it packs {odd}-bit values, and readers do not agree which of them is white",
            where,
            "save them in 16 bits each",
        )
    # Floats and wider integers have their own words where the pixels are looked at.
    if max(page.bits) <= 8 and not set(page.formats) <= {_UNSIGNED, _UNDEFINED}:
        raise _refused("it holds signed integers, whose black and white nobody states", where, _USUAL)
    if page.multiplied:
        raise _refused(
            "its colours are multiplied by their transparency, and readers do not agree how they were before",
            where,
            "save it without transparency",
        )
    if page.unstated and max(page.bits) <= 8:
        raise unknown_tiff(page, where)
    if page.plain_luma:
        raise _refused(
            "it holds brightness and colour differences without JPEG compression, and readers do not agree "
            "on their colours",
            where,
            "save it as red, green and blue",
        )
    if page.planar and page.samples > 3 and max(page.bits) > 8:
        raise _refused(
            "its 16-bit colours and transparency lie one after the other, which readers do not agree on",
            where,
            "save it without transparency",
        )


def unknown_tiff(page: Page, where: str) -> FrameError:
    """Return the error for a page that is whole and of a form that is not read."""
    bits = ", ".join(map(str, dict.fromkeys(page.bits)))
    return _refused(
        f"its pixels have a form that is not read: {page.samples} value(s) of {bits} bits, photometric "
        f"{page.photometric}",
        where,
        _USUAL,
    )


def _refused(reason: str, where: str, hint: str) -> FrameError:
    return FrameError(f"the file cannot be used as a frame: {reason}", where=where, hint=hint)
