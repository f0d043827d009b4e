"""Colours: the frame as 8 bits per channel, and the saliency map in colours over the frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from gagrad_edge.method.reference import quantile
from gagrad_runtime.language import text

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gagrad_runtime.frame.frame import Frame

    Canvas = NDArray[np.uint8]
    Array = NDArray[np.float32]

# Inferno: its lightness rises evenly from black to pale yellow, so that brighter always means "looked at
# more", also for the colour-blind and on a black-and-white print. The map needs a dark ground, so the frame
# under the map becomes dim grey: no part of the frame is then as bright or as coloured as the map.
_MAP = cv2.COLORMAP_INFERNO
_GROUND_BLACK, _GROUND_WHITE = 18.0, 118.0
"""Grey levels of the dimmed frame: light enough to recognise the part, darker than the upper map."""

_TOP_SHARE = 0.005
"""Share of the map's pixels that have the top colour: the guide gives a few pixels far larger values than
others."""


@dataclass(frozen=True)
class Scale:
    """Colour scale: map values from 0 to ``top`` linearly; values above ``top`` have the top colour."""

    top: float
    """Map value of the top colour."""
    softened: float
    """Standard deviation, in model pixels, of the blur that the shown map went through; 0 for none."""
    good_parts: int | None = None
    """Number of good parts whose highest values are half of ``top``; None when the map scales itself."""

    def shown(self, values: Array) -> Array:
        """Return map ``values`` as positions on the colour scale: 0 is its bottom, 1 its top."""
        shown: Array = np.clip(values / np.float32(self.top), 0, 1)
        return shown

    @property
    def note(self) -> str:
        """How the map was changed for display, in words."""
        colours = text("the highest {top} % of the map share the top colour", top=f"{_TOP_SHARE * 100:g}")
        if self.good_parts is not None:
            colours = text("the colours compare the map with {count} good parts", count=self.good_parts)
        if not self.softened:
            return colours
        return text(
            "the map is softened over {blur} model pixels; {colours}",
            blur=f"{self.softened:g}",
            colours=colours,
        )


def scale_of(values: Array, softened: float) -> Scale:
    """Return the scale of a map by itself: its highest ``_TOP_SHARE`` of ``values`` get the top colour.

    ``softened`` is the blur's standard deviation as ``soften`` returned it. Values of 0 do not count: on a
    frame of which the model sees only a part, the zeros of the rest would lower the top.
    """
    values = values[values > 0]
    return Scale(_quantiles(values, 1 - _TOP_SHARE)[0] if values.size else 1.0, softened)


def to_eight_bits(frame: Frame, pixels: NDArray[Any]) -> tuple[Canvas, str | None]:
    """Return ``pixels`` (of ``frame``, resampled) as uint8 [h, w, 3] RGB, and a note if values were changed.

    A uint16 frame is stretched from its darkest to its brightest value, as no screen has 65,536 levels; one
    that states its own white goes from 0 to that.
    """
    note = None
    if frame.white is not None:
        pixels = pixels.astype(np.float32) * np.float32(255 / frame.white)
    elif frame.pixels.dtype == np.uint16:
        dark, bright = int(frame.picture.min()), int(frame.picture.max())
        span = max(bright - dark, 1)
        pixels = (pixels.astype(np.float32) - dark) * np.float32(255 / span)
        note = text(
            "the frame is stretched for viewing: its values {dark} to {bright} are shown as black to white",
            dark=dark,
            bright=bright,
        )
    eight = np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
    return (eight if eight.ndim == 3 else np.repeat(eight[..., None], 3, axis=2)), note


def overlay(picture: Canvas, shown: Array, levels: tuple[float, float] | None = None) -> Canvas:
    """Return ``picture [h, w, 3]`` as dim grey with the map ``shown [h, w]`` (0..1) in colour over it.

    ``levels`` are the ``ground_levels`` of the whole picture, where ``picture`` is a part of it.
    """
    return _blend(_ground(picture, levels or ground_levels(picture)), shown)


def ground_levels(picture: Canvas) -> tuple[float, float]:
    """Return the grey levels of ``picture [h, w, 3]`` that become the darkest and the brightest ground."""
    grey = np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.float32)
    dark, bright = _quantiles(grey, 0.01, 0.99)
    return dark, bright


def _quantiles(values: Array, *shares: float) -> list[float]:
    """Return quantiles of ``values``. numpy's would load masked arrays, for 10 ms of each start."""
    row = values.reshape(1, -1)
    return [float(quantile(row, share)[0]) for share in shares]


def colour_bar(height: int, width: int) -> Canvas:
    """Return the scale as uint8 [height, width, 3]: the top colour above, over the middle of the ground."""
    shown = np.linspace(1, 0, height, dtype=np.float32)[:, None].repeat(width, axis=1)
    ground = np.full((height, width), (_GROUND_BLACK + _GROUND_WHITE) / 2, np.float32)
    return _blend(ground, shown)


def map_colours() -> tuple[Canvas, Array]:
    """Return the colour [256, 3] and the opacity [256], 0..1, of each level of a shown map."""
    levels = np.arange(256, dtype=np.uint8)
    shown: Array = np.linspace(0, 1, 256, dtype=np.float32)
    coloured = cv2.cvtColor(cv2.applyColorMap(levels[:, None], _MAP), cv2.COLOR_BGR2RGB)
    return np.asarray(coloured[:, 0], np.uint8), _opacity(shown)


def _opacity(shown: Array) -> Array:
    """Low values show the frame, the highest only colour; the root makes middle values visible."""
    share: Array = np.sqrt(shown) * np.float32(0.95)
    return share


def _ground(picture: Canvas, levels: tuple[float, float]) -> Array:
    """Return the frame as dim grey with its contrast stretched, so that a dark part can be recognised."""
    grey = np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.float32)
    dark, bright = levels
    # Stretched fourfold at most, so that the noise of a plain dark frame does not become a pattern.
    span = max(bright - dark, 64.0)
    stretched = np.clip((grey - (dark + bright) / 2) / np.float32(span) + 0.5, 0, 1)
    return np.asarray(_GROUND_BLACK + (_GROUND_WHITE - _GROUND_BLACK) * stretched, np.float32)


def _blend(ground: Array, shown: Array) -> Canvas:
    levels = np.rint(shown * 255).astype(np.uint8)
    coloured = cv2.cvtColor(cv2.applyColorMap(levels, _MAP), cv2.COLOR_BGR2RGB).astype(np.float32)
    share = _opacity(shown)[..., None]
    blended: Canvas = np.rint(ground[..., None] * (1 - share) + coloured * share).astype(np.uint8)
    return blended
