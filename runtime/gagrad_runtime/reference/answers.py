"""Statistics of a model's answer: how sure it is, and how large its scores are."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gagrad_runtime.answer.prediction import Prediction
    from gagrad_runtime.reference.content import Limits

SPREAD = "spread of the scores"
"""Logarithm of the scores' deviation, or of their highest value."""
OTHER_SPREAD = math.log(2)
"""By how much more the scores of another answer than good parts had may be spread: one that they did not have
is often surer, and only what no part brings about is unusual."""
CERTAIN = math.log(0.9999 / 0.0001)
"""Margin of an answer of 99.99 %. Another answer than good parts had may be that certain in any case: where a
model is never sure of good parts, it may well be sure of a defect."""
FLOORS = {"margin": 0.1, SPREAD: 0.1, "confidence": 0.1, "value": 1e-6}
"""Least spread of each among good parts."""
LOWER_ONLY = ("margin", "confidence")
"""Statistics of which only a low value is unusual."""
UPPER_ONLY = (SPREAD,)
"""Statistics of which only a high value is unusual."""


def answer_statistics(prediction: Prediction) -> dict[str, float]:
    """Return the statistics of ``prediction`` by name; empty for a task whose answers have none.

    What a detector or a segmenter finds differs from part to part by its nature, and an anomaly scorer has
    its threshold. ``margin`` is by how much the answer's score is above the next one, ``spread of the
    scores`` the logarithm of their deviation: those of broken inputs are often far larger than any at
    calibration.
    """
    scores = np.asarray(prediction.scores, np.float64)
    if prediction.task in ("classification", "multilabel") and scores.ndim == 1:
        if prediction.task == "multilabel" or len(scores) == 1:
            return {"margin": float(np.abs(scores).min()), SPREAD: _log(np.abs(scores).max())}
        first, second = np.sort(scores)[:-3:-1]
        return {"margin": float(first - second), SPREAD: _log(scores.std())}
    if prediction.task == "regression" and prediction.score is not None:
        return {"value": prediction.score}
    if prediction.task == "sequence" and prediction.characters:
        return {"confidence": sum(_log(chance) for _, chance in prediction.characters)}
    return {}


def other_limits(limits: Mapping[str, Limits], prediction: Prediction) -> dict[str, Limits]:
    """Return the limits for ``prediction``, an answer that good parts did not have; ``limits`` are theirs.

    There is none for the margin: how sure it should be, good parts cannot tell.
    """
    found = {name: limit for name, limit in limits.items() if name != "margin"}
    low, high = found.get(SPREAD, (None, None))
    if high is not None:
        scores = np.size(prediction.scores)
        single = prediction.task == "multilabel" or scores == 1
        # Of several scores the deviation where one is above all others by CERTAIN, else that score itself.
        certain = CERTAIN if single else CERTAIN * math.sqrt(scores - 1) / scores
        found[SPREAD] = low, max(high + OTHER_SPREAD, math.log(certain))
    return found


def _log(value: float) -> float:
    return math.log(max(float(value), 1e-9))
