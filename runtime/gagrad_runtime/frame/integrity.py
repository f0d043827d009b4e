"""Integrity of an image file: a truncated TIFF, and a PNG or JPEG too short for the size in its header.

Image readers accept a truncated TIFF without an error: tags beyond the end, the orientation among them, are
left out, and missing pixels of a strip in JPEG or fax coding are filled in.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_EXTENTS = ((273, 279), (324, 325))
"""Pairs of tags: offsets and byte counts of the strips, offsets and byte counts of the tiles."""
_CLASSIC, _BIG = 42, 43
_WIDTHS = {
    kind: width
    for width, kinds in {1: (1, 2, 6, 7), 2: (3, 8), 4: (4, 9, 11, 13), 8: (5, 10, 12, 16, 17, 18)}.items()
    for kind in kinds
}
"""Bytes per value, by the number of the field type: TIFF 6.0 section 2 and BigTIFF."""


def check_tiff(data: bytes, tags: Mapping[int, Any]) -> None:
    """Raise ValueError when the first directory, its values or the pixels reach beyond the end of ``data``.

    ``tags`` are the directory's tags as Pillow read them. struct.error, LookupError and TypeError mean
    damage too.
    """
    order = "<" if data.startswith(b"II") else ">"
    (magic,) = struct.unpack_from(f"{order}H", data, 2)
    if magic not in (_CLASSIC, _BIG):
        raise ValueError(f"TIFF version {magic}")
    start, count, entry, inline = (("I", "H", "HHI", 4), ("Q", "Q", "HHQ", 8))[magic == _BIG]
    (at,) = struct.unpack_from(order + start, data, 4 if magic == _CLASSIC else 8)
    (entries,) = struct.unpack_from(order + count, data, at)
    at += struct.calcsize(order + count)
    step = struct.calcsize(order + entry) + inline
    if at + entries * step + inline > len(data):
        raise ValueError("its directory is cut off")
    for place in range(at, at + entries * step, step):
        _, kind, values = struct.unpack_from(order + entry, data, place)
        size = values * _WIDTHS.get(kind, 0)
        if size > inline:
            (where,) = struct.unpack_from(order + start, data, place + step - inline)
            if where + size > len(data):
                raise ValueError("a value of its directory is cut off")
    for offsets, lengths in _EXTENTS:
        for offset, length in zip(tags.get(offsets, ()), tags.get(lengths, ()), strict=True):
            if offset + length > len(data):
                raise ValueError("it ends before its pixels do")


_DEFLATE = 1032
"""Largest ratio of a deflate stream's output to its input (RFC 1951: 258 bytes from two bits)."""

_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Channels per pixel by PNG colour type."""

_BITS, _COLOUR = 24, 25
"""Offsets of bit depth and colour type in a PNG file."""

_BLOCK = 8
"""Side of a JPEG block in pixels."""


def least_bytes(data: bytes, width: int, height: int) -> int:
    """Return the fewest bytes that a file of ``width`` × ``height`` pixels can have.

    0 for formats without such a bound. ``data`` begins with the file's header.
    """
    if data.startswith(b"\x89PNG"):
        bits = data[_BITS] * _PNG_CHANNELS.get(data[_COLOUR], 1)
        return height * ((width * bits + 7) // 8) // _DEFLATE
    if data.startswith(b"\xff\xd8"):
        # A block of 8×8 pixels has a DC coefficient, whose Huffman code has at least one bit (ITU-T T.81).
        return -(-width // _BLOCK) * -(-height // _BLOCK) // 8
    return 0
