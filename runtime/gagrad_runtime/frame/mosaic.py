"""Colours from the raw frame of a sensor whose pixels see one colour each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2

from gagrad_edge.errors import FrameError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gagrad_edge.manifest import Bayer

_LEAST = 4

# OpenCV's other names for these tell the second row from the second column on.
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
            f"a Bayer frame has at least {_LEAST}×{_LEAST} pixels, this has {raw.shape[1]}×{raw.shape[0]}",
            where=where,
        )
    colours: NDArray[Any] = cv2.cvtColor(raw, _CODES[pattern])
    return colours
