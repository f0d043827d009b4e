"""What is said of a doubtful map, and that nothing is said of a sound one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gagrad_runtime.explanation.cautions import (
    APART,
    COPIES_KEPT,
    PLACE_AGREES,
    Caution,
    answer_unusual,
    constant_map,
    copies_lose_answer,
    covering_finds_nothing,
    late,
    not_settled,
    peaks_disagree,
    place_unstable,
    saturated,
    uncalibrated,
    unstable,
)
from gagrad_runtime.explanation.covering import Covering
from gagrad_runtime.explanation.input_cautions import frame_unusual
from gagrad_runtime.explanation.places import Place
from gagrad_runtime.question.target import Target

TARGET = Target((1,), "scratch")


def codes(found: list[Caution]) -> list[str]:
    assert all(len(one.text) > 20 and one.text.endswith(".") for one in found)
    return [one.code for one in found]


def test_a_map_without_differences() -> None:
    """A constant map gets the caution that fits its cause; an ordinary map gets none."""
    flat, ordinary = np.ones((4, 5), np.float32), np.eye(4, dtype=np.float32)
    assert codes(constant_map(flat, dead=True)) == ["dead-gradient"]
    assert codes(constant_map(flat, dead=False)) == ["constant-map"]
    assert codes(constant_map(flat * 0, dead=True, cam=True)) == ["no-evidence"]
    assert codes(constant_map(ordinary, dead=False)) == []


def test_a_score_that_does_not_move() -> None:
    """Only the target's own score counts, and fewer than 4 samples prove nothing."""
    low, high = np.array([0.0, 5.0], np.float32), np.array([1.0, 5.0], np.float32)
    assert codes(saturated(low, high, TARGET, 20)) == ["saturated-score"]
    assert codes(saturated(low, high, Target((0,), "ok"), 20)) == []
    assert codes(saturated(low, high, TARGET, 3)) == []


@pytest.mark.parametrize(("stability", "expected"), [(0.9, []), (0.5, []), (0.3, ["unstable"]), (None, [])])
def test_a_map_that_other_samples_would_change(stability: float | None, expected: list[str]) -> None:
    """A caution is given for a stability below one half, and none where it is not measured."""
    assert codes(unstable(stability)) == expected


@pytest.mark.parametrize(
    ("stability", "wanted", "expected"),
    [(0.3, None, []), (0.8, 0.9, ["not-settled"]), (0.95, 0.9, []), (None, 0.9, ["not-settled"])],
)
def test_a_map_that_has_not_settled(
    stability: float | None, wanted: float | None, expected: list[str]
) -> None:
    """A caution is given for stability below the one asked for, and else none."""
    assert codes(not_settled(stability, wanted)) == expected


def test_a_late_result() -> None:
    """A result after its budget gets a caution, which names the least samples where they were the cause."""
    assert codes(late(0.2, 100, 4)) == ["late"]
    assert "least" in late(0.2, 100, 4)[0].text
    assert "least" not in late(0.2, 100, 8)[0].text
    assert codes(late(0.1, 100, 4)) == codes(late(9.0, None, 20)) == []


COVERING = Covering("surroundings", 0.94, (0.12, 0.93), (True, False), (0.93, 0.94), (False, False))
"""Place 1 decides."""


def test_covering_finds_the_place_or_nothing() -> None:
    """A caution where the model is surer without place 1; none where that weakens or changes the answer."""
    nothing = replace(COVERING, places=(0.96, 0.92), changed=(False, False))
    assert codes(covering_finds_nothing(COVERING)) == codes(covering_finds_nothing(None)) == []
    assert codes(covering_finds_nothing(nothing)) == ["covering-finds-nothing"]
    assert codes(covering_finds_nothing(replace(nothing, decidable=False))) == []
    assert codes(covering_finds_nothing(replace(nothing, places=(0.8, 0.94)))) == []
    assert codes(covering_finds_nothing(replace(nothing, changed=(False, True)))) == []
    for before, expected in ((0.9, []), (0.7, ["covering-finds-nothing"])):
        little = replace(nothing, before=before, places=(0.97 * before, 0.97 * before))
        assert codes(covering_finds_nothing(little)) == expected


