from __future__ import annotations

import numpy as np
import pytest

from gagrad_edge.errors import TargetError
from gagrad_edge.output import OutputSpec, SegmentationSpec
from gagrad_runtime.answer.areas import CLOSEST
from gagrad_runtime.answer.outputs import Outputs
from gagrad_runtime.answer.reader import Wanted
from gagrad_runtime.answer.readers import reader_of
from gagrad_runtime.frame.placement import place
from gagrad_runtime.question.target import cotangent
from tests.models import build_spec

CLASSES = ["background", "scratch", "dent"]
PLACEMENT = place((80, 80), build_spec(40, 40))


def outputs(*boxes: tuple[int, int, int, int, int], size: int = 20) -> Outputs:
    """Return scores of background everywhere but class k in each (k, top, left, bottom, right)."""
    scores = np.zeros((1, 3, size, size), np.float32)
    scores[0, 0] = 2
    for index, top, left, bottom, right in boxes:
        scores[0, index, top:bottom, left:right] = 5
    return Outputs(scores)


def spec(background: int | None = 0, size: int = 20) -> OutputSpec:
    return OutputSpec(
        name="mask",
        shape=[3, size, size],
        activation="softmax",
        classes=CLASSES,
        task="segmentation",
        segmentation=SegmentationSpec(background),
    )


PART = outputs((1, 0, 0, 2, 5), (2, 10, 0, 14, 10), (2, 17, 15, 19, 19))


def test_the_largest_class_is_explained_where_it_is_predicted() -> None:
    """The default target is the class with the largest area besides background, summed over its cells."""
    reader = reader_of(spec())
    target = reader.target(Wanted(), PART, PLACEMENT)
    assert target.name == "dent"
    weights = cotangent(target, (3, 20, 20))[0]
    assert weights[2].sum() == 48
    assert not weights[:2].any()


def test_areas_are_shares_of_the_frame_without_the_background() -> None:
    """``areas`` lists each class that is found, largest first, as a share of the frame."""
    said = reader_of(spec()).prediction(PART, PLACEMENT)
    assert said.areas == (("dent", pytest.approx(48 / 400)), ("scratch", pytest.approx(10 / 400)))
    assert said.present == ("dent", "scratch")
    assert "dent 12.0 % of the frame" in repr(said)


def test_padding_beside_the_frame_does_not_count() -> None:
    """Under a letterbox the share is of the frame, and what is found on the bars is left out."""
    wide = place((20, 40), build_spec(40, 40, resize="letterbox"))  # the frame is rows 10 to 30 of 40
    said = reader_of(spec()).prediction(outputs((1, 0, 0, 5, 20), (2, 5, 0, 10, 20)), wide)
    assert said.areas == (("dent", pytest.approx(0.5)),)


def test_the_confidence_is_the_mean_probability_there() -> None:
    """RCAP asks how sure the model is of the class in the cells where it was predicted."""
    reader = reader_of(spec())
    target = reader.target(Wanted(target="scratch"), PART, PLACEMENT)
    sure = float(np.exp(5) / (np.exp(5) + np.exp(2) + 1))
    assert reader.confidence(PART, PART, target) == pytest.approx([sure], abs=1e-5)
    assert reader.confidence(outputs(), PART, target)[0] < 0.2


def test_areas_that_do_not_touch_can_be_explained_one_by_one() -> None:
    """``instance`` counts the connected areas of a class from 1, the largest first."""
    reader = reader_of(spec())
    cells = [
        reader.target(Wanted(instance=number), PART, PLACEMENT).region.cells  # type: ignore[union-attr]
        for number in (1, 2)
    ]
    assert [one.sum() for one in cells] == [40, 8]
    with pytest.raises(TargetError, match="there is no area 3: the model finds 2"):
        reader.target(Wanted(instance=3), PART, PLACEMENT)


def test_a_frame_of_background_explains_the_closest_class() -> None:
    """Where nothing is found the class with the highest probability is explained where it comes closest."""
    plain = outputs()
    plain.scores[0, 1, 3, 4] = 1
    reader = reader_of(spec())
    target = reader.target(Wanted(), plain, PLACEMENT)
    assert (target.name, target.region.name if target.region else "") == ("scratch", CLOSEST)
    assert target.region is not None
    assert target.region.cells[3, 4] == 1
    assert reader.prediction(plain, PLACEMENT).areas == ()
    assert "nothing but background" in repr(reader.prediction(plain, PLACEMENT))


def test_without_a_background_each_class_is_something() -> None:
    """A segmenter without a background is explained for its largest class, whichever that is."""
    target = reader_of(spec(None)).target(Wanted(), PART, PLACEMENT)
    assert target.name == "background"


@pytest.mark.parametrize("activation", ["sigmoid", "none"])
def test_one_class_is_where_it_is_above_one_half(activation: str) -> None:
    """A map of one class is found where its probability is above one half."""
    one = OutputSpec(
        name="mask",
        shape=[1, 4, 4],
        activation=activation,  # type: ignore[arg-type]
        classes=["defect"],
        task="segmentation",
        segmentation=SegmentationSpec(),
    )
    scores = np.full((1, 1, 4, 4), -3 if activation == "sigmoid" else 0.1, np.float32)
    scores[0, 0, 1, 1:3] = 3 if activation == "sigmoid" else 0.9
    said = reader_of(one).prediction(Outputs(scores), PLACEMENT)
    assert said.areas == (("defect", pytest.approx(2 / 16)),)


def test_a_region_or_one_cell_can_be_asked_for() -> None:
    """The caller's region stands for the predicted cells, and three indices are one element."""
    reader = reader_of(spec())
    region = reader.target(Wanted(target="dent", region="0,0,40,40"), PART, PLACEMENT).region
    assert region is not None
    assert not region.found
    assert reader.target(Wanted(target=(2, 11, 3)), PART, PLACEMENT).region is None
    assert reader.target(Wanted(target="2,11,3"), PART, PLACEMENT).index == (2, 11, 3)


def test_everything_that_is_found_can_be_explained() -> None:
    """``each`` asks for each class with an area, and for the default where there is none."""
    reader = reader_of(spec())
    assert [one.target for one in reader.each(PART, PLACEMENT)] == ["dent", "scratch"]
    assert reader.each(outputs(), PLACEMENT) == [Wanted()]


def test_what_a_segmenter_does_not_have_is_refused() -> None:
    """A detection, and an area beside a region, are refused with what to do."""
    reader = reader_of(spec())
    with pytest.raises(TargetError, match="lists no detections"):
        reader.target(Wanted(detection=1), PART, PLACEMENT)
    with pytest.raises(TargetError, match="both given"):
        reader.target(Wanted(region="0,0,9,9", instance=1), PART, PLACEMENT)
