"""Metrics of one saliency map, as plain functions of arrays.

Where Quantus (0.6) has a metric of the same name, the docstring says whether the two agree.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float32]
    Mask = NDArray[np.bool_]


def mass_on_mask(saliency: Array, mask: Mask) -> float | None:
    """Return the share of the sum of ``saliency [H, W]`` (≥ 0) that lies where ``mask [H, W]`` is true.

    None for an empty mask. A map of zeros has nothing on the mask: 0, or a method would gain by saying
    nothing where it fails. Quantus' Relevance Mass Accuracy (Arras et al. 2022, doi
    10.1016/j.inffus.2021.11.008) is the same, but gives NaN in both cases.
    """
    if not mask.any():
        return None
    total = float(saliency.sum(dtype=np.float64))
    return float(saliency[mask].sum(dtype=np.float64)) / total if total > 0 else 0.0


def concentration(saliency: Array, mask: Mask) -> float | None:
    """Return the map's mass on the mask relative to that of an even map; None for an empty mask.

    Mass divided by the mask's share of the area: small defects can be compared with large ones.
    """
    mass = mass_on_mask(saliency, mask)
    return None if mass is None else mass / float(mask.mean())


def pointing_game(saliency: Array, mask: Mask) -> bool | None:
    """Return whether a highest pixel of ``saliency [H, W]`` lies on ``mask [H, W]``; None for an empty mask.

    Zhang et al. 2016 (arXiv 1608.00507), who also count a hit within 15 pixels: widen the mask for that.
    Quantus' Pointing Game agrees, any of several highest pixels included, with two differences: a map that is
    the same everywhere points nowhere and is no hit here; and an empty mask is a hit there (its NaN becomes
    True in a boolean array).
    """
    if not mask.any():
        return None
    highest = saliency.max()
    return bool(saliency.min() < highest and (saliency[mask] == highest).any())


def widened(mask: Mask, pixels: float) -> Mask:
    """Return ``mask [H, W]`` with all pixels whose centre is within ``pixels`` of one of its own."""
    if pixels <= 0 or not mask.any():
        return mask
    distance = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    near: Mask = distance <= pixels
    return near


def pixel_order(saliency: Array) -> NDArray[np.intp]:
    """Return the flat pixel indices of ``saliency [H, W]``, highest first.

    Equal values come in an order drawn once and for all: in reading order, the flat parts of a coarse map
    (Grad-CAM's zeros) would be taken from the top of the image downwards. Quantus and RISE leave ties to
    ``argsort``.
    """
    drawn = np.random.Generator(np.random.Philox(0)).permutation(saliency.size)
    return np.lexsort((drawn, -saliency.ravel()))


def area_under_curve(values: Sequence[float] | NDArray[np.float64]) -> float:
    """Return the area under ``values`` at even steps from 0 to 1, by the trapezoidal rule.

    As RISE's ``auc``. Quantus' ``calculate_auc`` has steps of 1, so its area is ours times their number.
    """
    curve = np.asarray(values, np.float64)
    return float((curve.sum() - (curve[0] + curve[-1]) / 2) / (len(curve) - 1))
