"""The model's answer as a name, task by task."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from gagrad_edge.checking import answers
from gagrad_edge.errors import SettingError
from gagrad_edge.output import DetectionSpec, OutputSpec, SegmentationSpec
from gagrad_runtime.question.answer import answer_of

NAMES = ["ok", "scratch", "dent"]


def output(shape: list[int], activation: Any, task: Any, classes: list[str] | None = None) -> OutputSpec:
    return OutputSpec(
        name="y", shape=shape, activation=activation, task=task, classes=NAMES if classes is None else classes
    )


@pytest.mark.parametrize(
    ("spec", "scores", "said"),
    [
        (output([3], "softmax", "classification"), [0, 2, 1], "scratch"),
        (output([3], "none", "classification", []), [0, 2, 1], "1"),
        (output([3], "sigmoid", "multilabel"), [-1, 2, 1], "scratch+dent"),
        (output([3], "sigmoid", "multilabel"), [-1, -2, -1], "none"),
        (output([3], "none", "multilabel"), [0.4, 0.6, 0.1], "scratch"),
        (output([1], "sigmoid", "classification", ["scratch"]), [0.3], "scratch"),
        (output([1], "sigmoid", "classification", ["scratch"]), [-0.3], "not scratch"),
        (output([1], "sigmoid", "classification", []), [-0.3], "0"),
    ],
)
def test_each_task_has_an_answer(spec: OutputSpec, scores: list[float], said: str) -> None:
    """One of the names that a label may have."""
    answer = answer_of(np.array(scores, np.float32), spec)
    assert answer == said
    assert answer in answers(spec) or set(answer.split("+")) <= set(answers(spec))


def test_a_segmentation_answers_its_largest_class() -> None:
    """Besides the background, whichever it is, which is the answer where nothing else is."""
    spec = replace(output([3, 4, 4], "softmax", "segmentation"), segmentation=SegmentationSpec(background=0))
    scores = np.zeros((3, 4, 4), np.float32)
    scores[0] = 1
    assert answer_of(scores, spec) == "ok"
    scores[2, 0, 0] = scores[1, 1, :2] = 2
    assert answer_of(scores, spec) == "scratch"
    last = replace(spec, segmentation=SegmentationSpec(background=2))
    assert answer_of(scores, last) == "ok"
    none = replace(spec, segmentation=SegmentationSpec(background=None))
    assert answer_of(scores, none) == "ok"


def test_a_segmentation_without_a_background_class_may_find_none() -> None:
    """Of a sigmoid, also of one class alone, nothing found is an answer that a label may have."""
    spec = replace(
        output([1, 4, 4], "sigmoid", "segmentation", ["scratch"]),
        segmentation=SegmentationSpec(background=None),
    )
    scores = np.full((1, 4, 4), -1, np.float32)
    assert answer_of(scores, spec) == "none"
    scores[0, 2, 2] = 1
    assert answer_of(scores, spec) == "scratch"
    assert answers(spec) == ["scratch", "none"]


@pytest.mark.parametrize(
    ("task", "more"),
    [
        ("regression", {"shape": [3]}),
        ("detection", {"shape": [3, 4], "detection": DetectionSpec(layout="x", candidates=4)}),
        ("anomaly", {"shape": [1]}),
    ],
)
def test_an_answer_that_is_no_name(task: Any, more: dict[str, Any]) -> None:
    """It is said that a check compares classes."""
    spec = OutputSpec(name="y", activation="none", task=task, classes=[], **more)
    with pytest.raises(SettingError, match=f"task is {task}"):
        answer_of(np.zeros(spec.shape, np.float32), spec)