def test_what_covering_settles() -> None:
    """Where covering place 1 changes the answer, lost answers are no caution.

    Where it takes nearly all of the confidence, or nothing, unstable samples are none: that has been told.
    """
    undecided = replace(COVERING, changed=(False, True))
    assert codes(copies_lose_answer(0.4, COVERING)) == []
    for left, expected in ((0.1, []), (0.5, ["place-unstable"]), (0.97, [])):
        part = replace(COVERING, places=(left * COVERING.before, 0.5))
        assert codes(place_unstable(0.4, part)) == expected
    assert codes(place_unstable(0.4)) == ["place-unstable"]
    assert codes(copies_lose_answer(0.4, undecided)) == ["copies-lose-answer"]


def test_two_kinds_of_evidence_that_disagree() -> None:
    """A caution where covering the other evidence's place takes more, or the gradient points elsewhere."""
    place = Place((0, 0, 4, 4), 16, 0.5, (2.0, 2.0), (2.0, 2.0))
    other = replace(place, evidence="activation")
    weaker = replace(COVERING, places=(0.93, 0.5), changed=(False, False))
    assert codes(peaks_disagree((place, other))) == codes(peaks_disagree((), None)) == []
    assert codes(peaks_disagree((place, other), weaker)) == ["peaks-disagree"]
    assert "class activation" in peaks_disagree((place, other), weaker)[0].text
    assert codes(peaks_disagree((place, place), weaker)) == []
    assert codes(peaks_disagree((place, other), replace(weaker, places=(0.5, 0.93)))) == []
    assert codes(peaks_disagree((place, other), COVERING)) == []
    assert codes(peaks_disagree((other, place), weaker)) == []
    assert codes(peaks_disagree((place,), None, APART + 0.01)) == ["peaks-disagree"]
    assert "gradient" in peaks_disagree((place,), weaker, 0.9)[0].text
    assert (
        codes(peaks_disagree((place,), None, APART)) == codes(peaks_disagree((place,), COVERING, 0.9)) == []
    )


@pytest.mark.parametrize(
    ("caution", "code", "limit"),
    [
        (place_unstable, "place-unstable", PLACE_AGREES),
        (copies_lose_answer, "copies-lose-answer", COPIES_KEPT),
    ],
)
def test_a_share_below_its_limit(caution: Any, code: str, limit: float) -> None:
    """A caution below the limit, with the share in words; none at the limit, nor where it is not known."""
    assert codes(caution(None)) == codes(caution(limit)) == codes(caution(1.0)) == []
    assert codes(caution(limit - 0.01)) == [code]
    assert "40 %" in caution(0.4)[0].text


def test_what_is_unlike_calibration() -> None:
    """Each phrase is said; without any there is no caution."""
    assert codes(answer_unusual([])) == codes(frame_unusual([])) == []
    assert codes(answer_unusual(["probability 0.5 (good parts: 0.9 to 1)"])) == ["answer-unusual"]
    found = frame_unusual(["brightness 0.03 (good parts: 0.41 to 0.48)", "sharpness 3 (good parts: 8 to 9)"])
    assert codes(found) == ["frame-unusual"]
    assert "0.48); sharpness" in found[0].text


@pytest.mark.parametrize(
    ("good", "calibrated", "expected"),
    [(True, False, ["uncalibrated"]), (True, True, []), (False, False, []), (None, False, [])],
)
def test_a_good_part_without_calibration(good: bool | None, calibrated: bool, expected: list[str]) -> None:
    """Only the map of a part that is called good needs to be told apart from those of other good parts."""
    assert codes(uncalibrated(good, calibrated=calibrated)) == expected
