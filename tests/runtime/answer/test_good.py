"""Whether the model says that a part is good."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gagrad_edge.output import AnomalySpec, OutputSpec
from gagrad_runtime.answer.good import says_good
from gagrad_runtime.answer.outputs import Outputs
from gagrad_runtime.answer.readers import reader_of
from gagrad_runtime.frame.placement import place
from tests.models import build_spec

PLACEMENT = place((40, 40), build_spec(20, 20))


@pytest.mark.parametrize(
    ("task", "activation", "classes", "scores", "good"),
    [
        ("classification", "softmax", ["ok", "dent"], [2, 1], True),
        ("classification", "softmax", ["OK", "dent"], [1, 2], False),
        ("classification", "softmax", ["No_Defect", "dent"], [2, 1], True),
        ("classification", "softmax", ["brass", "NG"], [2, 1], None),
        ("classification", "softmax", ["brass", "NG"], [1, 2], False),
        ("classification", "softmax", ["cat", "dog"], [2, 1], None),
        ("classification", "softmax", [], [2, 1], None),
        ("classification", "sigmoid", ["defect"], [1], False),
        ("classification", "sigmoid", ["defect"], [-1], True),
        ("classification", "sigmoid", ["good"], [-1], False),
        ("classification", "sigmoid", ["dog"], [-1], None),
        ("multilabel", "sigmoid", ["dent", "scratch"], [-1, -1], True),
        ("multilabel", "sigmoid", ["dent", "scratch"], [-1, 1], None),
        ("multilabel", "sigmoid", ["ok", "scratch"], [1, -1], True),
        ("regression", "none", [], [1], None),
    ],
)
def test_by_the_names_of_the_classes(
    task: Any, activation: Any, classes: list[str], scores: list[float], good: bool | None
) -> None:
    """A class that is called good or bad tells, nothing found is good, and other names tell nothing."""
    spec = OutputSpec(name="y", shape=[len(scores)], activation=activation, task=task, classes=classes)
    said = reader_of(spec).prediction(Outputs(np.array([scores], np.float32)), PLACEMENT)
    assert says_good(said) is good


@pytest.mark.parametrize(("threshold", "good"), [(None, None), (0.5, True), (0.1, False)])
def test_by_the_threshold_of_a_score(threshold: float | None, good: bool | None) -> None:
    """An anomaly score tells by its threshold; without one it tells nothing."""
    spec = OutputSpec(
        name="y",
        shape=[1],
        activation="none",
        task="anomaly",
        classes=[],
        anomaly=AnomalySpec(threshold=threshold),
    )
    said = reader_of(spec).prediction(Outputs(np.array([[0.3]], np.float32)), PLACEMENT)
    assert says_good(said) is good
