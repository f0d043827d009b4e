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
    the class with the largest area, the background only where there is no other. Raises SettingError for a
    task whose answers are no names.
    """
    names = answers(output)
    if output.task == "segmentation":
        return _largest(scores, output, names)
    chances = probabilities(scores[None], output.activation)
    present = scores >= 0.5 if chances is None else chances[0] >= 0.5
    if len(scores) == 1:
        return names[0] if present[0] else names[1]
    if output.task == "multilabel":
        found = [name for name, there in zip(names, present, strict=False) if there]
        return "+".join(found) or NO_LABEL
    return names[int(scores.argmax())]


def _largest(scores: NDArray[np.float32], output: OutputSpec, names: list[str]) -> str:
    """Return the class of ``scores [K, h, w]`` with the largest area besides the background.

    Of a sigmoid, classes may lie on one another, and where none is, is background.
    """
    background = None if output.segmentation is None else output.segmentation.background
    if output.activation == "sigmoid":
        areas = (scores >= 0).sum(axis=(1, 2))
    else:
        areas = np.bincount(scores.argmax(axis=0).ravel(), minlength=len(scores))
    if background is not None:
        areas[background] = 0
    if areas.any():
        return names[int(areas.argmax())]
    return NO_LABEL if background is None else names[background]
