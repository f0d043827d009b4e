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
from gagrad_edge.input import MAX_CHANNELS
from gagrad_edge.printable import printable
from gagrad_runtime.frame import kinds
from gagrad_runtime.frame.bounds import check_bounds, check_page, check_sides
from gagrad_runtime.frame.integrity import check_tiff, least_bytes
from gagrad_runtime.frame.tiff import MAX_PAGES, check_directories, count_pages, first_page, pages

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from PIL.ImageFile import ImageFile

    from gagrad_edge.input import InputSpec
    from gagrad_runtime.frame.tiff import Page

MAX_PIXELS = 100_000_000
"""Largest frame, height × width: 300 MB as 8-bit colour and 1.2 GB per image-sized float32 colour copy."""
MAX_VALUES = 3 * MAX_PIXELS
"""Most values of a frame: pixels times channels."""
_MOST_GREY = 170_000_000
"""Most values of bands that lie side by side, which Pillow reads as one grey image: it refuses more."""

FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "NPY")
ENDINGS = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")
"""Endings of image files, lower case: what a folder of images is searched for."""


def endings(spec: InputSpec | None) -> tuple[str, ...]:
    """Return the endings of files that are frames for a model, lower case.

    ``.npy`` counts only where the channels are no colours: elsewhere such files are maps, masks or data.
    """
    return (*ENDINGS, ".npy") if spec is not None and spec.colour == "channels" else ENDINGS


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
_UNKNOWN = "unknown pixel mode"
"""What Pillow says of a TIFF whose directory it can read."""


@dataclass(frozen=True)
class Decoded:
    """Pixels of one file or PIL image."""

    pixels: NDArray[Any]
    notes: tuple[str, ...]
    """Changes that were made to the stored pixels, in words."""
    exif: dict[str, str]
    """What the camera wrote: those of ``_EXIF`` that the file has, by name."""


def decode(data: bytes, *, where: str, channels: bool = False) -> Decoded:
    """Return the pixels in the file ``data``, upright.

    Pixels are uint8 or uint16, [H, W] or [H, W, 3] in RGB order. EXIF orientation is applied once,
    transparency dropped, the first page taken. With ``channels`` nothing is dropped: pixels are [H, W] or
    [H, W, C], the bands of all pages, and transparency is a band. ``where`` names the file in errors. Raises
    FrameError: unknown or damaged file, more than MAX_PIXELS pixels, values that are no 1 to 16 bit grey
    levels, a file that would take far more to decode than its size allows, or too little memory.
    """
    try:
        check_bounds(data, where)
        if data.startswith(b"BM"):
            kinds.check_bmp(data, where)
        is_tiff = _reader(data, where) is TiffImagePlugin.TiffImageFile
        if is_tiff and channels:
            return _stacked(pages(data), where)
        if is_tiff:
            return _first_of_tiff(data, where)
        return _decoded(data, where, alpha=channels)
    except FrameError:
        raise
    except Exception as error:  # a damaged file raises whatever its parser trips over first
        if is_memory(error):
            raise no_memory(where) from error
        raise FrameError(
            f"the file is damaged or cut short ({error})", where=where, hint="copy or record the frame again"
        ) from error


def is_memory(error: Exception) -> bool:
    """Return whether ``error`` says that there was not enough memory, as each library says it."""
    return isinstance(error, MemoryError) or (
        isinstance(error, cv2.error) and error.code == cv2.Error.StsNoMem
    )


def no_memory(where: str) -> FrameError:
    """Return the error that a frame took more memory than there is."""
    return FrameError(
        "there is not enough memory for this frame",
        where=where,
        hint="cut or scale the frame to the part that is inspected",
    )


def _first_of_tiff(data: bytes, where: str) -> Decoded:
    """Return the first page of a TIFF file as a colour or grey frame."""
    page = first_page(data)
    check_directories(data)
    if page.samples > 4:
        raise FrameError(
            f"the file has {page.samples} channels, and a colour or grey frame has 3 or 1",
            where=where,
            hint="a model of more channels is exported with `channels`",
        )
    kinds.check_tiff(page, where)
    check_size(page.width, page.height, where=where)
    check_sides(page.width, page.height, where)
    check_page(page, where)
    if not page.wide_planes:
        try:
            return _decoded(data, where)
        except SyntaxError as error:
            if str(error) != _UNKNOWN:
                raise
            raise kinds.unknown_tiff(page, where) from error
    pixels, notes, exif = _page(page, where)
    return Decoded(pixels, (*notes, *_page_note(count_pages(data))), exif)


