"""The model's image as people see it: what the model got of a frame, in 8 bits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gagrad_edge.input import InputSpec
    from gagrad_runtime.frame.frame import Frame


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
