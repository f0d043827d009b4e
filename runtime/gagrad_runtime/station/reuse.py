"""Whether a frame shows what an explained one showed, so that its explanation can be used again.

Two things have to be the same: the model's image, but for the noise of a camera, and the model's answer. The
image counts locally: the largest difference anywhere, after softening at two widths. A small new defect
changes few pixels, but those together; noise changes all of them, and softening takes it away.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np
from msgspec.structs import replace

from gagrad_runtime.station.events import now

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gagrad_runtime.answer.prediction import Prediction
    from gagrad_runtime.frame.frame import Frame
    from gagrad_runtime.station.events import ExplainedEvent
    from gagrad_runtime.station.rule import Rule

    Array = NDArray[np.float32]

WIDTHS = ((1.0, 0.02), (2.5, 0.008))
"""Pairs of a Gaussian's standard deviation, in pixels of the model's image, and the largest difference after
it that counts as noise, as a share of the channel's range in the explained image. docs/watch.md has what was
measured."""
FIGURES = 0.02
"""Largest difference of a probability or a share of the frame in the same answer; of a score or value the
share of itself."""


class Answer(NamedTuple):
    """What the model says of a frame, as far as an explanation depends on it; small, as many may wait."""

    verdict: str
    probability: float | None
    found: tuple[str, ...]
    """Each detection, label, class with an area, or text."""
    ng: bool | None
    """By the rule, or by an anomaly scorer's threshold."""
    condition: str | None
    """The rule's condition that makes the part NG."""
    shares: tuple[float, ...]
    """Probabilities and shares of the frame, 0..1."""
    value: float | None
    """A score or value."""


class Explained(NamedTuple):
    """A frame whose explanation can be used again."""

    image: Array
    """[1, C, H, W], the model's, in 0..1."""
    size: tuple[int, int]
    """(height, width) of the frame: places and regions are in its pixels."""
    answer: Answer
    event: ExplainedEvent
    at: float
    """When it was explained: seconds of a monotonic clock."""

    @classmethod
    def of(
        cls, frame: Frame, image: Array | None, answer: Answer | None, event: ExplainedEvent | None
    ) -> Explained | None:
        """Return ``frame`` as explained just now; None where not all of it is known."""
        if image is None or answer is None or event is None:
            return None
        return cls(image, (frame.height, frame.width), answer, event, time.monotonic())

    def shows(self, image: Array | None, frame: Frame, answer: Answer | None, most: float) -> bool:
        """Return whether another frame shows the same, and this one was explained at most ``most`` s ago."""
        late = time.monotonic() - self.at > most
        if image is None or answer is None or late or self.size != (frame.height, frame.width):
            return False
        return same(self.answer, answer) and not changed(self.image, image)

    def event_of(self, number: int, name: str, answer: Answer, seconds: float) -> ExplainedEvent:
        """Return the event of frame ``name`` in row ``number``, for which this explanation is used again."""
        return replace(
            self.event,
            time=now(),
            id=number,
            file=name,
            verdict=answer.verdict,
            probability=answer.probability,
            seconds=round(seconds, 6),
            reused_from=self.event.id,
        )


def answer_of(said: Prediction, rule: Rule) -> Answer:
    """Return what ``said`` says, by ``rule``."""
    judgement = rule.judge(said)
    named = said.task not in ("anomaly", "regression")
    shares = [said.probability] if said.probability is not None else []
    shares += [one.score for one in said.detections] + [share for _, share in said.areas]
    value = said.score
    if value is None and not named:
        value = said.target.reading(said.scores)
    return Answer(
        said.verdict,
        said.probability,
        tuple(one.name for one in said.detections) or said.present or ((said.verdict,) if named else ()),
        said.ng if judgement is None else judgement.ng,
        None if judgement is None or judgement.condition is None else judgement.condition.text,
        tuple(shares),
        value,
    )


def same(before: Answer, now: Answer) -> bool:
    """Return whether two answers are the same, but for figures that noise changes."""
    if (before.found, before.ng, before.condition) != (now.found, now.ng, now.condition):
        return False
    if len(before.shares) != len(now.shares) or (before.value is None) != (now.value is None):
        return False
    if before.value is not None and now.value is not None:
        largest = max(abs(before.value), abs(now.value))
        if abs(before.value - now.value) > FIGURES * largest:
            return False
    return all(abs(one - other) <= FIGURES for one, other in zip(before.shares, now.shares, strict=True))


def changed(before: Array, now: Array) -> bool:
    """Return whether the image ``now [1, C, H, W]`` shows something else than ``before``."""
    if before.shape != now.shape:
        return True
    for one, other in zip(before[0], now[0], strict=True):
        difference, span = other - one, float(one.max() - one.min())
        for width, limit in WIDTHS:
            softened = cv2.GaussianBlur(difference, (0, 0), width)
            if float(np.abs(softened).max()) > limit * span:
                return True
    return False