def _stacked(found: list[Page], where: str) -> Decoded:
    """Return the bands of all pages, [H, W] or [H, W, C]."""
    size = found[0].height, found[0].width
    check_size(size[1], size[0], where=where, channels=min(sum(page.samples for page in found), 99))
    check_sides(size[1], size[0], where)
    parts: list[NDArray[Any]] = []
    notes: dict[str, None] = {}
    exif: dict[str, str] = {}
    for number, page in enumerate(found, 1):
        check_page(page, where)
        pixels, said, read = _page(page, where)
        parts.append(pixels if pixels.ndim == 3 else pixels[..., None])
        notes.update(dict.fromkeys(said))
        exif = exif or read
        one, other = parts[0], parts[-1]
        if (one.shape[:2], one.dtype) != (other.shape[:2], other.dtype):
            raise FrameError(
                f"page {number} is {other.shape[0]} high, {other.shape[1]} wide, {other.dtype}, and page 1 "
                f"is {one.shape[0]} high, {one.shape[1]} wide, {one.dtype}",
                where=where,
                hint="all pages of a frame have one size and one depth",
            )
    total = sum(part.shape[2] for part in parts)
    if total > MAX_CHANNELS:
        raise FrameError(
            f"the file's {len(found)} page(s) have {total} channels together; {MAX_CHANNELS} are the most",
            where=where,
            hint="save the channels that the model takes",
        )
    joined = np.concatenate(parts, axis=2)
    return Decoded(joined[..., 0] if total == 1 else joined, tuple(notes), exif)


def _page(page: Page, where: str) -> tuple[NDArray[Any], tuple[str, ...], dict[str, str]]:
    """Return pixels, notes and EXIF of one page."""
    kinds.check_palette(page, where)
    trouble = page.trouble()
    if trouble is not None and page.samples > 3:
        raise FrameError(
            f"the file cannot be used as a frame: {trouble}",
            where=where,
            hint="save each channel as a page of its own, unsigned, with 8 or 16 bits, or as .npy",
        )
    if trouble is not None:
        one = _decoded(page.alone(), where, alpha=True, first=False)
        return one.pixels, one.notes, one.exif

    def grey(file: bytes) -> NDArray[Any]:
        return _decoded(file, where, limit=_MOST_GREY).pixels

    turn = page.orientation if page.orientation in _TURNS else 1
    notes = (f"EXIF orientation {turn} applied",) if turn != 1 else ()
    exif: dict[str, str] = {}
    with contextlib.suppress(Exception):  # Pillow does not open every page whose bands it can decode
        if page.samples <= 4:  # of more it complains on the terminal
            exif = _exif(TiffImagePlugin.TiffImageFile(io.BytesIO(page.alone())))
    return _TURNS[turn](page.bands(grey)), notes, exif


def _decoded(
    data: bytes, where: str, *, alpha: bool = False, first: bool = True, limit: int = MAX_PIXELS
) -> Decoded:
    """Return the pixels of the first page of ``data``; with ``alpha`` transparency is kept as a band.

    ``first`` notes further pages. Raises FrameError, and whatever the parser of a damaged file raises.
    """
    picture = _reader(data, where)(io.BytesIO(data))
    check_size(*picture.size, where=where, limit=limit)
    if limit == MAX_PIXELS:
        check_sides(picture.width, picture.height, where)
    if len(data) < least_bytes(data, *picture.size):
        raise ValueError(f"{len(data)} bytes cannot hold {picture.height} rows of {picture.width} pixels")
    bits = _bits(picture, data)
    _check_values(picture, bits, where)
    is_tiff = isinstance(picture, TiffImagePlugin.TiffImageFile)
    if is_tiff:
        check_tiff(data, picture.tag_v2)
    count = count_pages(data) if is_tiff else getattr(picture, "n_frames", 1)
    notes = _notes(picture, count if first else 1)
    stated, remaining = _load(picture)
    if not alpha and _transparent(picture):
        notes = (*notes, "transparency dropped")
    pixels = _TURNS[remaining](_pixels(picture, alpha=alpha))
    if bits == 16 and pixels.dtype == np.uint8:
        wide = _sixteen_bits(data, 1 if is_tiff else remaining, pixels.shape[-1])
        if wide.shape != pixels.shape or not _agree(wide, pixels):
            raise ValueError("two decoders read different pixels")
        pixels = wide
        if not is_tiff and data[_PNG_COLOUR] == _PNG_GREY_ALPHA:
            pixels = wide[..., [0, 3]] if alpha else wide[..., 0]
    if stated != 1:
        notes = (f"EXIF orientation {stated} applied", *notes)
    return Decoded(pixels, notes, _exif(picture))


