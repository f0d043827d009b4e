"""What a detector says, and which detection is explained; without a model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gagrad_edge.abi import BOXES
from gagrad_edge.errors import TargetError
from gagrad_edge.output import DetectionSpec, OutputSpec
from gagrad_runtime.answer.candidates import overlaps
from gagrad_runtime.answer.detection import DetectionReader
from gagrad_runtime.answer.outputs import Outputs
from gagrad_runtime.answer.reader import Wanted
from gagrad_runtime.answer.readers import reader_of
from gagrad_runtime.frame.placement import Placement, place
from tests.models import build_spec

CLASSES = ["scratch", "dent", "nothing"]
MODEL = (100, 200)
"""Height and width of the model's image."""


def logit(chance: float) -> float:
    return float(np.log(chance / (1 - chance)))


def outputs(*candidates: tuple[tuple[float, ...], tuple[float, float, float, float]]) -> Outputs:
    """Return one image's outputs: for each candidate the probabilities of its classes, and its box."""
    scores = np.array([[logit(chance) for chance in chances] for chances, _ in candidates], np.float32).T
    boxes = np.array([box for _, box in candidates], np.float32)
    return Outputs(scores[None], {BOXES: boxes[None]})


def reader(candidates: int, activation: Any = "sigmoid", **detection: Any) -> DetectionReader:
    spec = OutputSpec(
        name="y",
        shape=[3, candidates],
        activation=activation,
        classes=CLASSES,
        task="detection",
        detection=DetectionSpec(layout="", candidates=candidates, **detection),
    )
    found = reader_of(spec)
    assert isinstance(found, DetectionReader)
    return found


def placed(height: int = 100, width: int = 200, **fields: Any) -> Placement:
    return place((height, width), build_spec(*MODEL, **fields))


PART = outputs(
    ((0.6, 0.1, 0.1), (10, 10, 30, 30)),
    ((0.9, 0.2, 0.1), (12, 10, 32, 30)),
    ((0.1, 0.8, 0.1), (11, 10, 31, 30)),
    ((0.1, 0.7, 0.1), (150, 60, 190, 90)),
    ((0.2, 0.1, 0.1), (60, 60, 80, 80)),
    ((0.1, 0.1, 0.95), (100, 10, 110, 20)),
)
"""A scratch seen twice, a dent on the same place, another dent, a weak scratch, and background."""


def test_the_list_is_suppressed_within_a_class_and_sorted() -> None:
    """A double of the same class goes, another class on the same place stays; weak ones and background go."""
    found = reader(6, background=2).prediction(PART, placed())
    assert [one.index for one in found.detections] == [(0, 1), (1, 2), (1, 3)]
    assert [one.name for one in found.detections] == ["scratch", "dent", "dent"]
    assert [one.score for one in found.detections] == pytest.approx([0.9, 0.8, 0.7], rel=1e-6)
    assert found.detections[0].box == (12, 10, 32, 30)
    assert str(found.detections[2]) == "dent 70.0 % at 150,60–190,90"
    assert found.target.index == (0, 1)
    assert found.probability == pytest.approx(0.9, rel=1e-6)


def test_a_model_that_suppresses_keeps_all_and_the_list_ends() -> None:
    """Without suppression on the device both scratches are listed; ``most`` cuts the weakest."""
    assert len(reader(6, background=2, suppressed=True).prediction(PART, placed()).detections) == 4
    assert len(reader(6, background=2, most=2).prediction(PART, placed()).detections) == 2
    assert len(reader(6, background=2, threshold=0.85).prediction(PART, placed()).detections) == 1


def test_suppression_in_parts_is_suppression_of_all() -> None:
    """The list of the best few is the beginning of the whole list, however many candidates there are."""
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, (150, 50), (400, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(5, 40, (400, 2))], axis=1)
    many = Outputs(rng.normal(1, 1, (1, 3, 400)).astype(np.float32), {BOXES: boxes[None].astype(np.float32)})
    whole = reader(400).prediction(many, placed()).detections
    few = reader(400, most=7).prediction(many, placed()).detections
    assert few == whole[:7]
    for number, one in enumerate(whole):
        better = [other.box for other in whole[:number] if other.name == one.name]
        assert not better or overlaps(one.box, np.array(better)).max() <= 0.45 + 1e-6


