"""Conditions that make a part NG: what is read, what holds, and what cannot be asked of a model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gagrad_edge.errors import SettingError
from gagrad_edge.output import DetectionSpec, OutputSpec, SequenceSpec
from gagrad_runtime.answer.prediction import Detection, Prediction
from gagrad_runtime.question.target import Target
from gagrad_runtime.station.condition import judge, read_condition

NAMES = ["ok", "scratch", "deep dent"]
SPECS = {
    "classification": {"shape": [3], "activation": "softmax", "classes": NAMES},
    "multilabel": {"shape": [3], "activation": "sigmoid", "classes": NAMES},
    "segmentation": {"shape": [3, 4, 4], "activation": "softmax", "classes": NAMES},
    "anomaly": {"shape": [1], "activation": "none", "classes": []},
    "regression": {"shape": [1], "activation": "none", "classes": []},
    "detection": {
        "shape": [3, 9],
        "activation": "sigmoid",
        "classes": NAMES,
        "detection": DetectionSpec(layout="x", candidates=9),
    },
    "sequence": {"shape": [5, 9], "activation": "softmax", "classes": [], "sequence": SequenceSpec()},
}


def spec_of(task: str) -> OutputSpec:
    fields: dict[str, Any] = SPECS[task]
    return OutputSpec(name="scores", task=task, **fields)  # type: ignore[arg-type]


def said(task: str, **fields: Any) -> Prediction:
    scores = np.log(np.array(fields.pop("chances", [0.2, 0.7, 0.1]), np.float32))
    target = Target((int(scores.argmax()),), NAMES[int(scores.argmax())])
    return Prediction(target, scores, np.exp(scores), tuple(NAMES), task, **fields)  # type: ignore[arg-type]


def box(name: str, score: float) -> Detection:
    return Detection(name, score, (0, 0, 9, 9), (NAMES.index(name), 0))


FOUND = said("detection", detections=(box("scratch", 0.8), box("scratch", 0.4), box("deep dent", 0.3)))
AREAS = said("segmentation", areas=(("scratch", 0.02), ("deep dent", 0.001)))


@pytest.mark.parametrize(
    ("task", "text", "prediction", "holds"),
    [
        ("classification", "scratch", said("classification"), True),
        ("classification", "deep dent", said("classification"), False),
        ("classification", '"deep dent" >= 0.09', said("classification"), True),
        ("classification", "deep dent > 10.1 %", said("classification"), False),
        ("multilabel", "scratch", said("multilabel"), True),
        ("multilabel", "deep dent", said("multilabel"), False),
        ("multilabel", "deep dent >= .05", said("multilabel"), True),
        ("detection", "scratch", FOUND, True),
        ("detection", "ok", FOUND, False),
        ("detection", "deep dent >= 0.5", FOUND, False),
        ("detection", "count(scratch) >= 2", FOUND, True),
        ("detection", "count(scratch) > 2", FOUND, False),
        ("detection", "count() > 2", FOUND, True),
        ("detection", "count(ok) < 1", FOUND, True),
        ("segmentation", "scratch", AREAS, True),
        ("segmentation", "area(scratch) >= 2 %", AREAS, True),
        ("segmentation", "area('deep dent') > 0.5 %", AREAS, False),
        ("segmentation", "area() > 0.02", AREAS, True),
        ("anomaly", "score >= 0.5", said("anomaly", score=0.5), True),
        ("anomaly", "score >= 0.5", said("anomaly", score=0.49), False),
        ("regression", "value < 9.8", said("regression", score=9.7), True),
        ("regression", "value > -1e-3", said("regression", score=-0.1), False),
        ("sequence", "text != 'LOT7'", said("sequence", text="LOT1"), True),
        ("sequence", "text !~ 'LOT[0-9]+'", said("sequence", text="LOT1"), False),
        ("sequence", "text ~ 'LOT[0-9]'", said("sequence", text="LOT12"), False),
    ],
)
def test_a_condition_holds(task: str, text: str, prediction: Prediction, holds: bool) -> None:
    """Each form, at its limit, with names that have spaces or quotes, numbers and percentages."""
    condition = read_condition(text, spec_of(task), where="rule: ng")
    assert condition.holds(prediction) is holds
    judgement = judge([condition], prediction)
    assert (judgement.ng, judgement.condition) == (holds, condition if holds else None)


@pytest.mark.parametrize(
    ("task", "text", "words"),
    [
        ("classification", "count(scratch) >= 2", "cannot be asked of a model whose task is classification"),
        ("classification", "scrach", "no class 'scrach'"),
        ("detection", "count(scrach) >= 2", "no class 'scrach'"),
        ("detection", "score >= 0.5", "cannot be asked"),
        ("regression", "value => 3", "no condition"),
        ("regression", "scratch", "cannot be asked"),
        ("sequence", "text ~ '['", "no regular expression"),
        ("sequence", "text ~ [a-z]", "no condition"),
        ("anomaly", "value > 3", "cannot be asked"),
        ("classification", "", "no class ''"),
        ("classification", "scratch >= 60", "never changes: a probability is from 0 to 1"),
        ("detection", "scratch >= 101 %", "never changes"),
        ("segmentation", "area(scratch) > 5", "never changes: an area is from 0 to 1"),
    ],
)
def test_what_cannot_be_asked_is_refused(task: str, text: str, words: str) -> None:
    """The error names the place, and shows what can be asked of this model or which classes there are."""
    with pytest.raises(SettingError, match=words.replace("[", r"\[")) as caught:
        read_condition(text, spec_of(task), where="rule: ng")
    assert caught.value.where == "rule: ng"
    assert caught.value.hint or caught.value.choices or "expression" in words


def test_the_hint_can_be_given_as_it_stands() -> None:
    """Every example in the hint of every task is a condition that the model takes."""
    for task in SPECS:
        with pytest.raises(SettingError) as caught:
            read_condition("((", spec_of(task), where="x")
        for example in str(caught.value.hint).removeprefix("write it as in: ").split("; "):
            assert read_condition(example, spec_of(task), where="x").text == example


@pytest.mark.parametrize("names", [[], ["length", "width"]])
def test_of_several_values_one_is_named(names: list[str]) -> None:
    """A condition asks for the value of that name or number, and one that names none is refused."""
    spec = OutputSpec(name="y", shape=[2], activation="none", classes=names, task="regression")
    known = names or ["0", "1"]
    one = Prediction(
        Target((0,), known[0]), np.array([9.9, 2.5], np.float32), None, tuple(names), "regression"
    )
    assert read_condition(f"{known[1]} < 3", spec, where="x").holds(one)
    assert not read_condition(f"{known[0]} < 3", spec, where="x").holds(one)
    with pytest.raises(SettingError, match="cannot be asked") as caught:
        read_condition("value < 3", spec, where="x")
    assert str(caught.value.hint) == f"write it as in: {known[0]} < 9.8"
    with pytest.raises(SettingError, match="no class 'depth'"):
        read_condition("depth < 3", spec, where="x")


def test_a_map_of_values_takes_no_condition() -> None:
    """It is refused in words, since none of its values stands for the part."""
    spec = OutputSpec(name="y", shape=[1, 4, 4], activation="none", classes=[], task="regression")
    for text in ("value < 3", "0 < 3"):
        with pytest.raises(SettingError, match="a map of values"):
            read_condition(text, spec, where="x")
