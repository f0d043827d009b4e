"""The one way a frame enters the program: a file or an array in, checked pixels out.

Whatever the command line, the Python interface or a test explains has come through here, so that the
same part gives the same pixels whichever way it was handed in.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gagrad_edge.errors import FrameError
from gagrad_runtime.frame.decoding import FORMATS, check_size, decode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

MAX_FILE_BYTES = 1 << 30
"""Largest file that is read: 100 million 16-bit colour pixels, not compressed, are 600 MB."""

ARRAY = "array"
"""``Frame.source`` of a frame that came as an array."""


@dataclass(frozen=True)
class Frame:
    """What the camera or the file gives, upright, without transparency, with its bits kept."""

    pixels: NDArray[np.uint8] | NDArray[np.uint16]
    """[H, W] or [H, W, 3] in RGB order; contiguous and read-only."""
    source: str
    """The path as it was given, or ``array``."""
    notes: tuple[str, ...] = ()
    """What was done to the stored pixels, in words, e.g. ``EXIF orientation 6 applied``."""
    exif: Mapping[str, str] = field(default_factory=dict)
    """What the camera wrote about itself and the exposure, by EXIF name."""

    @property
    def height(self) -> int:
        """Rows H."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """Columns W."""
        return int(self.pixels.shape[1])

    @property
    def mono(self) -> bool:
        """Whether the frame has one channel."""
        return self.pixels.ndim == 2

    @property
    def name(self) -> str:
        """The file's name without its folders, fit to print: bytes that are no UTF-8 become ``?``."""
        return Path(self.source).name.encode("utf-8", "replace").decode()


def load_frame(source: str | Path | NDArray[Any]) -> Frame:
    """Return the frame in the file ``source`` or in the array ``source``.

    Files: PNG, JPEG, TIFF and BMP with 1 to 16 bits per channel, mono or colour. Arrays: uint8 or uint16,
    [H, W], [H, W, 1], [H, W, 3] in RGB order or [H, W, 4] in RGBA order; they are copied, so that the
    camera may use its buffer again. Transparency is dropped and not blended with a background, because
    that is what training pipelines do (``convert("RGB")``, ``IMREAD_COLOR``). Raises FrameError.
    """
    if isinstance(source, np.ndarray):
        return _from_array(source)
    if not isinstance(source, (str, os.PathLike)):
        raise FrameError(
            f"a frame is a path or a numpy array, not {type(source).__name__}",
            hint="pass the file's path, or numpy.asarray(...) of the pixels as uint8 or uint16",
        )
    where = os.fspath(source)
    decoded = decode(_read(where), where=where)
    return replace(_frame(decoded.pixels, where, decoded.notes), exif=decoded.exif)


def _from_array(array: NDArray[Any]) -> Frame:
    shape = "×".join(map(str, array.shape))
    if array.dtype.type not in (np.uint8, np.uint16):
        hints = {
            "f": "scale it: numpy.round(frame * 255).astype(numpy.uint8) if its values are 0..1",
            "b": "scale it: frame.astype(numpy.uint8) * 255",
        }
        raise FrameError(
            f"the array is {array.dtype}; a frame is uint8 or uint16",
            where=ARRAY,
            hint=hints.get(array.dtype.kind, "convert it with .astype(numpy.uint8) or .astype(numpy.uint16)"),
        )
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        batch = array.ndim == 4 or (array.ndim == 3 and array.shape[0] in (1, 3))
        raise FrameError(
            f"the array's shape is {shape}; a frame is height×width, or height×width×3 in RGB order",
            where=ARRAY,
            hint="pass one frame at a time, channels last" if batch else None,
        )
    if array.size == 0:
        raise FrameError(f"the array is empty ({shape})", where=ARRAY, hint="check what the camera returned")
    check_size(array.shape[1], array.shape[0], where=ARRAY)
    notes: tuple[str, ...] = ()
    if array.ndim == 3 and array.shape[2] == 4:
        if (array[..., 3] != np.iinfo(array.dtype).max).any():
            notes = ("transparency dropped",)
        array = array[..., :3]
    return _frame(array[..., 0] if array.shape[2:] == (1,) else array, ARRAY, notes, copy=True)


def _frame(pixels: NDArray[Any], source: str, notes: tuple[str, ...], *, copy: bool = False) -> Frame:
    native = pixels.dtype.newbyteorder("=")
    owned = np.array(pixels, native, order="C") if copy else np.ascontiguousarray(pixels, native)
    owned.flags.writeable = False
    return Frame(owned, source, notes)


def _read(where: str) -> bytes:
    """Return the bytes of the regular file ``where``. Never waits: a pipe or a device is refused."""
    try:
        # Without O_NONBLOCK, opening a pipe that nobody writes to would wait for ever.
        descriptor = os.open(where, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(descriptor, "rb") as stream:
            status = os.fstat(stream.fileno())
            _check_kind(status, where)
            data = stream.read(MAX_FILE_BYTES + 1)
    except IsADirectoryError as error:
        raise _folder(where) from error
    except FileNotFoundError as error:
        raise FrameError("there is no such file", where=where, hint=_hint_missing(where)) from error
    except PermissionError as error:
        raise FrameError(
            "this user may not read the file", where=where, hint="give read permission: chmod +r"
        ) from error
    except (OSError, ValueError) as error:
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
        raise FrameError(f"the file cannot be read ({reason})", where=where) from error
    if not data:
        raise FrameError("the file is empty (0 bytes)", where=where, hint="copy or record the frame again")
    if len(data) > MAX_FILE_BYTES:
        raise _too_many_bytes(where)
    return data


def _check_kind(status: os.stat_result, where: str) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise _folder(where)
    if not stat.S_ISREG(status.st_mode):
        raise FrameError(
            "this is a pipe or a device, not a file", where=where, hint="write the frame to a file first"
        )
    if status.st_size > MAX_FILE_BYTES:
        raise _too_many_bytes(where)


def _folder(where: str) -> FrameError:
    return FrameError(
        "this is a folder, not an image file",
        where=where,
        hint=f"name the files in it, e.g. {Path(where) / '*.png'}",
        choices=FORMATS,
    )


def _hint_missing(where: str) -> str:
    parent = Path(where).parent
    return (
        "check the path" if parent.is_dir() else f"the folder {parent} does not exist either; check the path"
    )


def _too_many_bytes(where: str) -> FrameError:
    return FrameError(
        f"the file is larger than {MAX_FILE_BYTES // 2**20} MiB, the limit for a frame",
        where=where,
        hint="cut the frame to the part that is inspected",
    )
