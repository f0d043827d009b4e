"""When an answer is unsure, in the sense of each task."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gagrad_edge.abi import BOXES
from gagrad_edge.output import AnomalySpec, DetectionSpec, OutputSpec, SegmentationSpec, SequenceSpec
from gagrad_runtime.answer.outputs import Outputs
from gagrad_runtime.answer.reader import Wanted
from gagrad_runtime.answer.readers import reader_of
from gagrad_runtime.explanation.doubts import unsure
from gagrad_runtime.frame.placement import place
from tests.models import build_spec

PLACEMENT = place((40, 40), build_spec(20, 20))


def logit(chance: float) -> float:
    return float(np.log(chance / (1 - chance)))


def said(task: Any, activation: Any, scores: Any, classes: list[str] | None = None, **more: Any) -> str:
    """Return the caution's text; empty for none."""
    beside = more.pop("beside", {})
    array = np.array(scores, np.float32)
    names = ["ok", "scratch", "dent"][: len(array)] if classes is None else classes
    shape = list(array.shape)
    spec = OutputSpec(name="y", shape=shape, activation=activation, task=task, classes=names, **more)
    reader = reader_of(spec)
    outputs = Outputs(array[None], beside)
    found = unsure(reader.prediction(outputs, PLACEMENT), reader.target(Wanted(), outputs, PLACEMENT), spec)
    assert all(one.code == "unsure" and one.text.endswith(".") for one in found)
    return found[0].text if found else ""


def test_a_class() -> None:
    """Where the two best classes are nearly as likely both are named; a good part has to be a sure one."""
    text = said("classification", "softmax", np.log([0.05, 0.5, 0.45]))
    assert "scratch 50.0 %, then dent 45.0 %" in text
    assert said("classification", "softmax", np.log([0.05, 0.55, 0.4])) == ""
    assert "ok 80.0 %, then dent" in said("classification", "softmax", np.log([0.8, 0.05, 0.15]))
    assert said("classification", "softmax", np.log([0.95, 0.02, 0.03])) == ""
    assert said("classification", "none", [1.0, 1.1, 1.2]) == ""
    assert "class 1" in said("classification", "softmax", np.log([0.48, 0.52]), [])


@pytest.mark.parametrize(("chance", "sure"), [(0.75, True), (0.6, False), (0.4, False), (0.2, True)])
def test_a_single_label(chance: float, sure: bool) -> None:
    """One probability is unsure in the middle, on both sides of one half."""
    assert (said("classification", "sigmoid", [logit(chance)], ["defect"]) == "") is sure


def test_labels() -> None:
    """The weakest label that is there counts; where none is there, the one that comes closest."""
    assert "scratch has 60.0 %" in said("multilabel", "sigmoid", [logit(0.99), logit(0.6), logit(0.2)])
    assert said("multilabel", "sigmoid", [logit(0.99), logit(0.75), logit(0.2)]) == ""
    assert "no label, and dent" in said("multilabel", "sigmoid", [logit(0.01), logit(0.02), logit(0.4)])
    assert said("multilabel", "sigmoid", [logit(0.01), logit(0.02), logit(0.25)]) == ""


@pytest.mark.parametrize(
    ("best", "words"), [(0.9, ""), (0.3, "listed from 25.0 %"), (0.2, "nothing"), (0.05, "")]
)
def test_a_detection(best: float, words: str) -> None:
    """Near the threshold, above it or below, a detection might as well be listed or not."""
    text = said(
        "detection",
        "sigmoid",
        [[logit(best), logit(0.01)]],
        ["dent"],
        detection=DetectionSpec(layout="x", candidates=2, suppressed=True),
        beside={BOXES: np.array([[[1, 1, 5, 5], [2, 2, 7, 7]]], np.float32)},
    )
    assert words in text
    assert (text == "") is (words == "")


def test_an_area() -> None:
    """The mean probability where a class is predicted counts; without an area nothing is said."""
    scores = np.zeros((2, 4, 4))
    segmented: dict[str, Any] = {"segmentation": SegmentationSpec(0), "classes": ["none", "dent"]}
    scores[0] = 9
    assert said("segmentation", "softmax", scores, **segmented) == ""
    scores[1, :2] = 9.5
    assert "dent has 62.2 %" in said("segmentation", "softmax", scores, **segmented)
    scores[1, :2] = 14
    assert said("segmentation", "softmax", scores, **segmented) == ""


@pytest.mark.parametrize(
    ("score", "threshold", "sure"), [(0.52, 0.5, False), (0.8, 0.5, True), (0.52, None, True)]
)
def test_an_anomaly_score(score: float, threshold: float | None, sure: bool) -> None:
    """A score within a tenth of its threshold is unsure; without a threshold it is near to nothing."""
    text = said("anomaly", "none", [score], [], anomaly=AnomalySpec(threshold=threshold))
    assert (text == "") is sure


def test_a_text_and_a_value() -> None:
    """The weakest character counts; a value has no probability."""
    steps = np.log([[0.9, 0.3], [0.1, 0.7]])
    assert "'7' has 70.0 %" in said("sequence", "softmax", steps, ["A", "7"], sequence=SequenceSpec(None))
    assert said("sequence", "softmax", np.log([[0.9], [0.1]]), ["A", "7"], sequence=SequenceSpec(None)) == ""
    assert said("regression", "none", [3.0], []) == ""
