"""From a frame to the model's image, and that image for people: channels, depth, resampling, placement."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from msgspec.structs import replace

from gagrad_edge.errors import FrameError
from gagrad_runtime.frame.placement import _BLUE, _RED, Placement, place, resample
from gagrad_runtime.frame.resampling import resample_as

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gagrad_edge.input import Bayer, InputSpec
    from gagrad_runtime.frame.frame import Frame

    Array = NDArray[np.float32]


def prepare(frame: Frame, spec: InputSpec) -> tuple[Array, Placement]:
    """Return the image ``[1, C, H, W]`` float32 in 0..1 that ``spec`` asks for, and where the frame is in it.

    A mono frame becomes three equal channels for a colour model, or its colours where the spec declares a
    Bayer pattern; a colour frame becomes BT.601 luma for a mono model. Channels that are no colours are
    resampled each by itself. A frame of the wanted size is not resampled. Works from 1×1 pixels on. Raises
    FrameError for a frame with another number of channels than the model takes, for a uint16 frame with
    values above the bundle's bit depth, for a raw one that is too small, and for one so long that a centre
    crop would fill the memory.
    """
    _check_channels(frame, spec)
    if frame.fitted:
        spec = replace(
            spec, resize="stretch", resize_to=None, crop_ratio=None, pad_value=0, pad_place="centre"
        )
    white = _white(frame, spec)
    placement = place((frame.height, frame.width), spec)
    if math.prod(placement.resized) > _LARGEST:
        raise FrameError(
            f"the frame, {frame.height} high and {frame.width} wide, would be {placement.resized[0]} high "
            f"and {placement.resized[1]} wide before its centre is cut",
            where=frame.source,
            hint="cut such a long frame first, or export the bundle with `resize=letterbox`",
        )
    top, left, height, width = placement.window
    pixels: NDArray[Any] = frame.pixels
    if frame.mono and spec.bayer:
        pixels = demosaiced(pixels, spec.bayer, where=frame.source)
    window = pixels[top : top + height, left : left + width]
    image = np.zeros((1, *spec.shape), np.float32)
    for index, channel in enumerate(_channels(window, spec)):
        # One channel at a time: a float32 copy of a large colour frame would be twelve bytes per pixel.
        if spec.semantics is None:
            resampled = resample(channel, placement.resized)
        else:
            resampled = resample_as(channel, placement.resized, spec, white)
        image[0, index] = _put(resampled, placement)
    if window.ndim == 2 and spec.colour in ("rgb", "bgr"):
        image[0, 1:] = image[0, 0]
    np.minimum(image / np.float32(white), 1, out=image)
    if spec.pad_value:
        _pad(image, placement, np.float32(spec.pad_value) / np.float32(255))
    return image, placement


def as_shown(image: NDArray[np.float32], spec: InputSpec, frame: Frame) -> NDArray[np.uint8]:
    """Return ``image [1, C, H, W]``, 0..1, that ``spec`` made of ``frame``: [H, W], or [H, W, 3] in RGB.

    Of channels that are no colours those are taken that pictures of the frame show. Three equal channels, as
    a grey frame gives, are one.
    """
    planes = image[0]
    if spec.colour == "channels":
        planes = planes[list(frame.shown) or [0]]
    elif spec.colour == "bgr":
        planes = planes[::-1]
    if len(planes) == 3 and (planes[0] == planes[1]).all() and (planes[0] == planes[2]).all():
        planes = planes[:1]
    eight = np.rint(np.clip(planes, 0, 1) * 255).astype(np.uint8)
    return eight[0] if len(eight) == 1 else np.ascontiguousarray(eight.transpose(1, 2, 0))


def _check_channels(frame: Frame, spec: InputSpec) -> None:
    """Raise FrameError where the frame has another number of channels than the model takes."""
    if spec.colour == "channels":
        if frame.channels == spec.channels:
            return
        names = ", ".join(spec.channel_names)
        needed, hint = (
            f"{spec.channels} ({names})",
            (
                f"give a TIFF file of {spec.channels} pages or bands, a .npy file or an array height×width×"
                f'{spec.channels}; `load_frame(..., colour="channels")` keeps all channels of a frame'
            ),
        )
    elif frame.channels in (1, 3):
        return
    else:
        needed = "3 (red, green, blue) or 1" if spec.colour != "mono" else "1, or 3 colours"
        hint = "give a colour or grey frame"
    have = f"{frame.channels} channel" + ("s" if frame.channels > 1 else "")
    raise FrameError(
        f"the frame has {have}, and the model needs {needed}",
        where=frame.source,
        hint=hint,
    )


def _channels(window: NDArray[Any], spec: InputSpec) -> list[NDArray[Any]]:
    """Return the channels to resample, in the order of the image."""
    if window.ndim == 2:
        return [window]
    if spec.colour == "channels":
        return [window[..., index] for index in range(spec.channels)]
    red, green, blue = (window[..., index] for index in range(3))
    if spec.colour == "mono":
        # Written as differences so that a grey pixel keeps its value to the last bit.
        exact = green.astype(np.float32)
        luma = exact + np.float32(_RED) * (red - exact) + np.float32(_BLUE) * (blue - exact)
        # Pillow and OpenCV make a grey image of whole values before they resample it.
        return [np.rint(luma).astype(window.dtype) if spec.semantics in ("pil", "opencv") else luma]
    return [blue, green, red] if spec.colour == "bgr" else [red, green, blue]


def _put(resampled: Array, placement: Placement) -> Array:
    """Return ``resampled`` padded with black or cut to the model's size."""
    if resampled.shape == placement.model_size:
        return resampled
    (height, width), (top, left) = placement.model_size, placement.offset
    image = np.zeros((height, width), np.float32)
    part = resampled[max(-top, 0) : height - top, max(-left, 0) : width - left]
    image[max(top, 0) :, max(left, 0) :][: part.shape[0], : part.shape[1]] = part
    return image


