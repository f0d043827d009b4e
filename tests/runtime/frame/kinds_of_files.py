"""A file of each kind that PNG, JPEG, TIFF and BMP have, made by hand where no library writes it."""

from __future__ import annotations

import io
import struct
import zlib
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from numpy.typing import NDArray

H, W = 24, 40
_RNG = np.random.default_rng(1)
_Y, _X = np.mgrid[:H, :W]
RGB: NDArray[np.uint8] = np.clip(
    np.stack([6 * _X, 9 * _Y, 3 * (_X + _Y)], 2) + _RNG.integers(0, 30, (H, W, 3)), 0, 255
).astype(np.uint8)
GREY = RGB[..., 0]
WIDE = np.minimum(RGB.astype(np.uint16) * 257 + _RNG.integers(0, 5, (H, W, 3)).astype(np.uint16), 65535)
COLOURS: NDArray[np.uint8] = _RNG.integers(0, 255, (256, 4), np.uint8)
COLOURS[:, 3] = 0
_MAP = [int(value) * 257 for value in COLOURS[:, :3].T.reshape(-1)]


def packed(values: NDArray[Any], bits: int) -> bytes:
    """Return rows of values with ``bits`` each, from the highest bit on."""
    flags = np.unpackbits(values.astype(np.uint8)[..., None], axis=-1)[..., 8 - bits :]
    return np.packbits(flags.reshape(len(values), -1), axis=1).tobytes()


