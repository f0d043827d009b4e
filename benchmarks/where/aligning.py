"""The study's good reference: good parts brought to one pose, and a part compared with their median there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from benchmarks.where.drawing import SIZE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float32]
    Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Good:
    """Median and spread of good parts, in the pose of the first."""

    grey: Array
    """Median of the standardised grey, ``[H, W]``."""
    medians: dict[str, Array]
    """By representation, see ``seen``: ``[H, W, channels]``."""
    spreads: dict[str, Array]
    colour: Array
    """Median of the pictures ``[H, W, 3]``."""


def grey(picture: Picture | Array) -> Array:
    """Return the grey picture ``[H, W]`` with mean 0 and deviation 1, softened by a pixel."""
    plain = cv2.cvtColor(picture.astype(np.float32), cv2.COLOR_RGB2GRAY)
    soft = cv2.GaussianBlur(plain, (0, 0), 1.0)
    return np.asarray((soft - soft.mean()) / max(float(soft.std()), 1e-6), np.float32)


def seen(picture: Picture | Array) -> dict[str, Array]:
    """Return a picture as it may be compared: standardised grey; colours on the grey's scale; also without shade."""
    soft = cv2.GaussianBlur(picture.astype(np.float32), (0, 0), 1.0)
    plain = cv2.cvtColor(soft, cv2.COLOR_RGB2GRAY)
    deviation = max(float(plain.std()), 1e-6)
    colours = (soft - soft.mean((0, 1))) / deviation
    shade = cv2.GaussianBlur(colours, (0, 0), 0.12 * SIZE)
    return {
        "grey": np.asarray(((plain - plain.mean()) / deviation)[..., None], np.float32),
        "colour": np.asarray(colours, np.float32),
        "detail": np.asarray(colours - shade, np.float32),
    }


def pose(fixed: Array, moving: Array) -> tuple[Array, float]:
    """Return the affine map ``[2, 3]`` from pixels of ``fixed`` to those of ``moving``, and their correlation."""
    best, found = -1.0, np.asarray(np.eye(2, 3), np.float32)
    everywhere = np.full((SIZE, SIZE), 255, np.uint8)
    for angle in (-4.0, 0.0, 4.0):
        fit = -1.0
        turn = np.asarray(cv2.getRotationMatrix2D((SIZE / 2 - 0.5, SIZE / 2 - 0.5), angle, 1.0), np.float32)
        try:
            for blur in (9, 5):
                stop = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 40, 1e-4)
                fit, turned = cv2.findTransformECC(
                    fixed, moving, turn, cv2.MOTION_EUCLIDEAN, stop, everywhere, blur
                )
                turn = np.asarray(turned, np.float32)
        except cv2.error:
            continue
        if fit > best:
            best, found = fit, turn
    return found, best


def brought(picture: Array, warp: Array) -> Array:
    """Return ``picture`` in the pose of the reference."""
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(
        cv2.warpAffine(picture, warp, (SIZE, SIZE), flags=flags, borderMode=cv2.BORDER_REPLICATE), np.float32
    )


def sent(picture: Array, warp: Array) -> Array:
    """Return a map of the reference in the pose of the part."""
    return np.asarray(
        cv2.warpAffine(picture, warp, (SIZE, SIZE), borderMode=cv2.BORDER_REPLICATE), np.float32
    )


def good(pictures: Sequence[Picture]) -> Good:
    """Return the reference of good parts."""
    first = grey(pictures[0])
    turned = [pictures[0].astype(np.float32)]
    for picture in pictures[1:]:
        warp, _ = pose(first, grey(picture))
        turned.append(brought(picture.astype(np.float32), warp))
    stacks = {key: np.stack([seen(one)[key] for one in turned]) for key in seen(turned[0])}
    return Good(
        np.asarray(np.median(np.stack([grey(one) for one in turned]), 0), np.float32),
        {key: np.asarray(np.median(stack, 0), np.float32) for key, stack in stacks.items()},
        {key: np.asarray(stack.std(0), np.float32) for key, stack in stacks.items()},
        np.asarray(np.median(np.stack(turned), 0), np.float32),
    )


def differences(reference: Good, picture: Picture) -> tuple[dict[str, Array], Array, float]:
    """Return d ``[H, W]`` by representation in the pose of the part, the map to it, and how well it fits."""
    warp, fit = pose(reference.grey, grey(picture))
    here = seen(brought(picture.astype(np.float32), warp))
    found = {}
    for key, values in here.items():
        for base in (0.1, 0.3):
            d = (np.abs(values - reference.medians[key]) / (reference.spreads[key] + base)).max(2)
            found[f"{key} {base}"] = sent(cv2.GaussianBlur(d, (0, 0), 1.0), warp)
    return found, warp, fit