def test_probabilities_of_each_activation() -> None:
    """Softmax is over the classes and the background; scores without an activation are probabilities."""
    scores = np.array([[2.0, 0.0], [0.0, 0.1], [0.0, 3.0]], np.float32)
    box = np.array([[0, 0, 10, 10], [20, 20, 40, 40]], np.float32)
    both = Outputs(scores[None], {BOXES: box[None]})
    found = reader(2, "softmax", background=2).prediction(both, placed())
    assert [one.score for one in found.detections] == pytest.approx([np.exp(2) / (np.exp(2) + 2)], rel=1e-6)
    plain = reader(2, "none").prediction(Outputs(scores[None] / 4, {BOXES: box[None]}), placed())
    assert [(one.name, one.score) for one in plain.detections] == [("nothing", 0.75), ("scratch", 0.5)]


def test_equal_probabilities_are_sorted_by_score() -> None:
    """Two scores whose probability rounds to 1 keep their order."""
    scores = np.array([[30.0, 40.0], [0, 0], [0, 0]], np.float32)
    both = Outputs(scores[None], {BOXES: np.array([[[0, 0, 9, 9], [20, 20, 40, 40]]], np.float32)})
    assert [one.index for one in reader(2).prediction(both, placed()).detections] == [(0, 1), (0, 0)]


@pytest.mark.parametrize(
    ("frame", "fields", "box", "expected"),
    [
        ((200, 400), {}, (10, 10, 30, 30), (20, 20, 60, 60)),
        ((50, 200), {"resize": "letterbox"}, (10, 30, 30, 60), (10, 5, 30, 35)),
        ((50, 200), {"resize": "letterbox", "pad_place": "end"}, (10, 30, 30, 60), (10, 30, 30, 50)),
        ((100, 400), {"resize": "crop"}, (10, 10, 30, 30), (110, 10, 130, 30)),
        ((100, 400), {"resize": "crop"}, (-20, 10, 30, 30), (80, 10, 130, 30)),
        ((400, 400), {"resize": "crop", "resize_to": 200}, (0, 0, 200, 100), (0, 100, 400, 300)),
    ],
)
def test_boxes_on_the_frame(
    frame: tuple[int, int], fields: dict[str, Any], box: tuple[float, ...], expected: tuple[float, ...]
) -> None:
    """Stretched, padded and cut frames: the exact inverse, cut at the frame's edges."""
    seen = place(frame, build_spec(*MODEL, **fields))
    one = Outputs(np.full((1, 3, 1), 3, np.float32), {BOXES: np.array([[box]], np.float32)})
    assert reader(1).prediction(one, seen).detections[0].box == pytest.approx(expected)
    np.testing.assert_allclose(seen.boxes_to_frame(np.array([box])), [seen.box_to_frame(box)])  # type: ignore[arg-type]


def test_a_box_beside_the_frame_is_no_detection() -> None:
    """A candidate that lies in the padding, or is inside out, has no place to point at."""
    beside = outputs(
        ((0.9, 0.1, 0.1), (10, 0, 30, 20)),
        ((0.8, 0.1, 0.1), (30, 40, 10, 60)),
        ((0.7, 0.1, 0.1), (0, 50, 9, 60)),
    )
    found = reader(3).prediction(beside, placed(50, 200, resize="letterbox"))
    assert [one.index for one in found.detections] == [(0, 2)]


def test_targets() -> None:
    """The best detection, a class, a number, a box, and another class at the same candidate."""
    read, seen = reader(6, background=2), placed()

    def target(**wanted: Any) -> Any:
        return read.target(Wanted(**wanted), PART, seen)

    best = target()
    assert (best.index, best.name, best.detection, best.box) == ((0, 1), "scratch", 1, (12, 10, 32, 30))
    assert target(target="dent").index == (1, 2)
    assert target(target=1).detection == 2
    assert target(target=(0, 4)).detection is None
    assert target(target="0,4").index == (0, 4)
    assert target(detection=3).index == (1, 3)
    assert target(detection=np.int64(3)).index == (1, 3)
    assert target(box=(140, 50, 185, 95)).index == (1, 3)
    assert target(box=(10, 10, 31, 30)).index == (1, 2)
    assert target(box=(10, 10, 31, 30), target="scratch").index == (0, 1)
    difference = target(detection=3, against="scratch")
    assert (difference.index, difference.against_index) == ((1, 3), (0, 3))
    assert str(difference) == "dent and not scratch"