def _png(bits: int, colour: int, rows: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    step = len(rows) // H
    raw = b"".join(b"\0" + rows[at : at + step] for at in range(0, len(rows), step))
    head = (b"IHDR", struct.pack(">IIBBBBB", W, H, bits, colour, 0, 0, 0))
    parts = (head, *chunks, (b"IDAT", zlib.compress(raw)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    )


def pngs() -> dict[str, bytes]:
    """Return PNG files by kind."""
    wide = WIDE.astype(">u2")
    palette = (b"PLTE", COLOURS[:, :3].tobytes())
    found = {
        **{f"grey {bits}": _png(bits, 0, packed(GREY >> (8 - bits), bits)) for bits in (1, 2, 4)},
        **{f"palette {bits}": _png(bits, 3, packed(GREY >> (8 - bits), bits), palette) for bits in (1, 2, 4)},
        "palette 8": _png(8, 3, GREY.tobytes(), palette),
        "palette 8 transparent": _png(8, 3, GREY.tobytes(), palette, (b"tRNS", bytes(range(100)))),
        "grey 8": _png(8, 0, GREY.tobytes()),
        "grey 8 key": _png(8, 0, GREY.tobytes(), (b"tRNS", struct.pack(">H", int(GREY[2, 2])))),
        "grey 16": _png(16, 0, wide[..., 0].tobytes()),
        "grey 16 key": _png(16, 0, wide[..., 0].tobytes(), (b"tRNS", struct.pack(">H", int(WIDE[3, 3, 0])))),
        "grey alpha 8": _png(8, 4, RGB[..., :2].tobytes()),
        "grey alpha 16": _png(16, 4, wide[..., :2].tobytes()),
        "rgb 16": _png(16, 2, wide.tobytes()),
        "rgba 16": _png(16, 6, np.dstack([wide, wide[..., :1]]).astype(">u2").tobytes()),
        "rgb 8 key": _png(8, 2, RGB.tobytes(), (b"tRNS", struct.pack(">HHH", *map(int, RGB[2, 2])))),
    }
    for name, data in (("gAMA", struct.pack(">I", 100000)), ("sRGB", b"\0"), ("sBIT", b"\5\6\5")):
        found[f"rgb 8 {name}"] = _png(8, 2, RGB.tobytes(), (name.encode(), data))
    found["rgba 8"] = _png(8, 6, np.dstack([RGB, GREY]).tobytes())
    return found


def _saved(image: Image.Image, form: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def jpegs() -> dict[str, bytes]:
    """Return JPEG files by kind."""
    colour = Image.fromarray(RGB)
    found = {
        f"{ratio} {'progressive' if progressive else 'sequential'}": _saved(
            colour, "JPEG", quality=90, subsampling=ratio, progressive=progressive
        )
        for ratio in ("4:4:4", "4:2:2", "4:2:0")
        for progressive in (False, True)
    }
    for ratio, code in (("4:1:1", 0x411111), ("4:4:0", 0x121111)):
        options = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, code]
        found[ratio] = cv2.imencode(".jpg", RGB, options)[1].tobytes()
    for turn in range(1, 9):
        exif = Image.Exif()
        exif[274] = turn
        found[f"orientation {turn}"] = _saved(colour, "JPEG", exif=exif)
    print_colours = _saved(colour.convert("CMYK"), "JPEG")
    at = print_colours.find(b"Adobe") + 11
    return {
        **found,
        "grey": _saved(colour.convert("L"), "JPEG"),
        "restarts": _saved(colour, "JPEG", restart_marker_blocks=3),
        "rgb": _saved(colour, "JPEG", keep_rgb=True),
        "print cmyk": print_colours,
        "print ycck": print_colours[:at] + b"\2" + print_colours[at + 1 :],
    }


def tiff(tags: dict[int, tuple[int, Any]], data: bytes) -> bytes:
    """Return a TIFF file of one page; a value None is where ``data`` begins."""
    entries, outside, after = b"", b"", 14 + 12 * len(tags)
    sizes = {1: "B", 3: "H", 4: "I"}
    stored = {tag: value if isinstance(value, list) else [value] for tag, (_, value) in tags.items()}
    long = {tag: struct.calcsize(sizes[tags[tag][0]]) * len(value) for tag, value in stored.items()}
    start = after + sum(size + size % 2 for size in long.values() if size > 4)
    for tag, (kind, _) in sorted(tags.items()):
        values = [start + value if isinstance(value, int) and tag == 273 else value for value in stored[tag]]
        raw = struct.pack(f"<{len(values)}{sizes[kind]}", *values)
        if len(raw) > 4:
            place, outside = after + len(outside), outside + raw + b"\0" * (len(raw) % 2)
            raw = struct.pack("<I", place)
        entries += struct.pack("<HHI", tag, kind, len(values)) + raw.ljust(4, b"\0")
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + struct.pack("<I", 0) + outside + data


def _page(photometric: int, bits: int, samples: int, data: bytes, **more: tuple[int, Any]) -> bytes:
    tags: dict[int, tuple[int, Any]] = {256: (4, W), 257: (4, H), 258: (3, [bits] * samples), 259: (3, 1)}
    tags |= {262: (3, photometric), 273: (4, 0), 277: (3, samples), 278: (4, H), 279: (4, len(data))}
    return tiff(tags | {int(name[1:]): value for name, value in more.items()}, data)


def _planes(bits: int, values: NDArray[Any], **more: tuple[int, Any]) -> bytes:
    count = values.shape[2]
    each = values.nbytes // count
    places = (4, [index * each for index in range(count)])
    data = np.moveaxis(values, 2, 0).tobytes()
    return _page(2, bits, count, data, _284=(3, 2), _273=places, _279=(4, [each] * count), **more)


def tiffs() -> dict[str, bytes]:
    """Return TIFF files by kind."""
    wide, alpha = WIDE.astype("<u2"), np.dstack([RGB, GREY])
    wide_alpha = np.dstack([wide, wide[..., 0]]).astype("<u2")
    twelve = (WIDE[..., 0] >> 4).astype(np.uint16)
    high, low = twelve[:, ::2], twelve[:, 1::2]
    triples = np.stack([high >> 4, (high & 15) << 4 | low >> 8, low & 255], 2).astype(np.uint8)
    found = {}
    for photometric, name in ((0, "white is 0"), (1, "black is 0")):
        found[f"grey 8 {name}"] = _page(photometric, 8, 1, GREY.tobytes())
        found[f"grey 16 {name}"] = _page(photometric, 16, 1, wide[..., 0].tobytes())
        for bits in (1, 2, 4):
            found[f"grey {bits} {name}"] = _page(photometric, bits, 1, packed(GREY >> (8 - bits), bits))
    for bits in (1, 2, 4, 8):
        colours = [_MAP[band * 256 + index] for band in range(3) for index in range(1 << bits)]
        found[f"palette {bits}"] = _page(3, bits, 1, packed(GREY >> (8 - bits), bits), _320=(3, colours))
    for extra, name in ((0, "more"), (1, "multiplied"), (2, "transparent")):
        found[f"rgba 8 {name}"] = _page(2, 8, 4, alpha.tobytes(), _338=(3, extra))
        found[f"rgba 16 {name}"] = _page(2, 16, 4, wide_alpha.tobytes(), _338=(3, extra))
        found[f"grey alpha 8 {name}"] = _page(1, 8, 2, RGB[..., :2].tobytes(), _338=(3, extra))
        found[f"grey alpha 16 {name}"] = _page(1, 16, 2, wide[..., :2].tobytes(), _338=(3, extra))
    differences = np.diff(RGB, axis=1, prepend=np.zeros((H, 1, 3), np.uint8))
    colour = Image.fromarray(RGB)
    return {
        **found,
        "grey 12": _page(1, 12, 1, triples.tobytes()),
        "grey 32": _page(1, 32, 1, wide[..., 0].astype("<u4").tobytes()),
        "signed 8": _page(1, 8, 1, GREY.tobytes(), _339=(3, 2)),
        "signed 16": _page(1, 16, 1, wide[..., 0].tobytes(), _339=(3, 2)),
        "floats": _page(1, 32, 1, (GREY / 255).astype("<f4").tobytes(), _339=(3, 3)),
        "rgb 8": _page(2, 8, 3, RGB.tobytes()),
        "rgb 16": _page(2, 16, 3, wide.tobytes()),
        "rgb 4": _page(2, 4, 3, packed((RGB >> 4).reshape(H, -1), 4)),
        "rgb 32": _page(2, 32, 3, wide.astype("<u4").tobytes()),
        "palette 16": _page(3, 16, 1, GREY.astype("<u2").tobytes(), _320=(3, [7777] * 3 * 65536)),
        "palette of 8-bit values": _page(3, 8, 1, GREY.tobytes(), _320=(3, [value // 257 for value in _MAP])),
        "print cmyk 8": _page(5, 8, 4, alpha.tobytes()),
        "print cmyk 16": _page(5, 16, 4, wide_alpha.tobytes()),
        "print ycc": _page(6, 8, 3, RGB.tobytes(), _530=(3, [1, 1])),
        "lab": _page(8, 8, 3, RGB.tobytes()),
        "mask": _page(4, 1, 1, packed(GREY >> 7, 1)),
        "planes 8": _planes(8, RGB),
        "planes 16": _planes(16, wide),
        "planes 16 transparent": _planes(16, wide_alpha, _338=(3, 2)),
        "differences": _page(2, 8, 3, zlib.compress(differences.tobytes()), _259=(3, 8), _317=(3, 2)),
        **{
            name: _saved(colour, "TIFF", compression=name)
            for name in ("tiff_lzw", "packbits", "zstd", "lzma")
        },
        "jpeg grey": _saved(colour.convert("L"), "TIFF", compression="jpeg"),
        "jpeg colour": _saved(colour, "TIFF", compression="jpeg"),
        "group 4": _saved(colour.convert("1"), "TIFF", compression="group4"),
    }


def _bmp(bits: int, rows: bytes, *, form: int = 0, masks: bytes = b"", colours: int = 0) -> bytes:
    palette = COLOURS[:colours].tobytes()
    at = 54 + len(masks) + len(palette)
    head = b"BM" + struct.pack("<IHHI", at + len(rows), 0, 0, at)
    info = struct.pack("<IiiHHIIiiII", 40, W, H, 1, bits, form, len(rows), 0, 0, colours, 0)
    return head + info + masks + palette + rows


def bmps() -> dict[str, bytes]:
    """Return BMP files by kind."""
    flipped, grey = RGB[::-1], GREY[::-1]
    five = [(flipped[..., band] >> 3).astype("<u2") for band in range(3)]
    runs = b"".join(b"".join(bytes([1, int(value)]) for value in row) + b"\0\0" for row in grey) + b"\0\1"
    four = b"".join(
        padded + b"\0" * (-len(padded) % 4) for padded in (packed(row[None] >> 4, 4) for row in grey)
    )
    with_rest = np.dstack([flipped[..., ::-1], grey])
    core = struct.pack("<IHHI", 26 + 768 + W * H, 0, 0, 26 + 768) + struct.pack("<IHHHH", 12, W, H, 1, 8)
    return {
        "rgb 24": _bmp(24, flipped[..., ::-1].tobytes()),
        "rgb 32": _bmp(32, with_rest.tobytes()),
        "rgb 32 masks": _bmp(
            32, with_rest.tobytes(), form=3, masks=struct.pack("<III", 0xFF0000, 0xFF00, 0xFF)
        ),
        "rgb 555": _bmp(16, (five[0] << 10 | five[1] << 5 | five[2]).tobytes()),
        "rgb 565": _bmp(
            16,
            (five[0] << 11 | five[1] << 6 | five[2]).tobytes(),
            form=3,
            masks=struct.pack("<III", 0xF800, 0x7E0, 0x1F),
        ),
        "palette 8": _bmp(8, grey.tobytes(), colours=256),
        "palette 4": _bmp(4, four, colours=16),
        "palette 8 runs": _bmp(8, runs, form=1, colours=256),
        "palette 8 of OS/2": b"BM" + core + COLOURS[:, :3].tobytes() + grey.tobytes(),
    }


KINDS = {
    f"{form}: {kind}": data
    for form, files in (("PNG", pngs()), ("JPEG", jpegs()), ("TIFF", tiffs()), ("BMP", bmps()))
    for kind, data in files.items()
}
"""More than a hundred files by format and kind."""
