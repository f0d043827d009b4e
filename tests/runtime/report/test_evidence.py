"""What the caption says of the evidence: covering, places that disagree, repetition, the verdict."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from gagrad_runtime.answer.prediction import Prediction
from gagrad_runtime.explanation.cautions import Caution
from gagrad_runtime.explanation.covering import Covering
from gagrad_runtime.explanation.places import Place
from gagrad_runtime.question.target import Target
from gagrad_runtime.report.caption import write_caption
from gagrad_runtime.report.covering_words import strength
from gagrad_runtime.report.evidence import numbered, place_lines, where
from gagrad_runtime.report.lettering import lettering
from gagrad_runtime.report.verdicts import verdict, verdict_of_class

if TYPE_CHECKING:
    from collections.abc import Callable

    from gagrad_runtime.explanation.explanation import Explanation

    Builder = Callable[..., Explanation]


def covered(
    places: tuple[float, ...],
    changed: tuple[bool, ...],
    controls: tuple[float, ...] = (0.93, 0.94),
    controls_changed: tuple[bool, ...] = (False, False),
) -> Covering:
    return Covering("surroundings", 0.94, places, changed, controls, controls_changed)


def said(explanation: Explanation) -> str:
    """Return the evidence of the caption in one string."""
    return " ".join(write_caption(explanation, lettering()).evidence)


def test_a_place_that_decides_is_strong_evidence(make_explanation: Builder) -> None:
    """Both changes stand side by side: with the place covered, and with as much covered elsewhere."""
    one = replace(make_explanation(), covering=covered((0.12, 0.9), (True, False)))
    assert strength(one) == "strong"
    assert said(one) == (
        "Covering place 1 changes the answer: 94.0 % → 12.0 %; as much elsewhere: 94.0 % → 93.5 %."
    )


def test_an_answer_that_any_cover_changes_is_weak_evidence(make_explanation: Builder) -> None:
    """Where covering another place changes the answer too, the sentence says so."""
    one = replace(make_explanation(), covering=covered((0.12, 0.9), (True, False), (0.3, 0.9), (True, False)))
    assert strength(one) == "weak"
    assert "; but as much elsewhere changes it too: 94.0 % → 60.0 %." in said(one)


def test_an_answer_that_only_weakens_is_weak_evidence(make_explanation: Builder) -> None:
    """Much confidence lost and the same answer: both are said, of the place that takes most."""
    one = replace(make_explanation(), covering=covered((0.9, 0.5), (False, False)))
    assert strength(one) == "weak"
    assert said(one).startswith(
        "Covering place 2 weakens the answer without changing it: 94.0 % → 50.0 %; as much elsewhere"
    )


def test_nothing_found_says_that_something_may_be_missing(make_explanation: Builder) -> None:
    """With the margin beside it, so that a sure answer and a doubtful one are told apart."""
    one = replace(make_explanation(), covering=covered((0.93, 0.94), (False, False)))
    assert strength(one) == "none"
    assert said(one) == (
        "No single place decides; something may be missing. With place 1 covered: 94.0 % → 93.0 %; "
        "as much elsewhere: 94.0 % → 93.5 %. "
        'The answer is clearly ahead of "OK" (2.0 %).'
    )


def test_an_ok_part_has_no_place_that_decides(make_explanation: Builder) -> None:
    """Of a good part nothing is missing, and no strength is claimed."""
    chances = np.array([0.97, 0.01, 0.02], np.float32)
    good = make_explanation(target=0, probabilities=chances, scores=np.log(chances))
    good = replace(good, covering=covered((0.93,), (False,)))
    assert verdict(good) == "OK"
    assert strength(good) is None
    assert said(good).startswith("Covering place 1 does not change the answer: ")


def test_a_plain_score_has_shares_of_itself(make_explanation: Builder) -> None:
    """Without probabilities the sentence speaks of what is left of the score."""
    one = make_explanation(scores=np.array([3.2], np.float32), probabilities=None, classes=(), target=0)
    one = replace(one, covering=Covering("surroundings", 1.0, (0.2,), (True,), (0.9,), (False,)))
    assert said(one) == (
        "Covering place 1 changes the answer: 20.0 % of the score is left; "
        "as much elsewhere: 90.0 % of the score is left."
    )


def test_without_a_test_nothing_is_claimed(make_explanation: Builder) -> None:
    """RCAP is no evidence: without covering and repetition there is no strength and no sentence."""
    assert strength(make_explanation()) is None
    assert said(make_explanation()) == ""


def test_two_places_that_disagree(make_explanation: Builder) -> None:
    """The sentence names both numbers, and both are drawn and described."""
    first, *rest = make_explanation().places
    other = Place((100, 80, 120, 100), 400, 0.01, (112.0, 92.0), (110.0, 90.0), "activation")
    one = replace(make_explanation(), places=(first, other, *rest))
    assert said(one) == ("Two places disagree: the map points at 1, the class activation at 2. Look at both.")
    assert [number for number, _ in numbered(one)][:2] == [1, 2]
    assert place_lines(one)[1] == (
        "2: at the lower right, 1 % of the map; only the class activation points here"
    )


@pytest.mark.parametrize(("share", "words"), [(0.92, "steady: 92 %"), (0.4, "not steady: only 40 %")])
def test_how_often_place_1_is_found_again(make_explanation: Builder, share: float, words: str) -> None:
    """The stability of the place stands in the caption; that of the ranks in the small print."""
    caption = write_caption(replace(make_explanation(), place_stability=share, stability=0.97), lettering())
    assert words in caption.evidence[0]
    assert any("rank stability 0.97" in fact for fact in caption.facts)


def test_numbers_are_those_of_the_places(make_explanation: Builder) -> None:
    """A place that gets no number leaves the numbers of the others as they are, as covering counts them."""
    places = tuple(
        Place((0, 0, 9, 9), 81, share, (5.0 + 9 * i, 5.0), (5.0 + 9 * i, 5.0))
        for i, share in enumerate((0.03, 0.02, 0.2))
    )
    one = replace(make_explanation(), places=places)
    assert [number for number, _ in numbered(one)] == [1, 3]
    decided = replace(one, covering=covered((0.9, 0.1), (False, True)))
    assert [number for number, _ in numbered(decided)] == [1, 2, 3]


@pytest.mark.parametrize(
    ("middle", "words"),
    [((5, 5), "at the upper left"), ((150, 60), "at the right"), ((80, 119), "at the bottom"),
     ((80, 60), "in the middle"), ((160, 120), "at the lower right"), ((0, 60), "at the left")],
)  # fmt: skip
def test_where_a_place_is(middle: tuple[float, float], words: str) -> None:
    """Nine words for where on the frame."""
    assert where(Place((0, 0, 1, 1), 1, 0.5, (1.0, 1.0), middle), 120, 160) == words


@pytest.mark.parametrize(
    ("name", "classes", "found"),
    [
        ("ok", ("scratch", "ok"), "OK"),
        ("Good_Part", ("Good_Part", "x"), "OK"),
        ("top/OK", ("top/OK", "top/NG"), "OK"),
        ("良品", ("良品", "キズ"), "OK"),
        ("キズ", ("良品", "キズ"), "NG"),
        ("Not OK", (), "NG"),
        ("n.i.O.", (), "NG"),
        ("scratch", ("scratch", "ok"), "NG"),
        ("scratch", ("scratch", "dent"), None),
        ("okapi", ("okapi", "zebra"), None),
        ("passion fruit", ("passion fruit", "apple"), None),
    ],
)
def test_which_names_are_a_verdict(name: str, classes: tuple[str, ...], found: Any) -> None:
    """Names for good and for bad parts count in any spelling; of other models the class stands alone."""
    assert verdict_of_class(name, classes) == found


def test_what_a_caution_says_is_not_said_twice(make_explanation: Builder) -> None:
    """Places that disagree, and one that is not steady, are told once: in the caution."""
    first, *rest = make_explanation().places
    other = Place((100, 80, 120, 100), 400, 0.01, (112.0, 92.0), (110.0, 90.0), "activation")
    one = replace(make_explanation(), places=(first, other, *rest), place_stability=0.3)
    assert len(write_caption(one, lettering()).evidence) == 2
    cautions = (Caution("peaks-disagree", "They disagree."), Caution("place-unstable", "It moves."))
    assert said(replace(one, cautions=cautions)) == ""


def test_a_single_score_is_no_verdict(make_explanation: Builder) -> None:
    """The one class of a single score is its name whatever the score: it says neither OK nor NG."""
    single = np.array([0.02], np.float32)
    one = make_explanation(scores=single, probabilities=single, classes=("defect",), target=0)
    assert verdict(one) is None


def test_one_control_of_three_that_changes_the_answer_is_told(make_explanation: Builder) -> None:
    """Less than half of the control places do not weaken the evidence, and are not hidden."""
    controls = ((0.92, 0.3, 0.9), (False, True, False))
    one = replace(make_explanation(), covering=covered((0.12,), (True,), *controls))
    assert strength(one) == "strong"
    assert "as much elsewhere: 94.0 % → 90.0 % (1 of 3 change it too)." in said(one)


@pytest.mark.parametrize(("left", "expected"), [(0.3, "strong"), (0.7, "weak"), (0.97, "none")])
def test_a_value_has_no_other_answer(make_explanation: Builder, left: float, expected: str) -> None:
    """Of a regression the share of the value that is left is told, and nothing is said to be missing."""
    target, scores = Target((0,), "0"), np.array([3.2], np.float32)
    prediction = Prediction(target, scores, None, (), "regression", score=3.2, unit="mm")
    one = make_explanation(scores=scores, probabilities=None, classes=(), target=0)
    covering = Covering("surroundings", 1.0, (left,), (False,), (0.99,), (False,))
    one = replace(one, prediction=prediction, covering=covering)
    assert strength(one) == expected
    assert said(one) == (
        f"With place 1 covered: {left * 100:.1f} % of the score is left; "
        "as much elsewhere: 99.0 % of the score is left."
    )


def test_the_place_that_the_sentence_is_about_has_its_number(make_explanation: Builder) -> None:
    """A small place that takes most of the confidence is cited, and so it is drawn; else place 1 is."""
    places = tuple(
        Place((0, 0, 9, 9), 81, share, (5.0 + 9 * i, 5.0), (5.0 + 9 * i, 5.0))
        for i, share in enumerate((0.3, 0.02, 0.2))
    )
    one = replace(make_explanation(), places=places, covering=covered((0.9, 0.4), (False, False)))
    assert "Covering place 2 weakens" in said(one)
    assert [number for number, _ in numbered(one)] == [1, 2, 3]
    hardly = replace(one, covering=covered((0.93, 0.92), (False, False)))
    assert "With place 1 covered" in said(hardly)
    assert [number for number, _ in numbered(hardly)] == [1, 3]
