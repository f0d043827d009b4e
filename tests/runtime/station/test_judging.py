"""Whether a station's event says NG or OK: by the rule, by the names of the classes, by what is good."""

from __future__ import annotations

import numpy as np
import pytest

from gagrad_runtime.answer.prediction import Prediction
from gagrad_runtime.question.target import Target
from gagrad_runtime.station.judging import outcome
from gagrad_runtime.station.rule import Rule
from tests.runtime.station.test_condition import spec_of


def _says(answer: str, names: tuple[str, ...]) -> Prediction:
    scores = np.array([2.0 if name == answer else 0.0 for name in names], np.float32)
    return Prediction(Target((names.index(answer),), answer), scores, scores / scores.sum(), names)


@pytest.mark.parametrize(
    ("answer", "names", "good", "says"),
    [
        ("ok", ("ok", "scratch"), (), "OK"),
        ("scratch", ("ok", "scratch"), (), "NG"),
        ("scratch", ("ok", "scratch"), ("scratch",), "NG"),
        ("a", ("a", "b"), (), None),
        ("a", ("a", "b"), ("a",), "OK"),
        ("b", ("a", "b"), ("a",), "NG"),
    ],
)
def test_names_tell_before_what_needs_no_explanation(
    answer: str, names: tuple[str, ...], good: tuple[str, ...], says: str | None
) -> None:
    """A name for good parts decides, as on the picture; else a class is good where the rule says so."""
    assert outcome(Rule(good=good), _says(answer, names)) == says


def test_the_rules_conditions_win() -> None:
    """A condition that holds makes the part NG whatever its class is called, and one that does not, OK."""
    from gagrad_runtime.station.condition import read_condition

    rule = Rule(ng=(read_condition("ok", spec_of("classification"), where="rule: ng"),))
    names = ("ok", "scratch", "deep dent")
    assert outcome(rule, _says("ok", names)) == "NG"
    assert outcome(rule, _says("scratch", names)) == "OK"
