"""Explanation and Prediction as values: what they list, how they print, how they compare."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import pytest

from gagrad_runtime.answer.prediction import Prediction
from gagrad_runtime.explanation.explanation import Explanation
from gagrad_runtime.question.target import Target

if TYPE_CHECKING:
    from collections.abc import Callable

    Builder = Callable[..., Explanation]


def prediction(scores: list[float], chances: list[float] | None, names: tuple[str, ...] = ()) -> Prediction:
    best = int(np.argmax(scores))
    return Prediction(
        Target((best,), names[best] if names else str(best)),
        np.array(scores, np.float32),
        None if chances is None else np.array(chances, np.float32),
        names,
    )


def test_classes_come_best_first() -> None:
    """Ordered by score, because probabilities of several sure labels may round to the same number."""
    said = prediction([30, 20, 40], [1, 1, 1], ("a", "b", "c"))
    assert [name for name, _ in said.classes] == ["c", "a", "b"]
    assert prediction([1, 2], [0.25, 0.75]).classes == (("1", 0.75), ("0", 0.25))


def test_a_plain_score_has_no_classes() -> None:
    """Without probabilities there is nothing to list; the score is in ``scores``."""
    said = prediction([3.25], None)
    assert said.classes == ()
    assert said.probability is None
    assert repr(said) == "Prediction('0', score 3.25)"


def test_a_map_of_scores_has_no_classes() -> None:
    """An output with places is no list of classes; the answer is one element."""
    scores = np.zeros((2, 3, 4), np.float32)
    said = Prediction(Target((1, 0, 0), "dent[0, 0]"), scores, scores + np.float32(0.5), ("ok", "dent"))
    assert said.classes == ()
    assert said.probability == 0.5


def test_a_repr_says_a_probability_as_the_picture_does() -> None:
    """Never 100 %."""
    assert repr(prediction([9, 0], [1.0, 0.0], ("ok", "dent"))) == (
        "Prediction('ok' over 99.9 %, 'dent' under 0.1 %)"
    )
    many = prediction([5, 4, 3, 2, 1], [0.5, 0.2, 0.1, 0.1, 0.1])
    assert repr(many).endswith("'2' 10.0 %, 2 more)")


def test_long_names_keep_a_repr_short(make_explanation: Builder) -> None:
    """Less than 200 characters, whatever the names of classes and files."""
    long = "scratch on the front " * 30
    explanation = make_explanation(classes=("OK", "dent " * 50, long), against=1, cautions=("x", "y"))
    frame = dataclasses.replace(explanation.frame, source=f"/data/{'part' * 60}.png")
    explanation = dataclasses.replace(explanation, frame=frame, stability=0.91)
    said = prediction([3, 2, 1], [0.7, 0.2, 0.1], (long, long, long))
    for value in (explanation, frame, explanation.target, said):
        assert len(repr(value)) < 200
    assert "2 cautions" in repr(explanation)


def test_explanations_are_values_that_can_be_kept_in_a_set(make_explanation: Builder) -> None:
    """Arrays have no one truth value: explanations compare by identity and never raise."""
    one, other = make_explanation(), make_explanation()
    assert one != other
    assert len({one, other, one}) == 2


def test_an_explanation_cannot_be_changed(make_explanation: Builder) -> None:
    """Complete when it is made."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        make_explanation().stability = 1.0  # type: ignore[misc]
