"""Arrays and tensors: from values in memory to the pixels of a frame."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from gagrad_edge.errors import FrameError
from gagrad_edge.input import MAX_CHANNELS
from gagrad_runtime.frame.decoding import check_size

if TYPE_CHECKING:
    from numpy.typing import NDArray

Colour = Literal["rgb", "bgr", "channels"]
"""Order of the colour channels of an array or tensor; OpenCV's is ``bgr``. ``channels`` are no colours, such
as lights or bands, and stay as they are."""

_COUNTS = {"rgb": (1, 3, 4), "bgr": (1, 3, 4), "channels": tuple(range(1, MAX_CHANNELS + 1))}
"""Numbers of channels that an array may have; four colours are three and transparency."""

_DLPACK_CPU = 1
"""``kDLCPU`` of DLPack."""

_WHOLE = 1e-3
"""How far a float times 255 may be from a whole number and still count as one: float32 is 2e-5 off at
most."""


class ArrayPixels(NamedTuple):
    """Pixels of an array or tensor: a copy of its own, in RGB order."""

    pixels: NDArray[Any]
    """uint8 or uint16, [H, W] or [H, W, 3]; of ``channels`` [H, W, C]."""
    notes: tuple[str, ...]
    """Changes that were made to the values, in words."""
    white: int | None
    """Pixel value of white for floats that became uint16; None: by the bundle's bit depth."""


def from_tensor(tensor: Any, colour: Colour, name: str) -> ArrayPixels:
    """Return the pixels of a DLPack ``tensor``, [H, W], [H, W, C] or [C, H, W], as ``from_array``."""
    return from_array(_channels_last(_on_cpu(tensor, name), colour, name), colour, name)


def _on_cpu(tensor: Any, name: str) -> NDArray[Any]:
    """Return a DLPack ``tensor`` as an array that shares its memory; torch is not imported for it."""
    kind = int(tensor.__dlpack_device__()[0])
    if kind != _DLPACK_CPU:
        raise FrameError(
            "the tensor is not in the CPU's memory",
            where=name,
            hint="copy it there first: frame.cpu() in torch",
        )
    try:
        return np.from_dlpack(tensor)
    except Exception as error:  # each library refuses in its own way: gradients, types, sparse layouts
        raise FrameError(
            f"the tensor cannot be read ({error})",
            where=name,
            hint="pass its values as uint8, uint16 or float32, in torch frame.detach().float()",
        ) from error


def _channels_last(array: NDArray[Any], colour: Colour, name: str) -> NDArray[Any]:
    """Return ``array`` as [H, W] or [H, W, C]: turned when it can only be [C, H, W]."""
    first = _COUNTS["channels"] if colour == "channels" else (1, 3)
    if array.ndim != 3 or array.shape[0] not in first:
        return array
    if array.shape[2] in _COUNTS[colour]:
        raise FrameError(
            f"the tensor's shape {_shape(array)} may be channels×height×width or height×width×channels",
            where=name,
            hint="a numpy array is height×width×channels: pass frame.permute(1, 2, 0).numpy() in torch",
        )
    return np.moveaxis(array, 0, -1)


def from_array(array: NDArray[Any], colour: Colour, name: str) -> ArrayPixels:
    """Return the pixels of ``array`` [H, W] or [H, W, C]; ``name`` names the frame in errors."""
    counts = _COUNTS[colour]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in counts):
        raise _no_frame(array, colour, name)
    if array.size == 0:
        raise FrameError(
            f"the array is empty ({_shape(array)})", where=name, hint="check what the camera returned"
        )
    channels = array.shape[2] if array.ndim == 3 else 1
    check_size(array.shape[1], array.shape[0], where=name, channels=channels)
    _check_type(array, name)
    notes: tuple[str, ...] = ()
    if colour != "channels" and channels == 4:
        opaque = np.iinfo(array.dtype).max if array.dtype.kind == "u" else 1
        if (array[..., 3] != opaque).any():
            notes = ("transparency dropped",)
        array = array[..., :3]
    array = array[..., 0] if array.shape[2:] == (1,) else array
    if colour == "bgr" and array.ndim == 3:
        array = array[..., ::-1]
    white = None
    if array.dtype.kind == "f":
        array, white = _from_floats(array, name)
    return ArrayPixels(np.array(array, array.dtype.newbyteorder("="), order="C"), notes, white)


def _no_frame(array: NDArray[Any], colour: Colour, name: str) -> FrameError:
    """Return the error that the shape of ``array`` is not a frame's."""
    counts = _COUNTS[colour]
    most = f"height×width×channels with 1 to {MAX_CHANNELS} channels" if colour == "channels" else ""
    batch = array.ndim == 4 or (array.ndim == 3 and array.shape[0] in counts)
    hint = "channels, such as lights or bands, are for a model that was exported with `channels`"
    if batch:
        hint = (
            "pass one frame at a time, channels last: numpy.moveaxis(frame, 0, -1) turns it; "
            "a list of frames is explained one by one"
        )
    elif colour == "channels":
        hint = "leave out the channels that the model does not take"
    elif array.ndim != 3:
        hint = ""
    return FrameError(
        f"the array's shape is {_shape(array)}; a frame is height×width, or {most or 'height×width×3'}",
        where=name,
        hint=hint or None,
    )


def _check_type(array: NDArray[Any], name: str) -> None:
    if array.dtype.type in (np.uint8, np.uint16, np.float16, np.float32, np.float64):
        return
    hint = "convert it with .astype(numpy.uint8) or .astype(numpy.uint16)"
    if array.dtype.kind == "b":
        hint = "scale it: frame.astype(numpy.uint8) * 255"
    raise FrameError(
        f"the array is {array.dtype}; a frame is uint8, uint16, or floats from 0 to 1", where=name, hint=hint
    )


def _from_floats(array: NDArray[Any], name: str) -> tuple[NDArray[Any], int | None]:
    """Return floats 0..1 as unsigned integers, and the value of white where the bundle does not know it."""
    low, high = float(array.min()), float(array.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise FrameError(
            "the array has values that are no numbers (NaN or infinity)",
            where=name,
            hint="check what the camera or the steps before return",
        )
    if low < 0 or high > 1:
        hint = "pass the frame before it is normalised with mean and std; the bundle does that"
        if low >= 0:
            white = 255 if high <= 255 else 65535
            hint = f"divide it by {white}, or pass it as numpy.uint8 or numpy.uint16"
        raise FrameError(
            f"the array's floats reach from {low:.4g} to {high:.4g}; a frame's are from 0 to 1",
            where=name,
            hint=hint,
        )
    exact = array.astype(np.float64) * 255
    eight = np.rint(exact)
    if np.abs(exact - eight).max() < _WHOLE:
        return eight.astype(np.uint8), None
    return np.rint(array.astype(np.float64) * 65535).astype(np.uint16), 65535


def _shape(array: NDArray[Any]) -> str:
    return "×".join(map(str, array.shape)) or "empty"
