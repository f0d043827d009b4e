"""Whether a station's event says NG or OK: by the rule, by the names of the classes, by what is good."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gagrad_runtime.answer.prediction import Prediction
from gagrad_runtime.question.target import Target
from gagrad_runtime.reference.statistics import FrameStatistics
from gagrad_runtime.station.judging import outcome
from gagrad_runtime.station.rule import Rule
from tests.runtime.station.test_attempts import NOTHING
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


class _Known:
    """What is known of good parts: frames are never darker than half."""

    noise = threshold = scale = None
    has_image = False
    parts = 8
    sha256 = "0" * 64

    def unusual(self, statistics: FrameStatistics) -> list[str]:
        """Return what is unusual about a frame."""
        return ["brightness"] if statistics.values["brightness"] < 0.5 else []

    def unusual_answer(self, _: object) -> list[str]:
        """Return that any answer is usual."""
        return []


def test_a_frame_that_is_not_explained_is_compared_with_good_parts(station: Any, tmp_path: Path) -> None:
    """The event and the row of a verdict say what is unusual about the frame."""
    for name, level in (("dark.png", 20), ("light.png", 200)):
        Image.new("RGB", (24, 20), (level, level, level + 10)).save(tmp_path / "in" / name)
    one = station(NOTHING)
    one.explainer.use_reference(_Known())
    one.run(once=True)
    assert {event.file: event.cautions for event in station.events} == {
        "dark.png": ["frame-unusual"],
        "light.png": [],
    }
    assert {row.name: row.noted.cautions for row in one.store.rows()} == {
        "dark.png": ("frame-unusual",),
        "light.png": (),
    }
