"""Decoding: from the bytes of an image file, or a PIL image, to pixels.

Pillow decodes first: it reads the header without decoding, refuses a truncated file (OpenCV returns half
of it grey and reports nothing), and keeps 16-bit mono. But Pillow reduces 16-bit colour to 8 bits. OpenCV
decodes those files a second time, and the two results must agree in their upper 8 bits.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from PIL import BmpImagePlugin, Image, JpegImagePlugin, PngImagePlugin, TiffImagePlugin

from gagrad_edge.errors import FrameError
from gagrad_runtime.frame.integrity import check_tiff, least_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from PIL.ImageFile import ImageFile

MAX_PIXELS = 100_000_000
"""Largest frame, height × width: 300 MB as 8-bit colour and 1.2 GB per image-sized float32 colour copy."""

FORMATS = ("PNG", "JPEG", "TIFF", "BMP")
ENDINGS = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")
"""Endings of image files, lower case: what a folder of images is searched for."""

# The readers are called by their first bytes and not through Image.open: that one checks the size only
# after it has warned about it, and would try forty more formats that no camera writes.
_READERS: dict[bytes, Any] = {
    b"\x89PNG\r\n\x1a\n": PngImagePlugin.PngImageFile,
    b"\xff\xd8\xff": JpegImagePlugin.JpegImageFile,
    b"II*\x00": TiffImagePlugin.TiffImageFile,
    b"MM\x00*": TiffImagePlugin.TiffImageFile,
    b"II+\x00": TiffImagePlugin.TiffImageFile,
    b"MM\x00+": TiffImagePlugin.TiffImageFile,
    b"BM": BmpImagePlugin.BmpImageFile,
}
_FOREIGN = {b"RIFF": "WebP or AVI", b"GIF8": "GIF", b"%PDF": "PDF", b"<svg": "SVG", b"PK\x03\x04": "zip"}

_ORIENTATION, _PHOTOMETRIC, _BITS = 274, 262, 258
_EXIF_DIRECTORY, _EXIF_LENGTH = 0x8769, 100
_EXIF = {
    271: "Make",
    272: "Model",
    42033: "BodySerialNumber",
    36867: "DateTimeOriginal",
    33434: "ExposureTime",
    33437: "FNumber",
    34855: "ISOSpeedRatings",
}
_TURNS: dict[int, Callable[[NDArray[Any]], NDArray[Any]]] = {
    1: lambda stored: stored,
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.swapaxes(0, 1),
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: stored[::-1, ::-1].swapaxes(0, 1),
    8: np.rot90,
}
"""The turn or flip that makes the stored pixels upright, by EXIF orientation."""
_PNG_BITS, _PNG_COLOUR, _PNG_GREY_ALPHA = 24, 25, 4
_MONO, _COLOUR, _WIDE_MONO = ("1", "L", "LA", "La"), ("RGB", "RGBA", "RGBX", "RGBa", "P", "PA"), "I;16"
_PRINT = ("CMYK", "YCbCr")


@dataclass(frozen=True)
class Decoded:
    """Pixels of one file or PIL image."""

    pixels: NDArray[Any]
    notes: tuple[str, ...]
    """Changes that were made to the stored pixels, in words."""
    exif: dict[str, str]
    """What the camera wrote: those of ``_EXIF`` that the file has, by name."""


def decode(data: bytes, *, where: str) -> Decoded:
    """Return the pixels in the file ``data``, upright.

    Pixels are uint8 or uint16, [H, W] or [H, W, 3] in RGB order. EXIF orientation is applied once,
    transparency dropped, the first page taken. ``where`` names the file in errors. Raises FrameError:
    unknown or damaged file, more than MAX_PIXELS pixels, or values that are no 1 to 16 bit grey levels.
    """
    try:
        picture = _reader(data, where)(io.BytesIO(data))
        check_size(*picture.size, where=where)
        if len(data) < least_bytes(data, *picture.size):
            raise ValueError(f"{len(data)} bytes cannot hold {picture.width}×{picture.height} pixels")
        bits = _bits(picture, data)
        _check_values(picture, bits, where)
        if isinstance(picture, TiffImagePlugin.TiffImageFile):
            check_tiff(data, picture.tag_v2)
        notes = _notes(picture)
        stated, remaining = _load(picture)
        if _transparent(picture):
            notes = (*notes, "transparency dropped")
        pixels = _TURNS[remaining](_pixels(picture))
        if bits == 16 and pixels.dtype == np.uint8:
            is_tiff = isinstance(picture, TiffImagePlugin.TiffImageFile)
            wide = _sixteen_bits(data, 1 if is_tiff else remaining)
            if wide.shape != pixels.shape or not np.array_equal(wide >> 8, pixels):
                raise ValueError("two decoders read different pixels")
            pixels = wide
            if not is_tiff and data[_PNG_COLOUR] == _PNG_GREY_ALPHA:
                pixels = wide[..., 0]
    except (FrameError, MemoryError):
        raise
    except Exception as error:  # a damaged file raises whatever its parser trips over first
        raise FrameError(
            f"the file is damaged or cut short ({error})", where=where, hint="copy or record the frame again"
        ) from error
    if stated != 1:
        notes = (f"EXIF orientation {stated} applied", *notes)
    return Decoded(pixels, notes, _exif(picture))


def from_picture(picture: Image.Image, *, where: str) -> Decoded:
    """Return the pixels of the PIL image ``picture``, upright, by the rules for files.

    A file of 16-bit colours is 8 bits once Pillow has opened it; only its path keeps all bits. ``where``
    names the picture in errors. Raises FrameError.
    """
    try:
        check_size(*picture.size, where=where)
        wide = picture.mode.startswith(_WIDE_MONO) or picture.mode == "I"
        _check_values(picture, 16 if wide else 8, where)
        notes = _notes(picture)
        stated, remaining = _load(picture)
        if _transparent(picture):
            notes = (*notes, "transparency dropped")
        pixels = np.array(_TURNS[remaining](_pixels(picture)))
    except (FrameError, MemoryError):
        raise
    except Exception as error:  # a picture whose file is closed or damaged fails in its reader
        raise FrameError(
            f"the PIL image cannot be read ({error})", where=where, hint="load it again from its file"
        ) from error
    if stated != 1:
        notes = (f"EXIF orientation {stated} applied", *notes)
    return Decoded(pixels, notes, _exif(picture))


def check_size(width: int, height: int, *, where: str) -> None:
    """Raise FrameError when a frame of ``width`` × ``height`` pixels is empty or over MAX_PIXELS."""
    if width < 1 or height < 1:
        raise FrameError(f"the frame has no pixels ({width}×{height})", where=where)
    if width * height > MAX_PIXELS:
        raise FrameError(
            f"the frame is too large: {width}×{height} is {width * height / 1e6:.0f} million pixels, "
            f"the limit is {MAX_PIXELS / 1e6:.0f} million",
            where=where,
            hint="cut or scale the frame to the part that is inspected",
        )


def _reader(data: bytes, where: str) -> Any:
    for magic, reader in _READERS.items():
        if data.startswith(magic):
            return reader
    kind = next((name for magic, name in _FOREIGN.items() if data.startswith(magic)), None)
    raise FrameError(
        f"the file is {kind}, not one of the image formats" if kind else "the file's content is no image",
        where=where,
        hint="save the frame in one of the formats below; the name's ending does not matter",
        choices=FORMATS,
    )


def _bits(picture: ImageFile, data: bytes) -> int:
    """Return the bits per channel that the header states."""
    if isinstance(picture, PngImagePlugin.PngImageFile):
        return data[_PNG_BITS]
    if isinstance(picture, TiffImagePlugin.TiffImageFile):
        return max(int(bits) for bits in picture.tag_v2.get(_BITS, (1,)))
    return 8


def _check_values(picture: Image.Image, bits: int, where: str) -> None:
    """Refuse what has no agreed grey level: floats, signed and 32-bit integers, 16-bit print colours."""
    mode, reason = picture.mode, ""
    if mode == "F":
        reason = "it holds floating-point values, whose black and white nobody states"
    elif (mode == "I" and not isinstance(picture, PngImagePlugin.PngImageFile)) or bits > 16:
        reason = "it holds signed or 32-bit integers, whose black and white nobody states"
    elif bits == 16 and mode in _PRINT:
        reason = f"it holds 16-bit {mode} colours"
    elif (
        isinstance(picture, TiffImagePlugin.TiffImageFile)
        and bits > 8
        and picture.tag_v2.get(_PHOTOMETRIC) == 0
    ):
        reason = "it stores white as 0 with more than 8 bits"
    elif mode not in (*_MONO, *_COLOUR, *_PRINT, "I") and not mode.startswith(_WIDE_MONO):
        reason = f"it holds {mode} colours"
    if reason:
        raise FrameError(
            f"the file cannot be used as a frame: {reason}",
            where=where,
            hint="save it with 8 or 16 bits per channel, unsigned, black as 0",
        )


def _notes(picture: Image.Image) -> tuple[str, ...]:
    notes = []
    pages = getattr(picture, "n_frames", 1)
    if pages > 1:
        notes.append(f"first of {pages} pages")
    if picture.mode in _PRINT:
        notes.append(f"{picture.mode} converted to RGB")
    return tuple(notes)


def _transparent(picture: Image.Image) -> bool:
    """Whether any pixel of the decoded ``picture`` is not opaque; a palette's or a key colour counts."""
    if "A" in picture.getbands():
        return bool(picture.getchannel("A").getextrema() != (255, 255))
    return "transparency" in picture.info


