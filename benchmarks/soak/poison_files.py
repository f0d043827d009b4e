"""Files that are small and dear to decode, or that stop or crash decoders: one of each kind."""

from __future__ import annotations

import io
import os
import struct
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BIG = 10_000
"""Side of the largest picture that is allowed: 100 million pixels."""
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}


def poison() -> dict[str, Callable[[Path], None]]:
    """Return for each kind, by the name of its file, what writes it."""
    return {
        **{name: _writes(make) for name, make in {**_pngs(), **_jpegs(), **_tiffs(), **_others()}.items()},
        "link-to-itself.png": lambda path: path.symlink_to(path.name),
        "link-to-zeros.png": lambda path: path.symlink_to("/dev/zero"),
        "pipe.png": os.mkfifo,
        "sparse-6-gb.bmp": _sparse,
    }


def _writes(make: Callable[[], bytes]) -> Callable[[Path], None]:
    return lambda path: (path.write_bytes(make()), None)[1]


def _sparse(path: Path) -> None:
    path.write_bytes(b"BM")
    os.truncate(path, 6 << 30)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _png(
    width: int,
    height: int,
    bits: int,
    colour: int,
    *,
    extra: bytes = b"",
    pixels: bytes | None = None,
    lace: int = 0,
) -> bytes:
    if pixels is None:
        row, packer = bytes((width * bits * _CHANNELS[colour] + 7) // 8 + 1), zlib.compressobj(1)
        pixels = b"".join([packer.compress(row * 100) for _ in range(-(-height // 100))] + [packer.flush()])
    head = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, lace)
    return b"".join(
        (b"\x89PNG\r\n\x1a\n", _chunk(b"IHDR", head), extra, _chunk(b"IDAT", pixels), _chunk(b"IEND", b""))
    )


def _pngs() -> dict[str, Callable[[], bytes]]:
    squeezed = zlib.compress(bytes(100_000_000), 1)
    small = zlib.compress(bytes(64 * 193))
    pieces = b"".join(_chunk(b"IDAT", small[at : at + 1]) for at in range(len(small)))
    return {
        "16-bit-colour-100-mp.png": lambda: _png(BIG, BIG, 16, 2),
        "16-bit-transparent-100-mp.png": lambda: _png(BIG, BIG, 16, 6),
        "8-bit-colour-100-mp.png": lambda: _png(BIG, BIG, 8, 2),
        "interlaced-100-mp.png": lambda: _png(BIG, BIG, 8, 0, lace=1),
        "one-row.png": lambda: _png(100_000_000, 1, 8, 0, pixels=squeezed),
        "one-column.png": lambda: _png(1, 100_000_000, 1, 0, pixels=squeezed),
        "beyond-any-size.png": lambda: _png(2**31 - 1, 2**31 - 1, 8, 2, pixels=small),
        "profile-bomb.png": lambda: _png(64, 64, 8, 2, extra=_chunk(b"iCCP", b"x\0\0" + squeezed)),
        "text-bomb.png": lambda: _png(64, 64, 8, 2, extra=_chunk(b"zTXt", b"x\0\0" + squeezed)),
        "texts.png": lambda: _png(64, 64, 8, 2, extra=_chunk(b"tEXt", b"k\0" + b"a" * 100) * 200_000),
        "chunks.png": lambda: _png(64, 64, 8, 2, extra=_chunk(b"abCd", b"") * 1_000_000),
        "pixels-byte-by-byte.png": lambda: _png(
            64, 64, 8, 2, pixels=b"", extra=pieces + _chunk(b"IDAT", b"") * 500_000
        ),
        "frames.png": lambda: _png(64, 64, 8, 2, extra=_chunk(b"acTL", struct.pack(">II", 2**31 - 1, 0))),
        "more-pixels-than-it-says.png": lambda: _png(64, 64, 8, 0, pixels=squeezed),
        "exif-bomb.png": lambda: _png(64, 64, 8, 2, extra=_chunk(b"eXIf", _exif_bomb())),
        "exif-entries.png": lambda: _png(
            64, 64, 8, 2, extra=_chunk(b"eXIf", _directory([(n, 1, 1, 0) for n in range(60_000)]))
        ),
    }


def _exif_bomb() -> bytes:
    """Return EXIF whose 4,000 entries are the same megabyte."""
    return _directory([(tag, 7, 1 << 20, 8) for tag in range(1000, 5000)]) + bytes(1 << 20)


def _saved(image: Image.Image, form: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def _segments(jpeg: bytes) -> list[tuple[int, bytes]]:
    """Return the segments of a JPEG with their markers, each scan with its pixels."""
    found, at = [(0xD8, jpeg[:2])], 2
    while at < len(jpeg):
        marker, end = jpeg[at + 1], at + 2
        if marker != 0xD9:
            end += struct.unpack_from(">H", jpeg, at + 2)[0]
        while marker == 0xDA and not (jpeg[end] == 0xFF and jpeg[end + 1] not in (0, *range(0xD0, 0xD8))):
            end += 1
        found.append((marker, jpeg[at:end]))
        at = end
    return found


def _scans(count: int, *, side: int = 4096, mode: str = "L", progressive: bool = True) -> bytes:
    """Return a JPEG whose smallest scan is there ``count`` times more."""
    segments = _segments(
        _saved(
            Image.new(mode, (side, side), 128 if mode == "L" else (9, 99, 199)),
            "JPEG",
            progressive=progressive,
            quality=50,
        )
    )
    scans = [index for index, (marker, _) in enumerate(segments) if marker == 0xDA]
    least = min(scans[1:] or scans, key=lambda index: len(segments[index][1]))
    before = max((index for index in scans if index < least), default=least - 1)
    again = b"".join(data for _, data in segments[before + 1 : least + 1])
    return b"".join(data for _, data in segments[:-1]) + again * count + b"\xff\xd9"


def _with_segment(segment: bytes) -> bytes:
    whole = _saved(Image.new("RGB", (64, 64)), "JPEG")
    return whole[:2] + segment + whole[2:]


def _segment(marker: int, data: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data


def _jpegs() -> dict[str, Callable[[], bytes]]:
    loop = b"II*\0\x08\0\0\0" + struct.pack("<H", 2) + struct.pack("<HHII", 0x8769, 4, 1, 8)
    loop += struct.pack("<HHII", 271, 2, 0x7FFFFFFF, 8) + struct.pack("<I", 8)
    overlapping = _directory([(tag, 7, 50_000, 8) for tag in range(1000, 3000)]) + bytes(30_000)
    sized = _saved(Image.new("L", (64, 64)), "JPEG").replace(
        struct.pack(">HH", 64, 64), struct.pack(">HH", 60_000, 1_500), 1
    )
    return {
        "50-scans.jpg": lambda: _scans(50),
        "500-scans.jpg": lambda: _scans(500),
        "5000-scans.jpg": lambda: _scans(5_000),
        "5000-scans-colour.jpg": lambda: _scans(5_000, side=2048, mode="RGB"),
        "5000-scans-not-progressive.jpg": lambda: _scans(5_000, side=1024, progressive=False),
        "grey-100-mp.jpg": lambda: _saved(Image.new("L", (BIG, BIG)), "JPEG", quality=1, progressive=True),
        "no-pixels-behind-its-size.jpg": lambda: sized,
        "comments.jpg": lambda: _with_segment(_segment(0xFE, b"") * 300_000),
        "exif-loop.jpg": lambda: _with_segment(_segment(0xE1, b"Exif\0\0" + loop)),
        "exif-bomb.jpg": lambda: _with_segment(_segment(0xE1, b"Exif\0\0" + overlapping)),
        "restarts.jpg": lambda: (
            _saved(Image.new("RGB", (64, 64)), "JPEG")[:-2] + b"\xff\xd0" * 2_000_000 + b"\xff\xd9"
        ),
        "fill-bytes.jpg": lambda: b"\xff\xd8" + b"\xff" * 3_000_000,
    }


def _directory(entries: list[tuple[int, int, int, Any]], following: int = 0) -> bytes:
    """Return a TIFF file that is one directory of tag, type, count and value."""
    body = b"".join(
        struct.pack("<HHI", tag, kind, count)
        + (value if isinstance(value, bytes) else struct.pack("<I", value))
        for tag, kind, count, value in entries
    )
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + body + struct.pack("<I", following)


def _tiff(
    more: dict[int, tuple[int, int, Any]], data: bytes = b"", *, width: int = 64, height: int = 64
) -> bytes:
    """Return a grey TIFF whose pixels are ``data``; ``more`` are further entries by tag, None stands for their place."""
    entries = {
        256: (4, 1, width),
        257: (4, 1, height),
        258: (3, 1, 8),
        259: (3, 1, 8),
        262: (3, 1, 1),
        277: (3, 1, 1),
        **more,
    }
    start = 14 + 12 * len(entries)
    filled = [
        (tag, kind, count, start if value is None else value)
        for tag, (kind, count, value) in sorted(entries.items())
    ]
    return _directory(filled) + data


def _chain(count: int) -> bytes:
    file = bytearray(_saved(Image.new("L", (8, 8), 7), "TIFF"))
    (first,) = struct.unpack_from("<I", file, 4)
    (entries,) = struct.unpack_from("<H", file, first)
    at = len(file)
    struct.pack_into("<I", file, first + 2 + 12 * entries, at)
    return bytes(file) + b"".join(
        struct.pack("<HI", 0, at + 6 * (number + 1) if number < count - 1 else 0) for number in range(count)
    )


def _tiffs() -> dict[str, Callable[[], bytes]]:
    packed = zlib.compress(bytes(100_000))
    circle = bytearray(_saved(Image.new("L", (8, 8), 7), "TIFF"))
    (first,) = struct.unpack_from("<I", circle, 4)
    struct.pack_into("<I", circle, first + 2 + 12 * struct.unpack_from("<H", circle, first)[0], first)

    def tiled(width: int, height: int) -> bytes:
        return _tiff(
            {322: (4, 1, width), 323: (4, 1, height), 324: (4, 1, None), 325: (4, 1, len(packed))}, packed
        )

    def strip(data: bytes, compression: int, side: int = BIG, bits: int = 8) -> bytes:
        more = {
            258: (3, 1, bits),
            259: (3, 1, compression),
            273: (4, 1, None),
            278: (4, 1, side),
            279: (4, 1, len(data)),
        }
        return _tiff(more, data, width=side, height=side)

    return {
        "2000-pages.tif": lambda: _chain(2_000),
        "200000-pages.tif": lambda: _chain(200_000),
        "circle.tif": lambda: bytes(circle),
        "tile-of-268-mb.tif": lambda: tiled(16_384, 16_384),
        "tile-of-1-gb.tif": lambda: tiled(65_536, 16_384),
        "tile-of-nothing.tif": lambda: tiled(0, 0),
        "tile-that-overflows.tif": lambda: tiled(0xFFFFFFFF, 0xFFFFFFFF),
        "strips.tif": lambda: _tiff(
            {273: (4, 1_000_000, None), 278: (4, 1, 1), 279: (4, 1_000_000, None)},
            bytes(4_000_000),
            height=1_000_000,
        ),
        "deflate-100-mp.tif": lambda: strip(zlib.compress(bytes(BIG * BIG), 1), 8),
        "lzw-of-nothing.tif": lambda: strip(b"\x80\x00\x00\x10" * 1000, 5),
        "fax-of-nothing.tif": lambda: strip(bytes(100_000), 4, bits=1),
        "packbits-100-mp.tif": lambda: strip(b"\x81\x00" * 780_000, 32773),
        "lzma-of-nothing.tif": lambda: strip(b"\xfd7zXZ\0\0\x04" + bytes(1000), 34925),
        "entries.tif": lambda: _directory([(tag, 4, 1, 1) for tag in range(65_535)]),
        "overlapping-values.tif": lambda: (
            _directory([(tag, 7, 1 << 20, 8) for tag in range(300, 4300)]) + bytes(1 << 20)
        ),
        "floats.tif": lambda: _saved(Image.fromarray(np.full((64, 64), np.nan, np.float32)), "TIFF"),
        "bigtiff-entries.tif": lambda: b"II+\0\x08\0\0\0" + struct.pack("<QQ", 16, 1 << 60) + bytes(100),
        "exif-in-itself.tif": lambda: _tiff(
            {34665: (4, 1, 8), 273: (4, 1, None), 278: (4, 1, 64), 279: (4, 1, len(packed))}, packed
        ),
    }


def _bmp(width: int, height: int, compression: int, data: bytes, bits: int = 8) -> bytes:
    at = 14 + 40 + 1024
    head = b"BM" + struct.pack("<IHHI", at + len(data), 0, 0, at)
    return (
        head
        + struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, compression, len(data), 0, 0, 256, 0)
        + bytes(1024)
        + data
    )


def _others() -> dict[str, Callable[[], bytes]]:
    rng = np.random.default_rng(0)
    return {
        "runs.bmp": lambda: _bmp(BIG, BIG, 1, b"\x01\0" * 5_000_000 + b"\0\1"),
        "ends-of-lines.bmp": lambda: _bmp(BIG, BIG, 1, b"\0\0" * BIG + b"\0\1"),
        "end-at-once.bmp": lambda: _bmp(BIG, BIG, 1, b"\0\1"),
        "jumps.bmp": lambda: _bmp(BIG, BIG, 1, b"\0\2\xff\xff" * 100_000),
        "beyond-any-size.bmp": lambda: _bmp(2**31 - 1, -(2**31), 0, bytes(1000)),
        "one-bit-cut.bmp": lambda: _bmp(BIG, BIG, 0, bytes(12_000_000), bits=1),
        "webp.png": lambda: _saved(Image.new("RGB", (64, 64)), "WEBP"),
        "zeros.png": lambda: bytes(1 << 20),
        "noise.jpg": lambda: rng.bytes(1 << 20),
        "gzip.tif": lambda: zlib.compress(bytes(10_000_000)),
        "signature-only.png": lambda: b"\x89PNG\r\n\x1a\n",
        "header-of-numpy.png": lambda: b"\x93NUMPY\x01\0" + struct.pack("<H", 4000) + b"(" * 4000,
        "huge-of-numpy.png": lambda: (
            b"\x93NUMPY\x01\0"
            + struct.pack("<H", 118)
            + b"{'descr': '|u1', 'fortran_order': False, 'shape': (99999999, 99999999), }".ljust(117)
            + b"\n"
        ),
    }
