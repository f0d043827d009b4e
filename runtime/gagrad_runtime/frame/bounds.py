"""Bounds of what decoding an image file may take, from its headers, before any of it is decoded.

A file of some hundred bytes can ask a decoder for gigabytes or for hours: a progressive JPEG of thousands of
scans, a TIFF tile far larger than the picture, a million chunks. No camera writes such files.
"""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING

from gagrad_edge.errors import FrameError
from gagrad_runtime.frame.tiff import check_directories, first_page, pages

if TYPE_CHECKING:
    from gagrad_runtime.frame.tiff import Page

MAX_SIDE = 1 << 20
"""Most rows or columns: decoders spend time and memory on each row, however short."""
MOST_PIXELS = 1 << 30
"""Pixels by which time and memory are limited at most; no frame has as many."""
MAX_SCANS = 100
"""Scans of a JPEG; encoders write about ten."""
MAX_SCANNED = 2_000_000_000
"""Scans of a JPEG times its pixels."""
MAX_SEGMENTS = 5_000
"""Segments of a JPEG before its first scan, with bytes between them, and chunks of a PNG without pixels."""
MAX_PIXEL_CHUNKS = 200_000
"""Chunks of a PNG that hold pixels."""
MAX_RUNS = 4 << 20
"""Bytes of a run-length coded BMP, which Pillow decodes in Python."""
MAX_RUN_PIXELS = 1 << 24
"""Pixels of one."""
MAX_PARTS = 400_000
"""Strips or tiles of a TIFF page: 100 million pixels in tiles of 16×16."""
MAX_TILE = 1 << 24
"""Pixels of a tile, and of all tiles together beyond the picture's edges, where the picture has fewer."""
_OVERHANG = 4
"""Pixels of all tiles together, as a multiple of the picture's."""
_PNG, _JPEG, _BMP = b"\x89PNG", b"\xff\xd8", b"BM"
_START_OF_SCAN, _APP1, _EXIF = 0xDA, 0xE1, b"Exif\0\0"
_SCAN = b"\xff\xda"
_SIZES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Markers of the segments that state the size."""
_SEQUENTIAL = (0xC0, 0xC1, 0xC9)
_ALONE = (0x01, 0xFF, *range(0xD0, 0xD9))
"""Markers without a length, and the byte that may fill the space before a marker."""
_RUN_LENGTH = (1, 2)
"""Compressions of a BMP."""


def check_bounds(data: bytes, where: str) -> None:
    """Raise FrameError when decoding the PNG, JPEG or BMP file ``data`` would take too much.

    ``where`` names the file. What is damaged is left to the decoder.
    """
    if data.startswith(_PNG):
        _check_png(data, where)
    elif data.startswith(_JPEG):
        _check_jpeg(data, where)
    elif data.startswith(_BMP) and int.from_bytes(data[30:34], "little") in _RUN_LENGTH:
        _check_count(len(data), MAX_RUNS, "bytes of run-length coded pixels", where)
        _check_count(stated_pixels(data, channels=False), MAX_RUN_PIXELS, "run-length coded pixels", where)


def check_sides(width: int, height: int, where: str) -> None:
    """Raise FrameError when a file's picture has more than MAX_SIDE rows or columns."""
    _check_count(max(width, height), MAX_SIDE, "rows or columns", where)