def _pad(image: Array, placement: Placement, value: np.float32) -> None:
    """Set what lies beside the frame in ``image [1, C, H, W]`` to ``value``."""
    (top, left), (height, width) = placement.offset, placement.resized
    beside = np.ones(placement.model_size, np.bool_)
    beside[max(top, 0) : top + height, max(left, 0) : left + width] = False
    image[..., beside] = value


def _white(frame: Frame, spec: InputSpec) -> int:
    """Return the pixel value that becomes 1: the frame's own white, or the largest of the bit depth."""
    if frame.pixels.dtype == np.uint8:
        return 255
    if frame.white is not None:
        return frame.white
    white = (1 << spec.bit_depth) - 1
    brightest = int(frame.pixels.max())
    if brightest > white:
        needed = max(brightest.bit_length(), 9)
        raise FrameError(
            f"the frame has values up to {brightest}; the bundle's {spec.bit_depth} bits end at {white}",
            where=frame.source,
            hint=f"scale the frame to {spec.bit_depth} bits or export the bundle for {needed}-bit frames",
        )
    return white


_LARGEST = 1 << 28
"""Most pixels that a frame is resampled to before its centre is cut: 1 GB for a channel in float32."""

_LEAST = 4
"""Rows and columns that a Bayer frame has at least: demosaicing needs neighbours."""

# These constants name the first two rows; OpenCV's older names (BayerBG2RGB) start one row and column later.
_CODES: dict[Bayer, int] = {
    "rggb": cv2.COLOR_BayerRGGB2RGB,
    "bggr": cv2.COLOR_BayerBGGR2RGB,
    "grbg": cv2.COLOR_BayerGRBG2RGB,
    "gbrg": cv2.COLOR_BayerGBRG2RGB,
}


def demosaiced(raw: NDArray[Any], pattern: Bayer, *, where: str) -> NDArray[Any]:
    """Return ``raw [H, W]``, uint8 or uint16, as RGB [H, W, 3] of the same type; bilinear.

    ``pattern`` names the colours of the first two pixels of the first row and of the second. Raises
    FrameError for a frame that is too small to have neighbours.
    """
    if min(raw.shape) < _LEAST:
        raise FrameError(
            f"a Bayer frame is at least {_LEAST} high and {_LEAST} wide, this is {raw.shape[0]} high and "
            f"{raw.shape[1]} wide",
            where=where,
        )
    colours: NDArray[Any] = cv2.cvtColor(raw, _CODES[pattern])
    return colours
