"""What a message about a wrong target lists."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gagrad_edge.errors import TargetError
from gagrad_edge.output import OutputSpec, SequenceSpec
from gagrad_runtime.answer.choices import with_choices
from gagrad_runtime.answer.outputs import Outputs
from gagrad_runtime.answer.readers import reader_of


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
