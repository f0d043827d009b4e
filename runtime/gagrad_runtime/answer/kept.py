"""Kept answers: whether a model says the same of changed copies of an image as of the image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gagrad_runtime.answer.label import label_of
from gagrad_runtime.answer.prediction import PRESENT
from gagrad_runtime.answer.reader import Wanted

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from gagrad_runtime.answer.outputs import Outputs
    from gagrad_runtime.answer.reader import Reader
    from gagrad_runtime.frame.placement import Placement


def kept_answers(
    reader: Reader, original: Outputs, copies: Outputs, placement: Placement
) -> NDArray[np.bool_]:
    """Return for each image of ``copies`` whether its answer is that of the one image of ``original``, [N].

    What an answer is depends on the task: the class of a classifier, the class with the largest area of a
    segmenter, the text of a line, OK or NG. Of labels, the surest label is there as before; of detections,
    the best one is found again where it was, or there is still none. A value that
    has no name keeps at least half of itself.
    """
    spec = reader.spec

    def same(said: Callable[[Outputs], object]) -> NDArray[np.bool_]:
        answer = said(original)
        return np.array([said(copies.row(index)) == answer for index in range(len(copies))], bool)

    if spec.task == "sequence":
        return same(lambda one: reader.prediction(one, placement).text)
    judged = spec.anomaly is not None and spec.anomaly.threshold is not None
    classes = spec.task == "classification" and len(spec.shape) == 1 and spec.shape[0] > 1
    if judged or classes or spec.task == "segmentation":
        return same(lambda one: label_of(reader.prediction(one, placement), spec))
    if spec.task == "detection" and not reader.prediction(original, placement).detections:
        return same(lambda one: bool(reader.prediction(one, placement).detections))
    target = reader.target(Wanted(), original, placement)
    limit = PRESENT if spec.detection is None else spec.detection.threshold
    before = reader.confidence(original, original, target) >= limit
    kept: NDArray[np.bool_] = (reader.confidence(copies, original, target) >= limit) == before
    return kept
