"""Statistics of one frame, as the camera gives it and as the model gets it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from gagrad_runtime.language import phrase

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from gagrad_edge.input import InputSpec
    from gagrad_runtime.frame.frame import Frame
    from gagrad_runtime.frame.placement import Placement

    Array = NDArray[np.float32]

FLOORS = {"brightness": 0.01, "contrast": 0.05, "sharpness": 0.05}
"""Least spread of each statistic among good parts; of colours ``COLOUR_FLOOR``. Parts that are photographed
in one hour differ less than those of a month."""
COLOUR_FLOOR = 0.003
_TINY = 1e-4


@dataclass(frozen=True)
class FrameStatistics:
    """What can be said of a frame without a model."""

    size: tuple[int, int]
    """Height and width of the frame."""
    channels: int
    """Of the frame."""
    bits: int
    """Bits that the frame's values use: 8 for uint8, else those of the brightest pixel."""
    brightest: int
    """Largest pixel value of the frame."""
    white: int
    """Pixel value that the model gets as 1."""
    values: Mapping[str, float]
    """Of the model's image, by name: ``brightness``, mean grey 0..1; ``contrast``, log of the grey's
    deviation; ``sharpness``, log of the mean step between neighbours relative to it; for each channel of
    several its level as a share of the grey's, which light does not change."""

    @staticmethod
    def of(frame: Frame, image: Array, placement: Placement, spec: InputSpec) -> FrameStatistics:
        """Return the statistics of ``frame``, and of its ``image [1, C, H, W]`` (0..1) for the model."""
        part = on_frame(image[0], placement)
        grey = part.mean(axis=0, dtype=np.float32)
        brightness, deviation = float(grey.mean()), float(grey.std())
        steps = [float(np.abs(np.diff(grey, axis=axis)).mean()) for axis in (0, 1) if grey.shape[axis] > 1]
        values = {
            "brightness": brightness,
            "contrast": math.log(deviation + _TINY),
            "sharpness": math.log((sum(steps) + _TINY) / (deviation + _TINY)),
        }
        if len(part) > 1:
            colours = ["red", "green", "blue"]
            level = _level(grey)
            names = spec.channel_names or (colours[::-1] if spec.colour == "bgr" else colours)
            for name, channel in zip(names, part, strict=True):
                values[f"share of {name}"] = _level(channel) / (level + _TINY)
        eight = frame.pixels.dtype == np.uint8
        brightest = int(frame.pixels.max())
        white = 255 if eight else frame.white or (1 << spec.bit_depth) - 1
        bits = 8 if eight else max(brightest.bit_length(), 1)
        return FrameStatistics((frame.height, frame.width), frame.channels, bits, brightest, white, values)

    def doubts(self) -> list[str]:
        """Return what is wrong with the frame whatever good parts are like, in words; empty for nothing."""
        if self.white > 255 and self.brightest <= self.white // 4:
            return [
                phrase(
                    "values only up to {brightest} of {white}: a {bits}-bit camera?",
                    brightest=self.brightest,
                    white=self.white,
                    bits=max(self.bits, 9),
                )
            ]
        return []


def _level(channel: Array) -> float:
    """Return the median over 8 × 8 fields of the mean of ``channel [h, w]``: a stain does not change it."""
    return float(np.median(cv2.resize(np.ascontiguousarray(channel), (8, 8), interpolation=cv2.INTER_AREA)))


def floors(names: Iterable[str]) -> dict[str, float]:
    """Return the least spread of each of the statistics ``names``."""
    return {name: FLOORS.get(name, COLOUR_FLOOR) for name in names}


def on_frame(image: Array, placement: Placement) -> Array:
    """Return the part of ``image [C, H, W]`` that shows the frame, without the padding beside it."""
    top, left, height, width = window_of(placement)
    return image[:, top : top + height, left : left + width]


def window_of(placement: Placement) -> tuple[int, int, int, int]:
    """Return where the frame is in the model's image: top, left, height, width."""
    bounds = []
    for axis in (0, 1):
        first = max(placement.offset[axis], 0)
        after = min(placement.offset[axis] + placement.resized[axis], placement.model_size[axis])
        bounds.append((first, max(after - first, 1)))
    (top, height), (left, width) = bounds
    return top, left, height, width