def check_page(page: Page, where: str) -> None:
    """Raise FrameError when decoding a page of a TIFF file would take too much."""
    parts = max(page.parts, default=0)
    _check_count(parts, MAX_PARTS, "strips or tiles", where)
    tile = page.tile
    if tile is None:
        return
    pixels = page.width * page.height
    most = max(MAX_TILE, pixels)
    if not all(0 < side <= most for side in tile) or math.prod(tile) > most:
        raise _refused(f"its tiles are {tile[1]} high and {tile[0]} wide", where)
    sizes = zip((page.width, page.height), tile, strict=True)
    covered = math.prod(-(-size // side) * side for size, side in sizes)
    if covered > max(MAX_TILE, _OVERHANG * pixels):
        raise _refused(f"its tiles cover {covered / 1e6:.0f} million pixels", where)


def stated_pixels(data: bytes, *, channels: bool) -> int:
    """Return the pixels of a file as its header states them; 0 where it is damaged.

    With ``channels`` those of all pages, and again for each three bands. By this time and memory of a decoder
    are limited.
    """
    try:
        if data.startswith(_PNG):
            width, height = struct.unpack_from(">II", data, 16)
        elif data.startswith(_JPEG):
            width, height = _jpeg_header(data)[:2]
        elif data.startswith(_BMP):
            width, height = (abs(side) for side in struct.unpack_from("<ii", data, 18))
        elif data.startswith((b"II", b"MM")):
            found = pages(data) if channels else [first_page(data)]
            width = sum(page.width * page.height * max(1, -(-page.samples // 3)) for page in found)
            height = 1
        else:
            width, height = len(data), 1
    except (struct.error, LookupError, ValueError, OverflowError):
        return 0
    return min(int(width) * int(height), MOST_PIXELS)


def _check_png(data: bytes, where: str) -> None:
    at, others, pixels = 8, 0, 0
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        if kind == b"IDAT":
            pixels += 1
        elif kind == b"IEND":
            return
        else:
            others += 1
            if kind == b"eXIf":
                _check_exif(data[at + 8 : at + 8 + length], where)
        _check_count(pixels, MAX_PIXEL_CHUNKS, "chunks of pixels", where)
        _check_count(others, MAX_SEGMENTS, "chunks that are no pixels", where)
        at += 12 + length


def _check_jpeg(data: bytes, where: str) -> None:
    exif: list[bytes] = []
    try:
        width, height, once, scan = _jpeg_header(data, exif)
    except LookupError:  # its end comes first
        return
    except OverflowError as error:
        raise _refused(f"it has more than {MAX_SEGMENTS} segments", where) from error
    _check_exif(b"".join(exif), where)
    if once:
        return
    scans = data.count(_SCAN, scan)
    _check_count(scans, MAX_SCANS, "scans", where)
    if scans * width * height > MAX_SCANNED:
        raise _refused(f"it has {scans} scans of {width * height / 1e6:.0f} million pixels", where)


def _check_exif(found: bytes, where: str) -> None:
    """Refuse EXIF of which a reader would copy far more than there is."""
    if not found:
        return
    try:
        check_directories(found)
    except (struct.error, LookupError):  # damage is no reason to refuse a frame whose pixels are whole
        return
    except ValueError as error:
        raise _refused(f"of its EXIF, {error}", where) from error


def _jpeg_header(data: bytes, exif: list[bytes] | None = None) -> tuple[int, int, bool, int]:
    """Return width, height, whether one scan has all colours of all pixels, and where the first scan begins.

    What is EXIF is appended to ``exif``. Raises IndexError where there is no scan, and OverflowError for too
    many segments before it.
    """
    at, size, colours, marker_of_size = 2, (0, 0), 0, 0
    for _ in range(MAX_SEGMENTS):
        if data[at] != 0xFF or data[at + 1] in _ALONE:
            at += 1
            continue
        marker, length = data[at + 1], (data[at + 2] << 8) + data[at + 3]
        if marker == _START_OF_SCAN:
            once = marker_of_size in _SEQUENTIAL and data[at + 4] == colours
            return *size, once, at
        if marker in _SIZES:
            size = ((data[at + 7] << 8) + data[at + 8], (data[at + 5] << 8) + data[at + 6])
            colours, marker_of_size = data[at + 9], marker
        if exif is not None and marker == _APP1 and data.startswith(_EXIF, at + 4):
            exif.append(data[at + 4 + len(_EXIF) : at + 2 + length])
        at += 2 + max(2, length)
    raise OverflowError


def _check_count(count: int, most: int, what: str, where: str) -> None:
    if count > most:
        raise _refused(f"it has more than {most} {what}", where)


def _refused(reason: str, where: str) -> FrameError:
    return FrameError(
        f"the file would take too long or too much memory to decode: {reason}",
        where=where,
        hint="no camera writes such files; save the frame again, as PNG or as a plain JPEG or TIFF",
    )
