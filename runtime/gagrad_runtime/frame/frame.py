"""Frame: checked pixels of a file, an array, a PIL image or a tensor.

Every frame that the command line, the Python interface or a test explains is loaded here, so that the same
part gives the same pixels whichever form it came in.
"""

from __future__ import annotations

import hashlib
import os
import reprlib
import stat
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np
from PIL import Image

from gagrad_edge.errors import FrameError, SettingError
from gagrad_runtime.frame.arrays import from_array, from_tensor
from gagrad_runtime.frame.decoding import FORMATS, decode, from_picture
from gagrad_runtime.frame.npy import MAGIC, read_npy

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from gagrad_edge.input import InputSpec
    from gagrad_runtime.frame.arrays import ArrayPixels, Colour
    from gagrad_runtime.frame.decoding import Decoded

    class DlpackTensor(Protocol):
        """A tensor of another library that hands over its memory."""

        def __dlpack__(self, *arguments: Any, **options: Any) -> Any:
            """Return the capsule."""

        def __dlpack_device__(self) -> tuple[Any, Any]:
            """Return the kind and the number of the device."""

    Pixels: TypeAlias = NDArray[Any] | Image.Image | DlpackTensor
    FrameSource: TypeAlias = "str | os.PathLike[str] | bytes | bytearray | memoryview | Pixels | Frame"

ARRAY = "array"
"""``Frame.source`` of a frame that came from memory and was given no name."""


@dataclass(frozen=True, eq=False, repr=False)
class Frame:
    """The pixels of one frame: upright, without transparency, with all their bits."""

    pixels: NDArray[np.uint8] | NDArray[np.uint16]
    """[H, W], [H, W, 3] in RGB order, or [H, W, C] of channels that are no colours; contiguous, read-only."""
    source: str
    """The path or name as it was given; ``array`` for a frame from memory without a name."""
    notes: tuple[str, ...] = ()
    """Changes that were made to the stored pixels, in words, e.g. ``EXIF orientation 6 applied``."""
    exif: Mapping[str, str] = field(default_factory=dict)
    """What the camera wrote about itself and the exposure, by EXIF name."""
    white: int | None = None
    """Pixel value of white where the frame states it (one made of floats); None: by the bundle's bit
    depth."""
    fitted: bool = False
    """Whether the pixels are the model's image already, as a bundle's test frame is: then they are stretched
    to its size, if need be, and never cut or padded as frames of a camera are."""
    shown: Mapping[int, str] = field(default_factory=dict)
    """Of channels that are no colours, the one or three that pictures show, and their names; empty for grey
    and colours."""

    def __repr__(self) -> str:
        kind = {1: "mono", 3: "RGB"}.get(self.channels, f"{self.channels} channels")
        if self.shown:
            kind = f"{self.channels} channel" + ("s" if self.channels > 1 else "")
        size = f"{self.height} high, {self.width} wide"
        return f"Frame({reprlib.repr(self.name)}, {size}, {self.pixels.dtype} {kind})"

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
    def channels(self) -> int:
        """Number of channels C."""
        return 1 if self.pixels.ndim == 2 else int(self.pixels.shape[2])

    @cached_property
    def picture(self) -> NDArray[Any]:
        """The pixels that pictures show: [H, W], or [H, W, 3] as red, green and blue."""
        if not self.shown and self.channels in (1, 3):
            return self.pixels
        # None are declared for a frame without a model: the first channel then, as grey.
        indices = list(self.shown) or [0]
        planes = self.pixels if self.pixels.ndim == 3 else self.pixels[..., None]
        return planes[..., indices[0] if len(indices) == 1 else indices]

    @cached_property
    def sha256(self) -> str:
        """SHA-256, in hex, of the pixels with their shape and type: equal for equal frames only."""
        digest = hashlib.sha256(f"{self.pixels.shape} {self.pixels.dtype.name}\n".encode())
        digest.update(np.ascontiguousarray(self.pixels, self.pixels.dtype.newbyteorder("<")).data)
        return digest.hexdigest()

    @property
    def name(self) -> str:
        """The file's name without its folders, fit to print: bytes that are no UTF-8 become ``?``."""
        return Path(self.source).name.encode("utf-8", "replace").decode()


FORMS = (
    "a path",
    "the bytes of an image file",
    "a numpy array",
    "a PIL image",
    "a CPU tensor (torch or any other with DLPack)",
)
"""Every form in which a frame is taken."""


def frame_for(spec: InputSpec, source: FrameSource, *, colour: Colour = "rgb") -> Frame:
    """Return the frame in ``source``, as ``load_frame`` does, with the channels that ``spec`` asks for.

    For a model whose channels are no colours all pages and bands of a file and all channels of an array are
    kept, and ``colour`` is the order of colours for other models only. Raises as ``load_frame``.
    """
    if spec.colour != "channels":
        return load_frame(source, colour=colour)
    frame = load_frame(source, colour="channels")
    return replace(frame, shown={index: spec.channel_names[index] for index in spec.shown})


