"""Broken inputs: what goes wrong between a camera and a model, and whether anything notices it."""

from __future__ import annotations

import contextlib
import io
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from benchmarks.where.bundles import FORGOTTEN, bundle, good_images
from benchmarks.where.data import TEST, part
from benchmarks.where.measuring import CALIBRATED, Opened

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Frame = NDArray[Any]

PARTS = ("ok", "scratch", "missing")
"""Parts of each design that are broken in each way."""
INPUT_CODES = (
    "constant-image",
    "few-bits",
    "dark-image",
    "upscaled",
    "frame-unusual",
    "answer-unusual",
)
"""Cautions about what the model got."""


def _twelve_bits(picture: Frame) -> Frame:
    return np.asarray(picture.astype(np.uint16) << 4)


def _dark(picture: Frame) -> Frame:
    return np.asarray(np.round(((picture / 255.0) ** 2.2 * 0.06) ** (1 / 2.2) * 255), np.uint8)


def _cropped(picture: Frame) -> Frame:
    side = len(picture) // 2
    return np.ascontiguousarray(picture[side // 3 : side // 3 + side, side // 4 : side // 4 + side])


def _shifted(picture: Frame) -> Frame:
    return np.asarray(np.roll(picture, (len(picture) // 3, len(picture) // 4), (0, 1)))


def _blurred(picture: Frame) -> Frame:
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), 3.0))


BREAKS: dict[str, Callable[[Frame], Frame]] = {
    "intact (false alarms)": lambda picture: picture,
    "red and blue exchanged": lambda picture: np.ascontiguousarray(picture[..., ::-1]),
    "12 bits in a 16-bit file": _twelve_bits,
    "exposure × 0.06": _dark,
    "wrong crop: a quarter of the frame": _cropped,
    "wrong crop: shifted by a third": _shifted,
    "out of focus": _blurred,
}


def noticed(name: str) -> dict[str, list[bool]]:
    """Return for each way of breaking a frame whether a caution about the input stands on it.

    The first is the frames as they are. ``good`` parts are known of each design.
    """
    found: dict[str, list[bool]] = {}
    opened = Opened(name, good=True)
    for design in CALIBRATED:
        explainer = opened.of(design)
        for kind in PARTS:
            picture = part(TEST + 50, 0, design, kind).image
            for title, broken in BREAKS.items():
                made = explainer.explain(broken(picture), samples=4, rcap=False, cover=False)
                codes = {caution.code for caution in made.cautions}
                found.setdefault(title, []).append(bool(codes.intersection(INPUT_CODES)))
    opened.close()
    found["mean and std forgotten, at calibration"] = _forgotten(name)
    return found


def _forgotten(name: str) -> list[bool]:
    """Return for some designs whether ``calibrate`` doubts a bundle that was exported without mean and std."""
    from gagrad_runtime.jobs.calibrating import calibrate_images

    found = []
    with tempfile.TemporaryDirectory() as folder:
        for design in CALIBRATED[::2]:
            said = io.StringIO()
            images = [str(one) for one in good_images(design)]
            with contextlib.redirect_stderr(said):
                calibrate_images(
                    bundle(name + FORGOTTEN),
                    images,
                    Path(folder, "part.good"),
                    device="cpu",
                    threads=1,
                    target=None,
                    settings={},
                )
            doubts = [
                line for line in said.getvalue().splitlines() if "! " in line and "few parts" not in line
            ]
            found.append(bool(doubts))
    return found
