"""What the model got of the frame, where that differs from the frame so that a person should see it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gagrad_runtime.language import listed, text

if TYPE_CHECKING:
    from gagrad_runtime.explanation.explanation import Explanation
    from gagrad_runtime.frame.frame import Frame

ALL = 0.999
"""Share of the frame that the model must see for nothing of it to count as cut off."""
_BARS = 0.02
"""Share of the model's image beside the frame from which its bars are worth seeing."""
_SQUEEZED = 1.25
"""Ratio of the two scales from which proportions have changed visibly."""
_SMALLER = 4
"""Frame pixels to one of the model's, along each axis, from which small things may have vanished."""
_LARGER = 2
"""Model pixels to one of the frame's from which the model's image is visibly blurred."""
_DARKEST, _BRIGHTEST = 40, 200
"""Grey levels of the model's image within which the values of a 16-bit frame fill its range well enough."""


def differences(explanation: Explanation) -> tuple[str, ...]:
    """Return what was done to the frame before the model got it, in words; empty where it hardly differs."""
    received, placement, frame = explanation.received, explanation.placement, explanation.frame
    if received is None:
        return ()
    down, across = placement.scale
    found = []
    if placement.seen_share < ALL:
        found.append(text("cut"))
    if np.prod(placement.resized) < (1 - _BARS) * np.prod(placement.model_size):
        found.append(text("with bars beside it"))
    if max(down / across, across / down) > _SQUEEZED:
        found.append(text("squeezed") if down * across < 1 else text("stretched out of proportion"))
    if received.ndim == 2 and frame.picture.ndim == 3 and _coloured(frame):
        found.append(text("without colour"))
    if received.ndim == 3 and frame.mono:
        found.append(text("in colours made of the camera's raw pattern"))
    if stretched(frame) and (received.max() < _BRIGHTEST or received.min() > _DARKEST):
        dark = received.max() < _BRIGHTEST
        found.append(
            text("dark, as its 16-bit values are") if dark else text("pale, as its 16-bit values are")
        )
    if max(down, across) * _SMALLER <= 1:
        found.append(text("{times} times smaller", times=f"{1 / max(down, across):.3g}"))
    if min(down, across) >= _LARGER:
        found.append(text("{times} times enlarged", times=f"{min(down, across):.3g}"))
    return tuple(found)


def stretched(frame: Frame) -> bool:
    """Whether pictures show ``frame`` with other brightness than it has: see ``colour.to_eight_bits``."""
    return frame.white is None and frame.pixels.dtype == np.uint16


def received_note(explanation: Explanation) -> str | None:
    """Return the sentence on what the model got; None where that hardly differs from the frame."""
    found = differences(explanation)
    if not found:
        return None
    height, width = explanation.placement.model_size
    return text(
        "the model got the frame {how}: {height} pixels high, {width} wide",
        how=listed(found),
        height=height,
        width=width,
    )


def _coloured(frame: Frame) -> bool:
    small = frame.picture[:: max(frame.height // 256, 1), :: max(frame.width // 256, 1)]
    return bool((small != small[..., :1]).any())
