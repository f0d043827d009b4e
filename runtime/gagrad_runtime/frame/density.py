"""The fewest bytes that can hold a picture of the size that its header claims.

A header is a few bytes that anything may have happened to, and decoders take memory by it, or fill in what
the data does not give: libjpeg makes grey of it without a word. PNG and JPEG have a least number of bits for
a pixel that no content goes below; a file below it is damaged, and is known to be before it is decoded.
"""

from __future__ import annotations

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