def test_nothing_found_is_the_strongest_candidate() -> None:
    """Of any class by default, else of the class that was asked for; it has no number."""
    read = reader(6, background=2, threshold=0.99)
    assert read.prediction(PART, placed()).detections == ()
    best = read.target(Wanted(), PART, placed())
    assert (best.index, best.detection) == ((0, 1), None)
    assert read.target(Wanted(target="dent"), PART, placed()).index == (1, 2)
    nothing = read.prediction(PART, placed())
    assert nothing.target == best
    assert nothing.verdict == "nothing"
    assert nothing.probability == pytest.approx(0.1, rel=1e-5)  # of the verdict, as the station reports it


@pytest.mark.parametrize(
    ("wanted", "where", "said"),
    [
        ({"detection": 4}, "detection", "1: scratch 90.0 % at 12,10–32,30, 2: dent 80.0 %"),
        ({"detection": 0}, "detection", "no detection 0"),
        ({"detection": "two"}, "detection", "no detection 'two'"),
        ({"detection": 1, "box": (0, 0, 1, 1)}, "detection", "not with both"),
        ({"detection": 1, "target": "dent"}, "detection", "not with both"),
        ({"box": (90, 0, 95, 5)}, "box", "no detection overlaps 90,0,95,5"),
        ({"box": (9, 0, 5, 5)}, "box", "no box"),
        ({"box": "everywhere"}, "box", "no box"),
        ({"box": (140, 50, 185, 95), "target": "scratch"}, "box", "of the class scratch"),
        ({"region": "0,0,5,5"}, "region", "belong to boxes"),
        ({"target": "nothing"}, "target", "never detected"),
        ({"target": "scrach"}, "target", "no class"),
        ({"target": 9}, "target", "no output 9"),
        ({"target": (0, 6)}, "target", "no output 6"),
        ({"against": "scratch"}, "against", "against itself"),
    ],
)
def test_targets_that_are_none(wanted: dict[str, Any], where: str, said: str) -> None:
    """The error names the parameter and, for a detection or a box, lists the detections of this image."""
    with pytest.raises(TargetError) as caught:
        reader(6, background=2).target(Wanted(**wanted), PART, placed())
    assert caught.value.where == where
    assert said in str(caught.value)


@pytest.mark.parametrize("wanted", [{"detection": 1}, {"box": (0, 0, 9, 9)}])
def test_without_detections_there_is_none_to_choose(wanted: dict[str, Any]) -> None:
    """The error says so, and what would be explained instead."""
    with pytest.raises(TargetError, match=r"(?s)finds nothing.*strongest candidate, scratch 90.0 %"):
        reader(6, background=2, threshold=0.99).target(Wanted(**wanted), PART, placed())


def test_confidence_is_of_the_same_object() -> None:
    """The best candidate of the class where the target was, whichever it is; 0 when there is none."""
    read = reader(6, background=2)
    target = read.target(Wanted(detection=1), PART, placed())
    elsewhere = outputs(*[((0.9, 0.9, 0.1), (150, 60, 190, 90))] * 6)
    other = outputs(((0.3, 0.9, 0.1), (11, 9, 31, 29)), *[((0.8, 0.1, 0.1), (150, 60, 190, 90))] * 5)
    recovered = Outputs(
        np.concatenate([part.scores for part in (PART, elsewhere, other)]),
        {BOXES: np.concatenate([part.boxes for part in (PART, elsewhere, other)])},
    )
    assert read.confidence(recovered, PART, target) == pytest.approx([0.9, 0, 0.3], rel=1e-6)


def test_overlap() -> None:
    """Intersection over union, 0 for boxes that only touch and for those without area."""
    many = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [10, 0, 20, 10], [3, 3, 3, 9], [8, 8, 2, 2]], float)
    np.testing.assert_allclose(overlaps((0, 0, 10, 10), many), [1, 1 / 3, 0, 0, 0])
    assert overlaps((5, 5, 5, 5), many).max() == 0
