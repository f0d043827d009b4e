"""The model's answer as a name: what a labelled image is compared with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gagrad_edge.checking import NO_LABEL, answers
from gagrad_runtime.question.probability import probabilities

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gagrad_edge.output import OutputSpec


def answer_of(scores: NDArray[np.float32], output: OutputSpec) -> str:
    """Return what the model says by ``scores [K…]``, one of ``gagrad_edge.checking.answers``.

    The best class; of labels those with a probability of one half or more, joined by ``+``; of a segmentation
    the class with the largest area, the first class (the background) only where there is no other. Raises
    SettingError for a task whose answers are no names.
    """
    names = answers(output)
    if output.task == "segmentation":
        areas = np.bincount(scores.argmax(axis=0).ravel(), minlength=len(scores))
        return names[1 + int(areas[1:].argmax()) if areas[1:].any() else 0]
    chances = probabilities(scores[None], output.activation)
    present = scores >= 0.5 if chances is None else chances[0] >= 0.5
    if len(scores) == 1:
        return names[0] if present[0] else names[1]
    if output.task == "multilabel":
        found = [name for name, there in zip(names, present, strict=False) if there]
        return "+".join(found) or NO_LABEL
    return names[int(scores.argmax())]
