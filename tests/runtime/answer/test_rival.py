"""Against which class the operator's map explains an answer."""

from __future__ import annotations

import numpy as np
import pytest

from gagrad_edge.output import OutputSpec
from gagrad_runtime.answer.rival import against_good
from gagrad_runtime.question.target import Target, cotangent

SCORES = np.array([0.5, 2.0, 1.0, 0.0], np.float32)


def spec(*classes: str, task: str = "classification") -> OutputSpec:
    """Return the output of a model with ``classes``."""
    return OutputSpec(
        name="scores",
        shape=(len(classes),),
        activation="none" if task != "classification" else "softmax",
        classes=classes,
        task=task,  # type: ignore[arg-type]
    )


def test_a_defect_is_explained_against_the_good_class() -> None:
    """The likeliest one, where several are for good parts."""
    found = against_good(Target((1,), "scratch"), SCORES, spec("OK", "scratch", "good", "dent"))
    assert (found.index, found.against_index, found.against_name) == ((1,), (2,), "good")
    np.testing.assert_array_equal(cotangent(found, (4,)), [[0, 1, -1, 0]])


@pytest.mark.parametrize(
    ("target", "output"),
    [
        (Target((0,), "ok"), spec("ok", "scratch", "stain", "dent")),
        (Target((1,), "cat"), spec("dog", "cat", "cow", "hen")),
        (Target((1,), "dent", (3,), "stain"), spec("ok", "dent", "a", "stain")),
        (Target((1,), "dent"), spec("ok", "dent", "a", "stain", task="multilabel")),
    ],
)
def test_else_the_answer_stands_for_itself(target: Target, output: OutputSpec) -> None:
    """A good part, classes of no known sense, a difference that is asked for, labels that may go together."""
    assert against_good(target, SCORES, output) is target
