"""The second step: place 1 of an explanation against D-RISE's highest place, and covering where they differ."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

import gagrad_runtime
from benchmarks.drise.masking import CELL, highest
from gagrad_edge import abi
from gagrad_runtime.answer.candidates import overlaps
from gagrad_runtime.answer.detection import SAME

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from benchmarks.drise.measuring import Masked
    from benchmarks.drise.subjects import BlackBox, Subject

    Array = NDArray[np.float32]
    Point = tuple[float, float]

COVER = CELL / math.sqrt(2)
"""Radius of the disc that is covered, in pixels: it holds a whole cell of the masks."""
EQUAL = 0.05
"""Two coverings whose scores differ by less decide nothing."""


@dataclass(frozen=True)
class Compared:
    """One detection: where both methods see its reason, and what covering these places does."""

    frame: int
    detection: int
    """From 1, in the order in which ``predict`` lists the frame's detections."""
    kind: str
    score: float
    box: tuple[float, float, float, float]
    ours: Point
    coarse: Point
    """The highest place of our map after a blur by a cell of D-RISE's masks."""
    theirs: Point
    halves: tuple[Point, Point]
    """D-RISE's highest places with each half of its masks."""
    grey: Point
    """D-RISE's highest place where what is hidden is grey and not black, for a subject that has grey."""
    without_ours: float
    without_theirs: float
    without_middle: float
    """The detection's score with the place, or the box's middle, filled from its surroundings."""
    black_ours: float
    black_theirs: float
    """The same with the place black, as D-RISE hides it."""

    @property
    def allowed(self) -> float:
        """Pixels that two places of one reason may lie apart."""
        left, top, right, bottom = self.box
        return max(math.hypot(right - left, bottom - top) / 2, CELL)

    @property
    def certain(self) -> bool:
        """Whether the halves of D-RISE's masks find one place."""
        return math.dist(*self.halves) <= self.allowed

    @property
    def centre(self) -> Point:
        """Middle of the box."""
        left, top, right, bottom = self.box
        return (left + right) / 2, (top + bottom) / 2

    @property
    def distance(self) -> float:
        """Pixels between the two places."""
        return math.dist(self.ours, self.theirs)

    @property
    def agrees(self) -> bool:
        """Whether the two places are one."""
        return self.distance <= self.allowed

    @property
    def decision(self) -> str:
        """Whose place the detection needs more; where filling leaves it open, black decides."""
        for ours, theirs in ((self.without_ours, self.without_theirs), (self.black_ours, self.black_theirs)):
            if abs(ours - theirs) >= EQUAL:
                return "ours" if ours < theirs else "D-RISE's"
        return "equal"

    def near_the_box(self, point: Point) -> bool:
        """Whether ``point`` lies in the box, widened by a fifth of its sides."""
        left, top, right, bottom = self.box
        wide, high = 0.1 * (right - left), 0.1 * (bottom - top)
        return left - wide <= point[0] <= right + wide and top - high <= point[1] <= bottom + high


@dataclass(frozen=True)
class Trial:
    """What one way to explain gave for all detections."""

    rows: list[Compared]
    samples: int
    seconds: float
    """Processor time of one explanation."""


