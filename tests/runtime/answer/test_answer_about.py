"""What the model says of the target, in the sense of each task, and which images keep the answer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gagrad_edge.abi import BOXES
from gagrad_edge.output import AnomalySpec, DetectionSpec, OutputSpec, SegmentationSpec, SequenceSpec
from gagrad_runtime.answer.outputs import Outputs, joined
from gagrad_runtime.answer.reader import Reader, Wanted
from gagrad_runtime.answer.readers import reader_of
from gagrad_runtime.frame.placement import place
from tests.models import build_spec

NAMES = ["ok", "scratch", "dent"]
PLACEMENT = place((40, 40), build_spec(20, 20))


def reader(task: Any, activation: Any, shape: list[int], **more: Any) -> Reader:
    classes = more.pop("classes", NAMES[: shape[0]])
    return reader_of(
        OutputSpec(name="y", shape=shape, activation=activation, task=task, classes=classes, **more)
    )


def out(scores: Any, **beside: Any) -> Outputs:
    return Outputs(np.array([scores], np.float32), {k: np.array([v], np.float32) for k, v in beside.items()})


def kept(found: Reader, original: Outputs, *rows: Outputs, wanted: Wanted | None = None) -> list[bool] | None:
    target = found.target(wanted or Wanted(), original, PLACEMENT)
    answer = found.keeps(target, joined(rows), original, PLACEMENT)
    return None if answer is None else answer.tolist()


def test_a_classifiers_answer_is_its_class() -> None:
    """The predicted class counts, whatever its probability, and also where another class is explained."""
    found = reader("classification", "softmax", [3])
    part, weaker, other = out([0, 5, 1]), out([0, 1.1, 1]), out([2, 1, 0])
    assert kept(found, part, part, weaker, other) == [True, True, False]
    assert kept(found, part, weaker, other, wanted=Wanted("dent")) == [True, False]


def test_a_label_is_there_or_not() -> None:
    """Of a model of labels, and of one with a single probability, the label counts that is explained."""
    found = reader("multilabel", "sigmoid", [3])
    assert kept(found, out([-1, 2, 1]), out([3, 0.1, -2]), out([-1, -0.1, 2])) == [True, False]
    single = reader("classification", "sigmoid", [1])
    assert kept(single, out([0.3]), out([2.0]), out([-0.3])) == [True, False]


def test_a_value_is_no_answer() -> None:
    """A regression, and an anomaly score without a threshold, have no answer that could change."""
    assert kept(reader("regression", "none", [1]), out([3]), out([-3])) is None
    assert kept(reader("anomaly", "none", [1], anomaly=AnomalySpec()), out([3]), out([0])) is None


def test_an_anomaly_scorers_answer_is_its_verdict() -> None:
    """A score changes its answer at the threshold; an area of a map when nothing of it reaches it."""
    scorer = reader("anomaly", "none", [1], anomaly=AnomalySpec(threshold=0.5))
    assert kept(scorer, out([0.9]), out([0.5]), out([0.4])) == [True, False]
    mapper = reader("anomaly", "none", [1, 4, 4], anomaly=AnomalySpec(threshold=0.5))
    plane = np.zeros((1, 4, 4))
    plane[0, 0, 0], plane[0, 3, 3] = 0.9, 0.7
    first, second, neither = (plane * mask for mask in (plane > 0.8, plane < 0.8, plane > 1))
    assert kept(mapper, out(plane), out(first), out(second), out(neither)) == [True, True, False]
    one = Wanted(instance=1)
    assert kept(mapper, out(plane), out(first), out(second), wanted=one) in ([True, False], [False, True])
    good = plane * 0.5
    assert kept(mapper, out(good), out(good * 0.5), out(plane)) == [True, False]


def test_a_detectors_answer_is_the_object() -> None:
    """The object is kept when a detection of its class overlaps its box, whichever candidate it is."""
    found = reader(
        "detection", "sigmoid", [3, 2], detection=DetectionSpec(layout="x", candidates=2, suppressed=True)
    )
    here, near, far = [2, 2, 10, 10], [2, 2, 10, 11], [12, 12, 18, 18]
    part = out([[-9, -9], [3, -9], [-9, -9]], boxes=[here, near])
    moved = out([[-9, -9], [-9, 2], [-9, -9]], boxes=[here, near])
    gone = out([[-9, -9], [-9, 2], [-9, -9]], boxes=[here, far])
    other = out([[-9, -9], [-9, -9], [3, -9]], boxes=[here, near])
    assert kept(found, part, part, moved, gone, other) == [True, True, False, False]


def test_copies_without_boxes_have_those_of_the_image() -> None:
    """``accumulate`` gives scores only: a noisy copy is judged by the boxes of the image itself."""
    found = reader(
        "detection", "sigmoid", [3, 2], detection=DetectionSpec(layout="x", candidates=2, suppressed=True)
    )
    part = out([[-9, -9], [3, -9], [-9, -9]], **{BOXES: [[2, 2, 10, 10], [2, 2, 10, 11]]})
    copies = Outputs(np.array([[[-9, -9], [-9, 2], [-9, -9]], [[-9, -9], [-9, -9], [-9, -9]]], np.float32))
    answer = found.keeps(found.target(Wanted(), part, PLACEMENT), copies, part, PLACEMENT)
    assert answer is not None
    assert answer.tolist() == [True, False]


def test_a_segmenters_answer_is_the_area() -> None:
    """An area is kept while half of its cells are still of its class."""
    found = reader("segmentation", "softmax", [3, 4, 4], segmentation=SegmentationSpec(0))
    scores = np.zeros((3, 4, 4))
    scores[0] = 1
    scores[1, :2, :2] = 5
    half, less = scores.copy(), scores.copy()
    half[1, 0, :2] = 0
    less[1, :2, :1], less[1, 0, 1] = 0, 0
    assert kept(found, out(scores), out(half), out(less)) == [True, False]
    region = Wanted(region=(0, 0, 20, 20))
    less[1] = 0
    assert kept(found, out(scores), out(half), out(less), wanted=region) == [True, False]


def test_a_readers_answer_is_the_text() -> None:
    """One other character makes another text, also where a character is explained."""
    found = reader("sequence", "softmax", [3, 2], sequence=SequenceSpec(None), classes=["A", "B", "7"])
    part, other = out([[5, 0], [0, 5], [1, 1]]), out([[5, 0], [0, 1], [1, 2]])
    assert kept(found, part, part, other) == [True, False]
    assert kept(found, part, part, other, wanted=Wanted(character=1)) == [True, False]


@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_the_image_itself_keeps_its_answer(noise: float, rng: np.random.Generator) -> None:
    """The same scores are the same answer, whatever they are."""
    found = reader("classification", "softmax", [3])
    part = out(noise * rng.standard_normal(3))
    assert kept(found, part, part) == [True]
