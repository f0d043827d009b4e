"""From a name or an index to the cotangent."""

from __future__ import annotations

import numpy as np
import pytest

from gagrad_edge.errors import TargetError
from gagrad_edge.output import OutputSpec
from gagrad_runtime.question.target import cotangent, resolve_target

NAMED = OutputSpec(name="y", shape=[4], activation="softmax", classes=["ok", "scratch", "dent", "Stain"])
PLAIN = OutputSpec(name="y", shape=[4], activation="softmax", classes=[])
GRID = OutputSpec(name="y", shape=[2, 3], activation="sigmoid", classes=["ok", "bad"])
SCORES = np.array([0, 3, 1, 2], np.float32)


@pytest.mark.parametrize(
    ("choice", "index"), [(None, 1), ("dent", 2), ("DENT", 2), ("stain", 3), ("3", 3), (0, 0), ((2,), 2)]
)
def test_target_by_name_or_index(choice: str | int | None, index: int) -> None:
    """A class is chosen by name in any case, by index, or is the highest score."""
    assert resolve_target(choice, None, SCORES, NAMED).index == (index,)


def test_a_class_named_like_a_number_wins() -> None:
    """A text that is both a class name and an index means the class name."""
    digits = OutputSpec(name="y", shape=[2], activation="softmax", classes=["1", "0"])
    assert resolve_target("1", None, SCORES[:2], digits).index == (0,)


def test_unknown_name_shows_the_nearest() -> None:
    """The error about an unknown class lists the nearest name first."""
    with pytest.raises(TargetError) as caught:
        resolve_target("scrach", None, SCORES, NAMED)
    assert caught.value.choices[0] == "scratch"


@pytest.mark.parametrize("choice", [4, -1, "17", (1, 2), "1,2"])
def test_index_outside_the_output(choice: str | int) -> None:
    """An index outside the output raises TargetError."""
    with pytest.raises(TargetError):
        resolve_target(choice, None, SCORES, NAMED)


def test_names_need_names() -> None:
    """A class name for a model without class names raises TargetError."""
    with pytest.raises(TargetError, match="no class names"):
        resolve_target("dent", None, SCORES, PLAIN)


def test_this_and_not_that() -> None:
    """A contrast has the cotangent +1 and −1; a class against itself is refused."""
    target = resolve_target("dent", "ok", SCORES, NAMED)
    assert str(target) == "dent and not ok"
    np.testing.assert_array_equal(cotangent(target, (4,)), [[-1, 0, 1, 0]])
    with pytest.raises(TargetError, match="against itself"):
        resolve_target("ok", "ok", SCORES, NAMED)


def test_an_element_of_a_larger_output() -> None:
    """One element of a larger output is named by its indices and gets the only cotangent."""
    scores = np.zeros((2, 3), np.float32)
    target = resolve_target("1,2", None, scores, GRID)
    assert (target.index, target.name) == ((1, 2), "bad[2]")
    assert cotangent(target, (2, 3)).sum() == cotangent(target, (2, 3))[0, 1, 2] == 1
