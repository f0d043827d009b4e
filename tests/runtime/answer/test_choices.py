"""What a message about a wrong target lists."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gagrad_edge.abi import BOXES
from gagrad_edge.errors import TargetError
from gagrad_edge.output import DetectionSpec, OutputSpec, SequenceSpec
from gagrad_runtime.answer.choices import with_choices
from gagrad_runtime.answer.outputs import Outputs
from gagrad_runtime.answer.reader import Wanted
from gagrad_runtime.answer.readers import reader_of
from gagrad_runtime.frame.placement import place
from tests.models import build_spec


def advised(scores: Any, error: TargetError, **spec: Any) -> TargetError:
    values = np.asarray(scores, np.float32)
    fields: dict[str, Any] = {"activation": "softmax", "classes": []} | spec
    reader = reader_of(OutputSpec(name="y", shape=list(values.shape), **fields))
    return with_choices(error, reader, Outputs(values[None]))


WRONG = TargetError("there is no class 'x'", where="target")


def test_classes_come_first_that_the_model_is_surest_of() -> None:
    """Names, or numbers where there are none; of a map by its highest score."""
    assert advised([0, 3, 1], WRONG, classes=["ok", "dent", "stain"]).choices == ("dent", "stain", "ok")
    assert advised([0, 3, 1], WRONG).choices == ("1", "2", "0")
    places = np.zeros((2, 4, 4))
    places[1, 2, 3] = 1
    assert advised(places, WRONG).choices == ("1", "0")


def test_many_classes_are_not_all_listed() -> None:
    """Ten of them, and where the others are."""
    found = advised(np.arange(1000), WRONG)
    assert found.choices == tuple(str(999 - number) for number in range(10))
    assert "10 of 1000" in str(found)
    assert "gagrad-edge inspect" in str(found)


def test_one_answer_needs_no_target() -> None:
    """A model of one value says so and lists nothing."""
    found = advised([3.5], WRONG, activation="none")
    assert found.choices == ()
    assert "one answer only" in str(found)


@pytest.mark.parametrize(
    "error",
    [
        TargetError("no detections", where="detection"),
        TargetError("there is no class 'dnt'", where="target", choices=["dent"]),
    ],
)
def test_other_errors_stay(error: TargetError) -> None:
    """What has its own choices, or is about something else, is not changed."""
    assert advised([0, 1], error) is error


def test_characters_are_no_classes() -> None:
    """A text line is not asked by a class, so that its characters are not listed."""
    error = TargetError("explained as a whole", where="target", hint="leave it out")
    spec = {"task": "sequence", "sequence": SequenceSpec(blank=0)}
    assert advised(np.zeros((5, 3)), error, **spec) is error


def test_the_only_answer_is_not_asked_for_by_a_number() -> None:
    """A name that an anomaly scorer does not know leads to leaving it out, not to "0 to 0"."""
    wrong = TargetError("'x' is no index", where="target", hint="give a number from 0 to 0")
    found = advised([3.5], wrong, activation="none", task="anomaly")
    assert found.hint == "the model has one answer only: leave `target` out"
    kept = TargetError("there is one score", where="against", hint="leave it out")
    assert advised([3.5], kept, activation="none", task="anomaly").hint == "leave it out"


def test_values_are_no_classes() -> None:
    """Those of a regression are listed as what they are."""
    found = advised([1, 3, 2], WRONG, activation="none", task="regression", classes=["a", "b", "c"])
    assert found.choices == ("b", "c", "a")
    assert "values" in str(found)
    assert "classes" not in str(found.hint)


def test_a_value_of_several_rows_is_named_by_all_its_numbers() -> None:
    """Rows alone are no choices where a row is not what can be explained; the example can be."""
    values = np.zeros((2, 3))
    values[1, 2] = 1
    found = advised(values, WRONG, activation="none", task="regression")
    assert found.choices == ()
    assert "2×3 values" in str(found)
    assert "1,2" in str(found)


_CLASS = "choose a class with `target`, or leave it out"
_ALONE = "the model has one answer only: leave it out"
_AREA = "choose a class with `target`, one of its areas with `instance`, or leave it out"
NOT_ASKED = [
    ("classification", [2], _CLASS),
    ("multilabel", [2], _CLASS),
    ("regression", [2], "choose a value with `target`, or leave it out"),
    ("regression", [1], _ALONE),
    ("anomaly", [1], _ALONE),
    ("anomaly", [1, 4, 4], "choose one of the map's areas with `instance`, or leave it out"),
    ("segmentation", [2, 4, 4], _AREA),
    ("sequence", [5, 3], "leave it out, or give the number of a character with `character`"),
    ("detection", [2, 3], "choose a detection with `detection`, `box` or `target`, or leave it out"),
]
"""Task, shape of the scores, and what the message about a part that is not there advises."""
PARTS: dict[str, Any] = {"detection": 1, "box": (0, 0, 1, 1), "instance": 1, "character": 1}


@pytest.mark.parametrize(("task", "shape", "advice"), NOT_ASKED)
def test_a_part_that_the_task_does_not_have_is_refused_with_what_it_has(
    task: Any, shape: list[int], advice: str
) -> None:
    """No task ignores a detection, an area or a character that it does not have, and none advises another."""
    spec = OutputSpec(
        name="y",
        shape=shape,
        activation="none",
        classes=[],
        task=task,
        detection=DetectionSpec(layout="", candidates=3) if task == "detection" else None,
        sequence=SequenceSpec(blank=0) if task == "sequence" else None,
    )
    reader = reader_of(spec)
    scores, boxes = np.zeros((1, *shape), np.float32), np.zeros((1, 3, 4), np.float32)
    own = {"detection": ("detection", "box"), "sequence": ("character",)}
    own |= {"segmentation": ("instance",), "anomaly": ("instance",)}
    for part in sorted(set(PARTS) - set(own.get(task, ()))):
        with pytest.raises(TargetError, match="the model's task is") as caught:
            reader.target(
                Wanted(**{part: PARTS[part]}),
                Outputs(scores, {BOXES: boxes}),
                place((8, 8), build_spec(8, 8)),
            )
        assert (caught.value.where, caught.value.hint) == (part, advice)
