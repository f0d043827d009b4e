"""Prediction: what the model says of one frame."""

from __future__ import annotations

import reprlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gagrad_runtime.language import listed, phrase
from gagrad_runtime.language.numbers import percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gagrad_edge.output import Task
    from gagrad_runtime.question.target import Target

PRESENT = 0.5
"""Probability from which a label counts as present."""
MAY_BE_NONE: tuple[Task, ...] = ("detection", "segmentation", "multilabel")
"""Tasks whose models may find nothing, and may find several classes."""
NOTHING = "nothing"
"""Verdict of a model that finds nothing."""
_LISTED = 3
"""Classes in the ``repr`` of a prediction."""
_NOTHING = phrase("nothing but background")


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

    def __str__(self) -> str:
        return f"{self.name} {percent(self.score)} at {box_text(self.box)}"


def box_text(box: tuple[float, float, float, float]) -> str:
    """Return ``box`` in words: ``12,40–90,66``, its upper left and its lower right corner in whole pixels."""
    left, top, right, bottom = map(round, box)
    return f"{left},{top}–{right},{bottom}"


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
    areas: tuple[tuple[str, float], ...] = ()
    """A segmenter's classes besides the background with their share of the frame, 0..1, largest first, those
    without any left out; an anomaly map's share above its threshold has no name. Empty for other tasks."""
    score: float | None = None
    """The value of a regression with one value, or of an anomaly scorer: of a map alone, its highest value.
    As the model itself gives it. None for other tasks."""
    text: str | None = None
    """The text of a line; None for other tasks."""
    unit: str = ""
    """Unit of a regression's values; empty when it is not known."""
    characters: tuple[tuple[str, float], ...] = ()
    """The characters of ``text`` with their probabilities, 0..1; empty for other tasks."""
    threshold: float | None = None
    """Value of ``score`` from which a part is NG; None where nobody has set it."""
    anomaly_map: NDArray[np.float32] | None = None
    """[h, w], an anomaly scorer's own map; None for other tasks, and where there is none."""
    map_threshold: float | None = None
    """Value of ``anomaly_map`` from which a place is NG; None where nobody has set it."""

    @property
    def probability(self) -> float | None:
        """Probability of the answer, 0..1; None when the output is a plain score.

        Where nothing is found, of that: what the strongest candidate leaves.
        """
        if self.probabilities is None:
            return None
        chance = self.target.probability(self.probabilities)
        return 1 - chance if self.task in MAY_BE_NONE and not self.present else chance

    @property
    def classes(self) -> tuple[tuple[str, float], ...]:
        """All classes as (name, probability), best first; a class without a name is its index as text.

        Empty when the output has no probabilities or has places (``scores`` of more than one axis).
        """
        return self.likeliest(self.scores.size)

    def likeliest(self, count: int) -> tuple[tuple[str, float], ...]:
        """Return the first ``count`` of ``classes``, without making all of them."""
        if self.probabilities is None or self.probabilities.ndim != 1:
            return ()
        # By score, as several probabilities may round to the same number. Ties go to the lower index.
        order = np.argsort(-self.scores, kind="stable")[:count]
        return tuple(
            (self.class_names[i] if self.class_names else str(i), float(self.probabilities[i])) for i in order
        )

    @property
    def present(self) -> tuple[str, ...]:
        """Names of the classes that the model says are there.

        One of a classifier, each label from 0.5 on, each class with a detection or an area.
        """
        if self.task == "detection":
            return tuple(dict.fromkeys(one.name for one in self.detections))
        if self.task == "segmentation":
            return tuple(name for name, _ in self.areas)
        if self.task == "multilabel":
            return tuple(name for name, chance in self.classes if chance >= PRESENT)
        return (self.target.name,) if self.task == "classification" else ()

    @property
    def ng(self) -> bool | None:
        """Whether an anomaly scorer's score reaches the threshold; None without a threshold."""
        return None if self.score is None or self.threshold is None else self.score >= self.threshold

    @property
    def verdict(self) -> str:
        """The answer's name: the class that the model finds; for a model without classes what it says."""
        if self.task == "detection":
            return self.detections[0].name if self.detections else NOTHING
        if self.task == "segmentation":
            return self.areas[0][0] if self.areas else NOTHING
        if self.task == "multilabel":
            return ", ".join(self.present) or NOTHING
        return str(self.target) if self.task == "classification" else str(self.answer)

    @property
    def answer(self) -> str:
        """What the model says, in a few words for a line on a terminal; in English, as a caution is."""
        if self.task == "detection":
            found = [_measured(self.called(one.name), percent(one.score)) for one in self.detections]
            return _few(found) or phrase("nothing found")
        if self.task == "segmentation":
            found = [
                phrase("{name} {share} of the frame", name=self.called(name), share=percent(share))
                for name, share in self.areas
            ]
            return _few(found) or _NOTHING
        if self.task == "multilabel":
            found = [_measured(self.called(name), percent(self.chances(name)[0])) for name in self.present]
            return _few(found) or phrase("no label")
        if self.task == "sequence":
            return repr(self.text)
        if self.task in ("anomaly", "regression"):
            return self._value()
        name = self.called(self.target.name)
        return name if self.probability is None else _measured(name, percent(self.probability))

    def called(self, name: str) -> str:
        """Return the class ``name`` for a line of text: ``class 4`` where the classes have numbers only."""
        if self.class_names:
            return name
        if self.task == "regression":
            return phrase("value {number}", number=name)
        return phrase("class {number}", number=name)

    def _value(self) -> str:
        """Return the score with its verdict, or the value with its unit."""
        if self.score is None and self.scores.ndim == 1:
            names = self.class_names or tuple(map(str, range(len(self.scores))))
            values = zip(names, self.scores.tolist(), strict=True)
            equals = " " if self.class_names else " = "  # no number directly behind another
            return _few(
                [
                    phrase(
                        f"{{name}}{equals}{{value}}",
                        name=self.called(name),
                        value=with_unit(value, self.unit),
                    )
                    for name, value in values
                ]
            )
        if self.score is None:  # the highest of a map
            value = with_unit(self.target.reading(self.scores), self.unit)
            return _measured(self.called(self.target.name), value)
        if self.task == "regression":
            return with_unit(self.score, self.unit)
        score = phrase("score {score}", score=f"{self.score:.4g}")
        return score if self.ng is None else listed([score, "NG" if self.ng else "OK"])

    def chances(self, name: str = "") -> tuple[float, ...]:
        """Return the probabilities of the class ``name``: one, or one for each detection; of any without."""
        if self.task == "detection":
            return tuple(one.score for one in self.detections if name in ("", one.name))
        return tuple(chance for known, chance in self.classes if name in ("", known))

    def value(self, name: str) -> float | None:
        """Return the value ``name`` of a regression with several values; None where there is none."""
        names = self.class_names or tuple(map(str, range(len(self.scores))))
        return float(self.scores[names.index(name)]) if self.scores.ndim == 1 and name in names else None

    def area(self, name: str = "") -> float:
        """Return the share of the frame, 0..1, that the class ``name`` takes; without a name all of them."""
        return sum(share for known, share in self.areas if name in ("", known))

    def __repr__(self) -> str:
        if self.task not in ("classification", "multilabel"):
            return f"Prediction({self.answer})"
        known = ", ".join(f"{reprlib.repr(name)} {percent(p)}" for name, p in self.classes[:_LISTED])
        more = len(self.classes) - _LISTED
        if not known:
            score = self.target.reading(self.scores)
            known = f"{reprlib.repr(self.target.name)}, score {score:.4g}"
        return f"Prediction({known}{f', {more} more' if more > 0 else ''})"


def with_unit(value: float, unit: str) -> str:
    """Return ``value`` with its unit, e.g. ``3.214 mm``."""
    return f"{value:.4g} {unit}".rstrip()


def _few(items: Sequence[str]) -> str:
    """Return the first of ``items`` with commas, and how many more there are."""
    more = len(items) - _LISTED
    return listed([*items[:_LISTED], *([phrase("{count} more", count=more)] if more > 0 else [])])


def _measured(name: str, measure: str) -> str:
    """Return the class ``name`` with its probability or value behind it."""
    return phrase("{name} {measure}", name=name, measure=measure)
