"""From the small class activation map of the ``cam`` graph to a saliency map of the image's size."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float32]


def class_activation_map(cam: Array, size: tuple[int, int]) -> Array:
    """Return the saliency map ``[H, W]`` in 0..1 for ``cam [h, w]``; ``size`` is (H, W).

    In pytorch-grad-cam's order: what speaks against the target is cut off, then min-max, then bilinear
    interpolation (OpenCV), then min-max again, as interpolation may miss the extremes. There is no ε in the
    quotients, so a map of small gradients keeps its contrast; a constant one becomes all zeros.
    """
    scaled = _min_max(np.maximum(np.asarray(cam, np.float32), 0))
    resized = cv2.resize(scaled, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
    return _min_max(np.asarray(resized, np.float32))


def _min_max(values: Array) -> Array:
    low = values.min()
    span = values.max() - low
    scaled: Array = (values - low) / span if span > 0 else np.zeros_like(values)
    return scaled
