"""What a device will ask of the model, from the scores on the reference frame: the case that is verified.

A detector's largest number is the coordinate of a box, and a segmenter's is one pixel of its background.
Verified is the class of a likely candidate, and a class summed over the cells where it is predicted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gagrad_edge.output import OutputSpec

    Array = NDArray[np.float32]


@dataclass(frozen=True)
class Question:
    """An element of the scores, which the self-test explains, and the weights of what is asked by default."""

    target: tuple[int, ...]
    """Element of the scores, without the batch."""
    cotangent: Array
    """[1, K…]: one-hot at ``target``, or the sum over the cells where its class is predicted."""

    @property
    def element(self) -> Array:
        """[1, K…], one-hot at ``target``."""
        weights = np.zeros_like(self.cotangent)
        weights[0][self.target] = 1
        return weights


def default_question(scores: Array, output: OutputSpec) -> Question:
    """Return what is asked by default of ``scores [K…]``."""
    background = None
    for part in (output.detection, output.segmentation):
        background = part.background if part is not None else background
    values = scores.astype(np.float64)
    if output.activation == "softmax" and output.task in ("detection", "segmentation"):
        shifted = np.exp(values - values.max(axis=0))
        values = shifted / shifted.sum(axis=0)
    if background is not None and len(values) > 1:
        values = values.copy()
        values[background] = -np.inf
    if output.task == "segmentation":
        return _largest_area(scores, values, output.activation == "sigmoid", background)
    target = tuple(int(i) for i in np.unravel_index(int(values.argmax()), values.shape))
    question = Question(target, np.zeros((1, *scores.shape), np.float32))
    return Question(target, question.element)


def _largest_area(scores: Array, values: NDArray[np.float64], own: bool, background: int | None) -> Question:
    """Return the class with the largest area besides the background, where it is predicted.

    ``own`` is whether each class has a sigmoid of its own. Where nothing is predicted, the element that comes
    closest to it is asked for.
    """
    if own or len(scores) == 1:
        masks = scores > 0
    else:
        masks = scores.argmax(axis=0) == np.arange(len(scores))[:, None, None]
    areas = masks.reshape(len(scores), -1).sum(axis=1)
    if background is not None:
        areas[background] = 0
    cotangent = np.zeros((1, *scores.shape), np.float32)
    if areas.max() == 0:
        target = tuple(int(i) for i in np.unravel_index(int(values.argmax()), values.shape))
        cotangent[0][target] = 1
        return Question(target, cotangent)
    index = int(areas.argmax())
    cotangent[0, index] = masks[index]
    inside = np.where(masks[index], values[index], -np.inf)
    place = np.unravel_index(int(inside.argmax()), inside.shape)
    return Question((index, *(int(i) for i in place)), cotangent)
