"""The frames: parts of a series that no training has seen, and photographed faces on photographs of other things."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from examples.defects.parts import defective_part

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Frame = NDArray[np.uint8]

SIDE = 224
"""Both models' input; the frames have this size, so that a pixel of a map is a pixel of the frame."""
TEST_SERIES = 11
"""Series 1 to 10 belong to the trainings, their figures and the demo's pictures."""


def part_frames(series: int) -> Iterator[Frame]:
    """Yield parts with none to three defects."""
    index = 0
    while True:
        image = defective_part(series, index).image
        yield np.asarray(cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8)
        index += 1


def face_frames(series: int) -> Iterator[Frame]:
    """Yield frames with three faces each: grey photographs, enlarged, on a piece of another photograph.

    The faces are the 100 of scikit-image's subset of Labeled Faces in the Wild, each once in a random order,
    and then again in other places; the ground is its photographs without faces.
    """
    from skimage import data

    faces = (np.asarray(data.lfw_subset()[:100]) * 255).astype(np.uint8)
    grounds = [
        np.asarray(
            photograph() if np.ndim(photograph()) == 3 else cv2.cvtColor(photograph(), cv2.COLOR_GRAY2RGB)
        )
        for photograph in (data.brick, data.grass, data.gravel, data.coffee, data.chelsea, data.rocket)
    ]
    rng = np.random.default_rng(series)
    while True:
        order = rng.permutation(len(faces))
        for start in range(0, len(order) - 2, 3):
            frame = _piece(grounds[int(rng.integers(len(grounds)))], rng)
            corners = rng.permutation([(0, 0), (0, 1), (1, 0), (1, 1)])
            for number, (row, column) in zip(order[start : start + 3], corners, strict=False):
                _set_in(frame, faces[number], rng, int(row) * SIDE // 2, int(column) * SIDE // 2)
            yield frame


def _piece(ground: Frame, rng: np.random.Generator) -> Frame:
    top, left = (int(rng.integers(0, extent - SIDE)) for extent in ground.shape[:2])
    return ground[top : top + SIDE, left : left + SIDE].copy()


def _set_in(frame: Frame, face: Frame, rng: np.random.Generator, top: int, left: int) -> None:
    """Draw ``face`` into the quarter of ``frame`` at ``top``, ``left``, with a soft elliptic outline."""
    side = int(rng.integers(48, 100))
    row, column = (int(rng.integers(0, SIDE // 2 - side + 1)) for _ in range(2))
    large = cv2.resize(face, (side, side), interpolation=cv2.INTER_CUBIC)[..., None]
    y, x = np.mgrid[0:side, 0:side] / (side - 1) * 2 - 1
    soft = np.clip((1.05 - np.hypot(x, y * 0.9)) * 6, 0, 1)[..., None]
    there = frame[top + row : top + row + side, left + column : left + column + side]
    there[:] = np.round(soft * large + (1 - soft) * there).astype(np.uint8)
