"""The model's answer as a label, task by task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from gagrad_edge.checking import Labelled, answers, in_order, require_labels
from gagrad_edge.errors import SettingError
from gagrad_edge.output import AnomalySpec, DetectionSpec, OutputSpec, SegmentationSpec
from gagrad_runtime.answer.label import label_of
from gagrad_runtime.answer.outputs import Outputs
from gagrad_runtime.answer.readers import reader_of
from gagrad_runtime.frame.placement import place

if TYPE_CHECKING:
    from collections.abc import Callable

    from gagrad_edge.input import InputSpec

NAMES = ["ok", "scratch", "dent"]
CANDIDATES = DetectionSpec(layout="x", candidates=2, suppressed=True, background=0)


def output(
    shape: list[int], activation: Any, task: Any, classes: list[str] | None = None, **more: Any
) -> OutputSpec:
    names = NAMES if classes is None else classes
    return OutputSpec(name="y", shape=shape, activation=activation, task=task, classes=names, **more)


def label(spec: OutputSpec, scores: Any, input_spec: InputSpec) -> str:
    array = np.array(scores, np.float32)[None]
    beside = {} if spec.detection is None else {"boxes": np.array([[[1, 1, 5, 5], [2, 2, 7, 7]]], np.float32)}
    placement = place((input_spec.height, input_spec.width), input_spec)
    return label_of(reader_of(spec).prediction(Outputs(array, beside), placement), spec)


@pytest.mark.parametrize(
    ("spec", "scores", "said"),
    [
        (output([3], "softmax", "classification"), [0, 2, 1], "scratch"),
        (output([3], "none", "classification", []), [0, 2, 1], "1"),
        (output([3], "sigmoid", "multilabel"), [-1, 2, 1], "scratch+dent"),
        (output([3], "sigmoid", "multilabel"), [-1, -2, -1], "none"),
        (output([1], "sigmoid", "classification", ["scratch"]), [0.3], "scratch"),
        (output([1], "sigmoid", "classification", ["scratch"]), [-0.3], "not scratch"),
        (output([1], "sigmoid", "classification", []), [-0.3], "0"),
        (
            output([3, 2], "sigmoid", "detection", detection=CANDIDATES),
            [[9, 9], [-9, 3], [4, -9]],
            "scratch+dent",
        ),
        (output([3, 2], "sigmoid", "detection", detection=CANDIDATES), [[9, 9], [-9, -9], [-9, -9]], "none"),
        (output([1], "none", "anomaly", [], anomaly=AnomalySpec(threshold=0.5)), [0.5], "NG"),
        (output([1], "none", "anomaly", [], anomaly=AnomalySpec(threshold=0.5)), [0.4], "OK"),
    ],
)
def test_each_task_has_an_answer(
    spec: OutputSpec, scores: Any, said: str, input_spec: Callable[..., InputSpec]
) -> None:
    """One of the names that a label may have, or several of them."""
    answer = label(spec, scores, input_spec(16, 16))
    assert answer == said
    assert set(answer.split("+")) <= set(answers(spec))


def test_a_segmentation_answers_its_largest_class(input_spec: Callable[..., InputSpec]) -> None:
    """Besides the background, which is the answer where nothing else is."""
    spec = output([3, 4, 4], "softmax", "segmentation", segmentation=SegmentationSpec(background=0))
    scores = np.zeros((3, 4, 4), np.float32)
    scores[0] = 1
    assert label(spec, scores, input_spec(16, 16)) == "ok"
    scores[2, 0, 0] = scores[1, 1, :2] = 2
    assert label(spec, scores, input_spec(16, 16)) == "scratch"


def test_a_segmentation_without_a_background_class_may_find_none(
    input_spec: Callable[..., InputSpec],
) -> None:
    """Of a sigmoid, also of one class alone, nothing found is an answer that a label may have."""
    spec = output([1, 4, 4], "sigmoid", "segmentation", ["scratch"], segmentation=SegmentationSpec())
    scores = np.full((1, 4, 4), -1, np.float32)
    assert label(spec, scores, input_spec(16, 16)) == "none"
    scores[0, 2, 2] = 1
    assert label(spec, scores, input_spec(16, 16)) == "scratch"
    assert answers(spec) == ["scratch", "none"]


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        (output([3], "none", "regression", []), "task is regression"),
        (output([1], "none", "anomaly", [], anomaly=AnomalySpec()), "without a threshold"),
    ],
)
def test_an_answer_that_is_no_name(spec: OutputSpec, says: str) -> None:
    """It is said that a check compares names."""
    with pytest.raises(SettingError, match=says):
        answers(spec)


def test_the_order_of_several_names_does_not_matter() -> None:
    """Labels are brought to the classes' order; an unknown one, and the background's, are refused."""
    spec = output([3, 2], "sigmoid", "detection", detection=CANDIDATES)
    assert in_order([Labelled("a", "dent+scratch"), Labelled("b", "none")], spec) == [
        Labelled("a", "scratch+dent"),
        Labelled("b", "none"),
    ]
    for wrong in ("ok", "dent+hole"):
        with pytest.raises(SettingError, match="cannot answer"):
            require_labels([Labelled("a", wrong)], spec)