def load_frame(source: FrameSource, *, colour: Colour = "rgb", name: str | None = None) -> Frame:
    """Return the frame in ``source``.

    ``source`` is a path, the bytes of an image file, a numpy array, a PIL image, or a tensor on the CPU
    (torch, or anything else that speaks DLPack):

    - Files and their bytes: PNG, JPEG, TIFF and BMP with 1 to 16 bits per channel, mono or colour, and .npy
      of numpy, read as arrays are.
    - Arrays and tensors: [H, W], [H, W, 1], [H, W, 3] or [H, W, 4]; a tensor also channels first, [1, H, W]
      or [3, H, W], unless its shape can be read both ways. uint8 or uint16, or floats from 0 (black) to 1
      (white). ``colour`` is the order of the channels, ``"rgb"`` or ``"bgr"``; the fourth is transparency.
    - PIL images: as the file they came from, upright by their EXIF orientation.

    ``colour="channels"`` is for 1 to 16 channels that are no colours, such as lights, cameras or bands:
    arrays [H, W, C], and all pages and bands of a file, in their order, transparency among them.

    Arrays and tensors are copied, so that the camera may use its buffer again. Floats that are whole 255ths
    become uint8, so that a frame divided by 255 gives the same map as the frame; others become uint16.
    Transparency is dropped and not blended with a background, because training pipelines do so
    (``convert("RGB")``, ``IMREAD_COLOR``). ``name`` stands for the path of a frame that has none, and names
    its result files.

    Raises FrameError for a frame that cannot be used, SettingError for a ``colour`` that does not exist or
    does not apply.
    """
    _check_colour(colour, source)
    if isinstance(source, Frame):
        return source
    if isinstance(source, np.ndarray):
        return _from_memory(from_array(source, colour, name or ARRAY), name or ARRAY)
    if isinstance(source, (bytes, bytearray, memoryview)):
        if not source:
            raise FrameError("there are no bytes to read a frame from", where=name or ARRAY)
        return _from_bytes(bytes(source), colour, name or ARRAY, name or ARRAY)
    if isinstance(source, (str, os.PathLike)):
        where = os.fspath(source)
        return _from_bytes(read_bytes(where), colour, where, name or where)
    if isinstance(source, Image.Image):
        file = getattr(source, "filename", "")
        file = name or (file if isinstance(file, str) and file else ARRAY)
        return _from_decoded(from_picture(source, where=file, channels=colour == "channels"), file)
    if hasattr(source, "__dlpack__") and hasattr(source, "__dlpack_device__"):
        return _from_memory(from_tensor(source, colour, name or ARRAY), name or ARRAY)
    if hasattr(source, "read"):
        raise FrameError(
            "a frame is not an open file", hint="pass the file's path, or its bytes: file.read()"
        )
    raise FrameError(
        f"a frame is a path, bytes, an array, a PIL image or a tensor, not {type(source).__name__}",
        hint="numpy.asarray(...) makes an array of most pixels",
        choices=FORMS,
    )


def _check_colour(colour: str, source: object) -> None:
    orders = ("rgb", "bgr", "channels")
    if colour not in orders:
        raise SettingError(f"there is no colour order {colour!r}", where="colour", choices=orders)
    stated = isinstance(source, (Frame, str, os.PathLike, bytes, bytearray, memoryview, Image.Image))
    if colour == "bgr" and stated:
        raise SettingError(
            "the order of the colours is known for files, PIL images and loaded frames",
            where="colour",
            hint="leave colour out, or pass the array that cv2.imread returned",
        )


def _from_bytes(data: bytes, colour: Colour, where: str, name: str) -> Frame:
    if data.startswith(MAGIC):
        return _from_memory(from_array(read_npy(data, where=where), colour, where), name)
    return _from_decoded(decode(data, where=where, channels=colour == "channels"), name)


def _from_decoded(decoded: Decoded, source: str) -> Frame:
    return _frame(decoded.pixels, source, notes=decoded.notes, exif=decoded.exif)


def _from_memory(found: ArrayPixels, source: str) -> Frame:
    return _frame(found.pixels, source, notes=found.notes, white=found.white)


def _frame(pixels: NDArray[Any], source: str, **fields: Any) -> Frame:
    owned = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("="))
    owned.flags.writeable = False
    return Frame(owned, source, **fields)


MAX_FILE_BYTES = 1 << 30
"""Largest file that is read: 100 million 16-bit colour pixels, not compressed, are 600 MB."""


def read_bytes(where: str) -> bytes:
    """Return the bytes of the regular file ``where``. Never waits: a pipe or a device is refused."""
    try:
        # Without O_NONBLOCK, opening a pipe that nobody writes to would wait for ever.
        descriptor = os.open(where, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(descriptor, "rb") as stream:
            status = os.fstat(stream.fileno())
            _check_kind(status, where)
            # As much as it has, and a little to see whether it grows: a buffer of that size is made at once.
            data = stream.read(min(status.st_size, MAX_FILE_BYTES) + 1)
            if len(data) > status.st_size:
                data += stream.read(MAX_FILE_BYTES + 1 - len(data))
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