def _load(picture: Image.Image) -> tuple[int, int]:
    """Decode ``picture`` in place; return the orientation that it states and the one still to be applied.

    They differ for TIFF: Pillow's reader turns the pixels itself and deletes the tag, its others do not.
    """
    tags = picture.tag_v2 if isinstance(picture, TiffImagePlugin.TiffImageFile) else {}
    stated = tags.get(_ORIENTATION, 1)
    pixels, limit = picture.width * picture.height, Image.MAX_IMAGE_PIXELS
    # Pillow's TIFF reader checks the size once more, against its own limit. The filter is changed only
    # for these rare files because it belongs to the whole process.
    with warnings.catch_warnings() if limit and pixels > limit else contextlib.nullcontext():
        if limit and pixels > limit:
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        picture.load()
    # PNG may keep its EXIF behind the pixels, so it is asked for after loading.
    remaining = picture.getexif().get(_ORIENTATION, 1)
    remaining = remaining if remaining in _TURNS else 1
    return remaining if remaining != 1 else stated if stated in _TURNS else 1, remaining


def _exif(picture: Image.Image) -> dict[str, str]:
    """Return what the camera wrote; tags are no reason to refuse a frame whose pixels are whole."""
    found: dict[str, str] = {}
    with contextlib.suppress(Exception):
        tags = picture.getexif()
        values = {**tags, **tags.get_ifd(_EXIF_DIRECTORY)}
        for tag, name in _EXIF.items():
            if tag in values:
                text = str(values[tag]).strip("\0 ")[:_EXIF_LENGTH]
                found[name] = "".join(letter if letter.isprintable() else "?" for letter in text)
    return found


def _pixels(picture: Image.Image) -> NDArray[Any]:
    if picture.mode.startswith(_WIDE_MONO) or picture.mode == "I":
        return np.asarray(picture).astype(np.uint16)
    mode = "L" if picture.mode in _MONO else "RGB"
    return np.asarray(picture if picture.mode == mode else picture.convert(mode))


def _sixteen_bits(data: bytes, orientation: int) -> NDArray[Any]:
    """Return the 16-bit colour pixels of the PNG or TIFF ``data`` in RGB order, upright.

    With IMREAD_UNCHANGED OpenCV leaves a PNG as stored, but turns a TIFF whatever the flags say.
    """
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.dtype != np.uint16 or pixels.ndim != 3:
        raise ValueError("its 16-bit colours cannot be decoded")
    return _TURNS[orientation](pixels[..., 2::-1])
