"""Synthetic parts whose place is known: the same holes and bar, other texture, light and noise each time."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from gagrad_edge.input import InputSpec
from gagrad_runtime.answer.prediction import Prediction
from gagrad_runtime.frame import load_frame
from gagrad_runtime.frame.frame import Frame
from gagrad_runtime.frame.image import prepare
from gagrad_runtime.question.target import Target
from gagrad_runtime.reference.making import GoodParts
from gagrad_runtime.reference.motion import Motion

Array = NDArray[np.float32]
SIZE = 128
HOLES = ((30, 30), (96, 34), (34, 98), (90, 92))
"""Centres (x, y) of the holes, in pixels of the image."""
SPEC = InputSpec(height=SIZE, width=SIZE, colour="rgb", mean=[0.0] * 3, std=[1.0] * 3)


@dataclass(frozen=True)
class Part:
    """A part [SIZE, SIZE] in 0..1 and how it lies, relative to no shift, turn or scale."""

    image: Array
    motion: Motion

    @property
    def frame(self) -> Frame:
        """The part as a colour frame."""
        return load_frame(np.repeat((self.image[..., None] * 255).astype(np.uint8), 3, axis=2))

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Return where the part's point (x, y) is in the image."""
        column, row = self.motion.matrix((SIZE, SIZE)) @ [x, y, 1]
        return float(column), float(row)


def part(
    rng: np.random.Generator,
    *,
    shift: float = 5,
    turn: float = 3,
    scale: float = 0.02,
    texture: float = 0.05,
    missing: int | None = None,
    plain: bool = False,
    stray: int = 0,
) -> Part:
    """Return a part: up to ``shift`` pixels and ``turn`` degrees away, a hole ``missing``, or ``plain``.

    ``stray`` is the number of further holes, at random.
    """
    wide = 2 * SIZE
    canvas = np.full((wide, wide), 0.5, np.float32)
    random = [(round(x), round(y)) for x, y in rng.uniform(10, 118, (stray, 2))]
    for number, (x, y) in enumerate(() if plain else (*HOLES, *random)):
        if number != missing:
            centre = (16 * (x + SIZE // 2), 16 * (y + SIZE // 2))
            cv2.circle(canvas, centre, 16 * 8, 0.15, -1, cv2.LINE_AA, 4)
    if not plain:
        cv2.rectangle(canvas, (SIZE // 2 + 50, SIZE // 2 + 56), (SIZE // 2 + 84, SIZE // 2 + 64), 0.8, -1)
    grain = cv2.GaussianBlur(
        rng.normal(size=canvas.shape).astype(np.float32), (0, 0), *rng.uniform(0.7, 6, 2).tolist()
    )
    canvas += np.float32(texture) * grain / grain.std()
    x, y = rng.uniform(-shift, shift, 2)
    turned, scaled = np.radians(rng.uniform(-turn, turn)), 1 + rng.uniform(-scale, scale)
    motion = Motion(x / wide, y / wide, turned, scaled)
    moved = motion.onto_image(canvas)[SIZE // 2 : -SIZE // 2, SIZE // 2 : -SIZE // 2]
    rows, columns = np.mgrid[:SIZE, :SIZE] / SIZE - 0.5
    light = 1 + rng.uniform(-0.1, 0.1) + rng.uniform(-0.15, 0.15) * rows + rng.uniform(-0.15, 0.15) * columns
    image = moved * light + rng.normal(size=moved.shape) * 0.02
    return Part(np.clip(image, 0, 1).astype(np.float32), Motion(x / SIZE, y / SIZE, turned, scaled))


def said(*scores: float) -> Prediction:
    """Return the answer of a classifier of ``ok`` and ``ng`` with these scores."""
    values = np.array(scores or (3.0, -2.0), np.float32)
    chances = np.exp(values) / np.exp(values).sum()
    index = int(values.argmax())
    return Prediction(Target((index,), ("ok", "ng")[index]), values, chances, ("ok", "ng"))


def good_parts(parts: list[Part]) -> GoodParts:
    """Return ``parts`` as calibration collects them."""
    rng = np.random.default_rng(1)
    found = GoodParts(SPEC)
    for one in parts:
        image, placement = prepare(one.frame, SPEC)
        found.add(one.frame, image, placement, said(3 + rng.normal() / 5, -2 + rng.normal() / 5))
    return found