def compared(subject: Subject, frames: Sequence[Masked], wanted: int, settings: Mapping[str, Any]) -> Trial:
    """Explain the first ``wanted`` detections with ``settings``, and compare."""
    black_box = subject.black_box()
    rows: list[Compared] = []
    seconds, samples = 0.0, 0
    with gagrad_runtime.load(subject.bundle()) as explainer:
        explainer.explain(frames[0].frame, **settings)  # the graphs are opened, and the chunk's size is found
        for masked in frames:
            here = range(min(len(masked.rows), wanted - len(rows)))
            began = time.process_time()
            explanations = list(islice(explainer.explain_each(masked.frame, **settings), len(here)))
            seconds += time.process_time() - began
            for number, explanation in zip(here, explanations, strict=True):
                ours = explanation.places[0].peak
                theirs, one, other = (highest(masked.maps[part, number]) for part in range(3))
                reference = masked.rows[number]
                left, top, right, bottom = map(float, reference[:4])
                covered = [ours, theirs, ((left + right) / 2, (top + bottom) / 2)]
                rows.append(
                    Compared(
                        masked.number,
                        number + 1,
                        explanation.target.name,
                        float(reference[4]),
                        (left, top, right, bottom),
                        ours,
                        highest(np.asarray(cv2.GaussianBlur(explanation.saliency, (0, 0), CELL), np.float32)),
                        theirs,
                        (one, other),
                        highest(masked.grey[number]),
                        *(without(black_box, masked.frame, reference, place) for place in covered),
                        *(
                            without(black_box, masked.frame, reference, place, fill=False)
                            for place in covered[:2]
                        ),
                    )
                )
                samples = explanation.samples
    return Trial(rows, samples, seconds / len(rows))


def without(
    black_box: BlackBox, frame: NDArray[np.uint8], reference: Array, place: Point, *, fill: bool = True
) -> float:
    """Return the score of the detection ``reference [4 + 1 + K]`` with ``place`` filled, or else black.

    It is that of the best candidate of the same class whose box still overlaps by a half; 0 where none does.
    """
    y, x = np.mgrid[0 : frame.shape[0], 0 : frame.shape[1]] + 0.5
    disc = np.hypot(x - place[0], y - place[1]) <= COVER
    if fill:
        changed = np.asarray(cv2.inpaint(frame, disc.astype(np.uint8), 3, cv2.INPAINT_TELEA), np.uint8)
    else:
        changed = np.where(disc[..., None], 0, frame).astype(np.uint8)
    rows = black_box.candidates(changed[None])[0]
    kind = 5 + int(reference[5:].argmax())
    return float(rows[overlaps(reference[:4], rows[:, :4]) >= SAME, kind].max(initial=0))


def gradient_cost(subject: Subject, batch: int = 10, repeats: int = 5) -> float:
    """Return the processor time of one sample of ``accumulate``, in forward passes of the same batch."""
    with gagrad_runtime.load(subject.bundle()) as explainer:
        shape = explainer.manifest.input.shape
        rng = np.random.default_rng(0)
        image = rng.uniform(0, 1, (1, *shape)).astype(np.float32)
        state = np.zeros(shape, np.float32)
        scores = explainer.scores(image)
        cotangent = np.zeros_like(scores)
        cotangent[0, 0, 0] = 1
        feeds = {
            abi.IMAGE: image,
            abi.NOISE: rng.standard_normal((batch, *shape)).astype(np.float32),
            abi.NOISE_STD: np.array(0.15, np.float32),
            abi.COTANGENT: cotangent,
            abi.COUNT: np.array(0, np.float32),
            **dict.fromkeys((abi.ABS_SUM, abi.MEAN, abi.M2), state),
        }
        accumulate, predict = explainer.graphs.runner("accumulate"), explainer.graphs.runner("predict")
        uploaded = {name: explainer.backend.upload(value) for name, value in feeds.items()}
        images = {abi.IMAGE: explainer.backend.upload(np.repeat(image, batch, axis=0))}
        times: list[tuple[float, float]] = []
        for _ in range(repeats + 1):
            began = time.process_time()
            predict.run(images)
            between = time.process_time()
            accumulate.run(uploaded)
            times.append((between - began, time.process_time() - between))
    forward, gradient = np.median(times[1:], axis=0)
    return float(gradient / forward)


def wilson(hits: int, of: int) -> tuple[float, float]:
    """Return the 95 % confidence interval of a share (Wilson 1927)."""
    z, share = 1.959964, hits / of
    middle = share + z * z / (2 * of)
    half = z * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    return (middle - half) / (1 + z * z / of), (middle + half) / (1 + z * z / of)
