"""Which words tell of which task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gagrad_runtime.report.anomaly_words import AnomalyWords
from gagrad_runtime.report.area_words import AreaWords
from gagrad_runtime.report.detection_words import DetectionWords
from gagrad_runtime.report.text_words import TextWords
from gagrad_runtime.report.value_words import ValueWords
from gagrad_runtime.report.words import Words

if TYPE_CHECKING:
    from gagrad_edge.output import Task
    from gagrad_runtime.explanation.explanation import Explanation

_WORDS: dict[Task, type[Words]] = {
    "anomaly": AnomalyWords,
    "detection": DetectionWords,
    "regression": ValueWords,
    "segmentation": AreaWords,
    "sequence": TextWords,
}
"""Words of tasks that are not told as scores of classes."""


def words_of(explanation: Explanation) -> Words:
    """Return the words of ``explanation``."""
    prediction = explanation.prediction
    task = "classification" if prediction is None else prediction.task
    return _WORDS.get(task, Words)(explanation)
