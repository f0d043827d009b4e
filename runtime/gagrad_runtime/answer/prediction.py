"""Prediction: what the model says of one frame."""

from __future__ import annotations

import reprlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gagrad_runtime.question.probability import percent

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gagrad_edge.output import Task
    from gagrad_runtime.question.target import Target

_LISTED = 3
"""Classes in the ``repr`` of a prediction."""


@dataclass(frozen=True)
class Detection:
    """One object that a detector finds."""

    name: str
    """Class name; the class's index as text when the classes have no names."""
    score: float
    """Probability, 0..1."""
    box: tuple[float, float, float, float]
    """(left, top, right, bottom) in frame pixels."""
    index: tuple[int, int]
    """Class and candidate: element of ``scores``."""


@dataclass(frozen=True, eq=False, repr=False)
class Prediction:
    """What the model says of one frame, without an explanation."""

    target: Target
    """The model's answer: the element of the output with the highest score."""
    scores: NDArray[np.float32]
    """[K…], the model's output before the activation."""
    probabilities: NDArray[np.float32] | None
    """[K…], ``scores`` after the activation; None when the output is a plain score."""
    class_names: tuple[str, ...] = ()
    """Names along the first axis of ``scores``; empty when they have none."""
    task: Task = "classification"
    """What the model is for."""
    detections: tuple[Detection, ...] = ()
    """A detector's list, the most probable first; empty for other tasks."""

    @property
    def probability(self) -> float | None:
        """Probability of the answer, 0..1; None when the output is a plain score."""
        return None if self.probabilities is None else self.target.reading(self.probabilities)

    @property
    def classes(self) -> tuple[tuple[str, float], ...]:
        """All classes as (name, probability), best first; a class without a name is its index as text.

        Empty when the output has no probabilities or has places (``scores`` of more than one axis).
        """
        if self.probabilities is None or self.probabilities.ndim != 1:
            return ()
        # By score, as several probabilities may round to the same number. Ties go to the lower index.
        order = np.argsort(-self.scores, kind="stable")
        return tuple(
            (self.class_names[i] if self.class_names else str(i), float(self.probabilities[i])) for i in order
        )

    def __repr__(self) -> str:
        listed = ", ".join(f"{reprlib.repr(name)} {percent(p)}" for name, p in self.classes[:_LISTED])
        more = len(self.classes) - _LISTED
        if not listed:
            score = self.target.reading(self.scores)
            listed = f"{reprlib.repr(self.target.name)}, score {score:.4g}"
        return f"Prediction({listed}{f', {more} more' if more > 0 else ''})"