def from_picture(picture: Image.Image, *, where: str, channels: bool = False) -> Decoded:
    """Return the pixels of the PIL image ``picture``, upright, by the rules for files but for further pages.

    A file of 16-bit colours is 8 bits once Pillow has opened it; only its path keeps all bits. ``where``
    names the picture in errors. Raises FrameError.
    """
    try:
        check_size(*picture.size, where=where)
        wide = picture.mode.startswith(_WIDE_MONO) or picture.mode == "I"
        _check_values(picture, 16 if wide else 8, where)
        notes = _notes(picture, getattr(picture, "n_frames", 1))
        stated, remaining = _load(picture)
        if not channels and _transparent(picture):
            notes = (*notes, "transparency dropped")
        pixels = np.array(_TURNS[remaining](_pixels(picture, alpha=channels)))
    except FrameError:
        raise
    except Exception as error:  # a picture whose file is closed or damaged fails in its reader
        if is_memory(error):
            raise no_memory(where) from error
        raise FrameError(
            f"the PIL image cannot be read ({error})", where=where, hint="load it again from its file"
        ) from error
    if stated != 1:
        notes = (f"EXIF orientation {stated} applied", *notes)
    return Decoded(pixels, notes, _exif(picture))


def check_size(width: int, height: int, *, where: str, channels: int = 1, limit: int = MAX_PIXELS) -> None:
    """Raise FrameError when a frame has no pixels, more than ``limit``, or over MAX_VALUES values."""
    if width < 1 or height < 1:
        raise FrameError(f"the frame has no pixels ({height} high, {width} wide)", where=where)
    if width * height > limit or width * height * channels > MAX_VALUES:
        of = f" with {channels} channels" if channels > 3 else ""
        least = min(limit, MAX_VALUES // channels)
        raise FrameError(
            f"the frame is too large: {height} high, {width} wide{of} is "
            f"{width * height / 1e6:.0f} million pixels, the limit is {least / 1e6:.0f} million",
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


def _page_note(count: int) -> tuple[str, ...]:
    if count < 2:
        return ()
    return (f"first of {f'more than {MAX_PAGES}' if count > MAX_PAGES else count} pages",)


def _notes(picture: Image.Image, count: int) -> tuple[str, ...]:
    """Return the notes on a picture whose file has ``count`` pages."""
    notes = [*_page_note(count)]
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
                found[name] = printable(text)
    return found


def _pixels(picture: Image.Image, *, alpha: bool = False) -> NDArray[Any]:
    if picture.mode.startswith(_WIDE_MONO) or picture.mode == "I":
        return np.asarray(picture).astype(np.uint16)
    mode = "L" if picture.mode in _MONO else "RGB"
    if alpha and "A" in picture.getbands():
        mode = {"L": "LA", "RGB": "RGBA"}[mode]
    if mode == "RGB" and isinstance(picture.info.get("transparency"), bytes):
        picture = picture.convert("RGBA")  # Pillow warns when a palette's transparency is dropped at once
    return np.asarray(picture if picture.mode == mode else picture.convert(mode))


def _agree(wide: NDArray[Any], narrow: NDArray[Any]) -> bool:
    """Return whether the upper 8 bits of ``wide`` are ``narrow``; by blocks of rows, to save memory."""
    rows = max(1, (1 << 22) // max(1, wide[0].size))
    return all(
        np.array_equal(wide[start : start + rows] >> 8, narrow[start : start + rows])
        for start in range(0, len(wide), rows)
    )


def _sixteen_bits(data: bytes, orientation: int, count: int) -> NDArray[Any]:
    """Return 16-bit colours of the PNG or TIFF ``data``, upright: ``count`` channels of RGB and transparency.

    With IMREAD_UNCHANGED OpenCV leaves a PNG as stored, but turns a TIFF whatever the flags say.
    """
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.dtype != np.uint16 or pixels.ndim != 3:
        raise ValueError("its 16-bit colours cannot be decoded")
    # In two steps and not by an index: that takes seconds for 100 million pixels.
    code = cv2.COLOR_BGR2RGB if pixels.shape[-1] == 3 else cv2.COLOR_BGRA2RGBA
    return _TURNS[orientation](cv2.cvtColor(pixels, code)[..., :count])
