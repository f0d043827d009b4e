"""A frame in a file of numpy, ``.npy``: its header is checked before any memory is taken."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from gagrad_edge.errors import FrameError
from gagrad_runtime.frame.decoding import check_size

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAGIC = b"\x93NUMPY"
"""First bytes of the file."""
ENDING = ".npy"
_HEADER = 4096
"""Longest header in bytes; that of a frame has 118."""


def read_npy(data: bytes, *, where: str) -> NDArray[Any]:
    """Return the array in ``data``; it shares the memory. ``where`` names the file in errors.

    Raises FrameError: no array of numbers with two or three axes, too large, or a file that is damaged.
    """
    stream = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(stream)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"format version {version[0]}.{version[1]}")
        read = np.lib.format.read_array_header_1_0
        if version == (2, 0):
            read = np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(stream, max_header_size=_HEADER)
    except Exception as error:  # a header is an expression of Python, and its parser raises many things
        raise FrameError(
            f"the .npy file is damaged ({error})", where=where, hint="write it again with numpy.save"
        ) from error
    if dtype.hasobject or dtype.kind not in "buif":
        raise FrameError(
            f"the array holds {'objects' if dtype.hasobject else dtype}, not numbers",
            where=where,
            hint="save it as numpy.uint8, numpy.uint16, or floats from 0 to 1",
        )
    if len(shape) not in (2, 3):
        raise FrameError(
            f"the array's shape is {'×'.join(map(str, shape)) or 'empty'}; a frame is height×width, or "
            "height×width×channels",
            where=where,
            hint="save one frame to a file, channels last",
        )
    if 0 not in shape:
        check_size(shape[1], shape[0], where=where)
    start, size = stream.tell(), math.prod(shape) * dtype.itemsize
    if len(data) - start != size:
        raise FrameError(
            f"the .npy file is cut short or damaged: its header says {size} bytes of values, and it has "
            f"{len(data) - start}",
            where=where,
            hint="copy or record the frame again",
        )
    values = np.frombuffer(data, dtype, offset=start)
    return values.reshape(shape, order="F" if fortran else "C")
