"""Cautions about an answer that the model is not sure of, by the sense of its task."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gagrad_runtime.answer.good import says_good
from gagrad_runtime.explanation.cautions import Caution
from gagrad_runtime.language import phrase
from gagrad_runtime.language.numbers import percent

if TYPE_CHECKING:
    from gagrad_edge.output import OutputSpec
    from gagrad_runtime.answer.prediction import Prediction
    from gagrad_runtime.question.target import Target

UNSURE_MARGIN = 0.1
"""Difference between the probabilities of the first two classes, below which the answer is unsure."""
UNSURE = 0.65
"""Probability of a label, or of the only class, there or not, below which the answer is unsure."""
UNSURE_GOOD = 0.9
"""Probability of a class that says that the part is good, below which it is unsure: what that misses, no
person looks at."""
UNSURE_DETECTION = 0.1
"""Distance of a detection's score from the threshold, below which it may as well not have been listed; and of
the strongest candidate's below it, where nothing is listed."""
UNSURE_AREA = 0.75
"""Mean probability of a class where it is predicted, below which the area is unsure: its edges always are."""
UNSURE_SCORE = 0.1
"""Distance of an anomaly score from its threshold, as a share of the threshold."""
UNSURE_CHARACTER = 0.8
"""Probability of the weakest character of a text."""


def unsure(said: Prediction, target: Target, spec: OutputSpec) -> list[Caution]:
    """Caution where the model's own answer hangs by little; ``target`` is what is explained.

    A plain score without a threshold has nothing that it could be near to.
    """
    text = _why(said, target, spec)
    return [] if text is None else [Caution("unsure", phrase("The model is not sure: {why}.", why=text))]


def _why(said: Prediction, target: Target, spec: OutputSpec) -> str | None:
    """Return what the answer hangs by, in words; None where it is sure."""
    if said.task == "detection":
        return _of_detection(said, target, spec)
    if said.task == "segmentation":
        return _of_area(said, target)
    own = {
        "classification": _of_class,
        "multilabel": _of_labels,
        "anomaly": _of_score,
        "sequence": _of_text,
    }.get(said.task)
    return None if own is None else own(said)


def _of_class(said: Prediction) -> str | None:
    chance = said.probability
    if chance is None:
        return None
    if said.scores.ndim != 1 or said.scores.size < 2:  # one label, which is there or not
        return said.answer if 1 - UNSURE < chance < UNSURE else None
    if says_good(said):
        unsure = chance < UNSURE_GOOD
    else:
        assert said.probabilities is not None  # noqa: S101 - they have one axis, as the scores do
        second, first = np.partition(said.probabilities, -2)[
            -2:
        ]  # a thousand classes are sorted in a millisecond
        unsure = bool(float(first) - float(second) < UNSURE_MARGIN)
    if not unsure:
        return None
    (first, own), (second, next_to) = said.likeliest(2)
    return phrase(
        "{first} {own}, then {second} {next}",
        first=said.called(first),
        own=percent(own),
        second=said.called(second),
        next=percent(next_to),
    )


def _of_labels(said: Prediction) -> str | None:
    present = said.present
    if not present:
        name, chance = next(iter(said.classes), ("", 0.0))
        if chance <= 1 - UNSURE:
            return None
        return phrase("no label, and {name} has {chance}", name=said.called(name), chance=percent(chance))
    name, chance = min(((one, said.chances(one)[0]) for one in present), key=lambda one: one[1])
    if chance >= UNSURE:
        return None
    return phrase("{name} has {chance}", name=said.called(name), chance=percent(chance))


def _of_detection(said: Prediction, target: Target, spec: OutputSpec) -> str | None:
    if spec.detection is None or said.probabilities is None:
        return None
    least = spec.detection.threshold
    if target.detection is not None:
        score = said.detections[target.detection - 1].score
        if score < least + UNSURE_DETECTION:
            return phrase(
                "the detection has {chance}, and is listed from {least} on",
                chance=percent(score),
                least=percent(least),
            )
    elif not said.detections:
        strongest = said.target.probability(said.probabilities)
        if strongest > least - UNSURE_DETECTION:
            return phrase(
                "nothing is found, and the strongest candidate has {chance}", chance=percent(strongest)
            )
    return None


def _of_area(said: Prediction, target: Target) -> str | None:
    if said.probabilities is None or target.region is None or not said.areas:
        return None
    chance = target.probability(said.probabilities)
    if chance >= UNSURE_AREA:
        return None
    return phrase(
        "{name} has {chance} on average where it is seen",
        name=said.called(target.name),
        chance=percent(chance),
    )


def _of_score(said: Prediction) -> str | None:
    if said.score is None or said.threshold is None:
        return None
    if abs(said.score - said.threshold) >= UNSURE_SCORE * abs(said.threshold):
        return None
    return phrase(
        "the score is {score}, and a part is NG from {limit} on",
        score=f"{said.score:.4g}",
        limit=f"{said.threshold:.4g}",
    )


def _of_text(said: Prediction) -> str | None:
    name, chance = min(said.characters, key=lambda one: one[1], default=("", 1.0))
    if chance >= UNSURE_CHARACTER:
        return None
    return phrase("the character {name} has {chance}", name=repr(name), chance=percent(chance))
