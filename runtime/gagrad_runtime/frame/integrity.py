"""Whether a TIFF is all there.

Its readers make do with what they find: tags that are cut off are left out, the orientation among them, and
what is missing of a strip in JPEG or fax coding is filled in, without a word.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_EXTENTS = ((273, 279), (324, 325))
"""Tags with the offsets and the lengths of strips, and of tiles."""
_CLASSIC, _BIG = 42, 43
_WIDTHS = {
    kind: width
    for width, kinds in {1: (1, 2, 6, 7), 2: (3, 8), 4: (4, 9, 11, 13), 8: (5, 10, 12, 16, 17, 18)}.items()
    for kind in kinds
}
"""Bytes of a value by its type, TIFF 6.0 section 2 and BigTIFF."""


def check_tiff(data: bytes, tags: Mapping[int, Any]) -> None:
    """Raise ValueError when the first directory of ``data``, a value of it or the pixels lie beyond its end.

    ``tags`` are the directory's as Pillow read them; struct.error, LookupError and TypeError mean damage too.
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
"""Bytes that one byte of a deflate stream stands for at most (RFC 1951: 258 bytes in two bits)."""


_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}


_BITS, _COLOUR = 24, 25


_BLOCK = 8


def least_bytes(data: bytes, width: int, height: int) -> int:
    """Return how long the file that begins as ``data`` must at least be; 0 where there is no such bound."""
    if data.startswith(b"\x89PNG"):
        bits = data[_BITS] * _PNG_CHANNELS.get(data[_COLOUR], 1)
        return height * ((width * bits + 7) // 8) // _DEFLATE
    if data.startswith(b"\xff\xd8"):
        # A block of 8×8 pixels has a DC coefficient, whose Huffman code has at least one bit (ITU-T T.81).
        return -(-width // _BLOCK) * -(-height // _BLOCK) // 8
    return 0
