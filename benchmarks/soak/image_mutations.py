"""Image files of the four formats in the forms that cameras and tools write, and mutations that damage them."""

from __future__ import annotations

import io
import struct
import zlib
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Callable

FORMATS = ("PNG", "JPEG", "TIFF", "BMP")
_SIZES = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
"""Numbers that parsers trip over."""


def originals() -> dict[str, list[bytes]]:
    """Return good files by format: mono and colour, 1 to 16 bits, each compression, with EXIF and pages."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:40, :56]
    smooth = np.stack([3 * x, 5 * y, 2 * (x + y)], axis=2)
    part = np.clip(smooth + rng.integers(0, 40, smooth.shape), 0, 255).astype(np.uint8)
    wide = part.astype(np.uint16) * 257
    colour, mono = Image.fromarray(part), Image.fromarray(part[..., 0])
    exif = Image.Exif()
    exif[274], exif[271] = 6, "camera"
    pages = {"save_all": True, "append_images": [mono]}
    return {
        "PNG": [
            _saved(colour, "PNG", exif=exif),
            _saved(mono, "PNG"),
            _saved(colour.quantize(64), "PNG"),
            _saved(mono.convert("1"), "PNG"),
            _saved(colour.convert("RGBA"), "PNG"),
            _encoded(".png", wide),
            _encoded(".png", wide[..., 0]),
        ],
        "JPEG": [
            _saved(colour, "JPEG", exif=exif, quality=90),
            _saved(colour, "JPEG", progressive=True),
            _saved(mono, "JPEG"),
            _saved(colour.convert("CMYK"), "JPEG"),
            _saved(colour, "JPEG", restart_marker_blocks=2),
        ],
        "TIFF": [
            *(_saved(colour, "TIFF", compression=name) for name in ("raw", "tiff_lzw", "jpeg", "packbits")),
            _saved(mono, "TIFF", compression="tiff_adobe_deflate", exif=exif),
            _saved(mono.convert("1"), "TIFF", compression="group4"),
            _saved(colour, "TIFF", **pages),
            _encoded(".tiff", wide),
            _encoded(".tiff", wide[..., 0]),
        ],
        "BMP": [_saved(image, "BMP") for image in (colour, mono, colour.quantize(64), mono.convert("1"))],
    }


def mutate(files: list[bytes], rng: np.random.Generator) -> tuple[str, bytes]:
    """Return the name of a random mutation, and one of ``files`` with that mutation."""
    data = files[rng.integers(len(files))]
    name = str(rng.choice(sorted(CHANGES)))
    changed = CHANGES[name](data, files, rng)
    if changed.startswith(b"\x89PNG") and rng.integers(2):
        changed = _with_right_checksums(changed)
    return name, changed


def _flip(data: bytes, _: list[bytes], rng: np.random.Generator) -> bytes:
    changed = bytearray(data)
    for position in rng.integers(0, len(data), rng.integers(1, 9)):
        changed[position] ^= 1 << rng.integers(8)
    return bytes(changed)


def _header(data: bytes, _: list[bytes], rng: np.random.Generator) -> bytes:
    changed = bytearray(data)
    for position in rng.integers(4, min(len(data), 120), rng.integers(1, 5)):
        changed[position] = rng.integers(256)
    return bytes(changed)


def _number(data: bytes, _: list[bytes], rng: np.random.Generator) -> bytes:
    """Replace a number of 2 or 4 bytes, in either byte order, near the beginning or the end."""
    value = int(rng.choice(_SIZES))
    form = str(rng.choice(["<I", ">I", "<H", ">H"]))
    piece = struct.pack(form, value & (0xFFFF if form[1] == "H" else 0xFFFFFFFF))
    at = int(rng.integers(4, min(len(data) - 4, 200)))
    at = len(data) - at if rng.integers(2) else at
    return data[:at] + piece + data[at + len(piece) :]


def _truncated(data: bytes, _: list[bytes], rng: np.random.Generator) -> bytes:
    return data[: rng.integers(len(data))]


def _moved(data: bytes, _: list[bytes], rng: np.random.Generator) -> bytes:
    """Take a piece out, and perhaps put it elsewhere or twice."""
    start, end, to = sorted(int(at) for at in rng.integers(0, len(data), 3))
    piece = data[start:end]
    return data[:start] + data[end:to] + piece * int(rng.integers(3)) + data[to:]


def _spliced(data: bytes, files: list[bytes], rng: np.random.Generator) -> bytes:
    other = files[rng.integers(len(files))]
    return data[: rng.integers(len(data))] + other[rng.integers(len(other)) :]


def _noise(data: bytes, _: list[bytes], rng: np.random.Generator) -> bytes:
    at = int(rng.integers(4, len(data)))
    length = int(rng.integers(1, 200))
    return data[:at] + rng.bytes(length) + data[at + length :]


def _claimed(data: bytes, _: list[bytes], rng: np.random.Generator) -> bytes:
    """Write another image size into the header, up to more than the limit of 100 million pixels."""
    width, height = (int(2 ** rng.uniform(0, 17)) for _ in range(2))
    if data.startswith(b"\x89PNG"):
        return _with_right_checksums(data[:16] + struct.pack(">II", width, height) + data[24:])
    if data.startswith(b"BM"):
        return data[:18] + struct.pack("<ii", width, height) + data[26:]
    if data.startswith(b"\xff\xd8"):
        at = next(at for marker in (b"\xff\xc0", b"\xff\xc2") if (at := data.find(marker)) > 0)
        return data[: at + 5] + struct.pack(">HH", height & 0xFFFF, width & 0xFFFF) + data[at + 9 :]
    (directory,) = struct.unpack_from("<I", data, 4)
    changed = bytearray(data)
    for place in range(directory + 2, min(directory + 2 + 12 * 3, len(data) - 12), 12):
        (tag,) = struct.unpack_from("<H", data, place)
        if tag in (256, 257):
            struct.pack_into("<HII", changed, place + 2, 4, 1, width if tag == 256 else height)
    return bytes(changed)


CHANGES: dict[str, Callable[[bytes, list[bytes], np.random.Generator], bytes]] = {
    "bits flipped": _flip,
    "header bytes changed": _header,
    "a number replaced": _number,
    "cut short": _truncated,
    "a piece moved": _moved,
    "two files spliced": _spliced,
    "overwritten with noise": _noise,
    "another size claimed": _claimed,
}


def _with_right_checksums(png: bytes) -> bytes:
    """Return ``png`` with the right CRC for each chunk, so that the parser reaches the damaged data."""
    changed, at = bytearray(png), 8
    while at + 12 <= len(changed):
        (length,) = struct.unpack_from(">I", changed, at)
        end = at + 8 + length
        if end + 4 > len(changed):
            break
        struct.pack_into(">I", changed, end, zlib.crc32(changed[at + 4 : end]))
        at = end + 4
    return bytes(changed)


def _saved(image: Image.Image, form: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def _encoded(ending: str, pixels: Any) -> bytes:
    return bytes(cv2.imencode(ending, pixels)[1])
