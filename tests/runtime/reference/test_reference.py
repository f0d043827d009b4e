"""What good parts say of a part: the difference at each pixel, and what is unusual about frame and answer."""

from __future__ import annotations

import math
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from gagrad_edge.output import OutputSpec
from gagrad_runtime.frame import load_frame
from gagrad_runtime.frame.frame import Frame
from gagrad_runtime.frame.image import prepare
from gagrad_runtime.question.target import Target
from gagrad_runtime.reference.answers import OTHER_SPREAD, SPREAD, answer_statistics, other_limits
from gagrad_runtime.reference.content import Limits
from gagrad_runtime.reference.making import GoodParts
from gagrad_runtime.reference.reference import Reference
from gagrad_runtime.reference.statistics import FrameStatistics
from gagrad_runtime.reference.words import found_lines
from tests.runtime.reference.parts import HOLES, SIZE, SPEC, good_parts, part, said

BUNDLE = ("part", "0" * 64)


@pytest.fixture(scope="module")
def parts() -> GoodParts:
    rng = np.random.default_rng(10)
    return good_parts([part(rng) for _ in range(8)])


@pytest.fixture(scope="module")
def reference(parts: GoodParts) -> Reference:
    layout = parts.find_layout()
    assert layout is not None
    return parts.reference(*BUNDLE, parts.picture(layout))


def unusual(reference: Reference, frame: Frame) -> list[str]:
    image, placement = prepare(frame, SPEC)
    return reference.unusual(FrameStatistics.of(frame, image, placement, SPEC))


@pytest.mark.slow
@pytest.mark.parametrize("hole", range(4))
def test_the_difference_is_highest_where_a_hole_is_missing(reference: Reference, hole: int) -> None:
    """On a part that lies elsewhere; the good image has the hole there, in the part's own grey."""
    broken = part(np.random.default_rng(20 + hole), missing=hole)
    image, placement = prepare(broken.frame, SPEC)
    aligned = reference.aligned(image, placement)
    assert aligned is not None
    row, column = divmod(int(aligned.difference.argmax()), SIZE)
    x, y = broken.place(*HOLES[hole])
    assert math.hypot(column - x, row - y) < 8
    at = (slice(None), round(y), round(x))
    assert (image[0][at] - aligned.image[at]).min() > 0.15
    assert aligned.known.mean() > 0.7
    assert aligned.gradient((0,)) is None


@pytest.mark.slow
def test_good_parts_differ_little(reference: Reference) -> None:
    """The highest difference of further good parts is below that of a missing hole."""
    rng = np.random.default_rng(30)
    highest = {}
    for missing in (None, 1):
        found = []
        for _ in range(4):
            image, placement = prepare(part(rng, missing=missing).frame, SPEC)
            aligned = reference.aligned(image, placement)
            assert aligned is not None
            found.append(float(aligned.difference.max()))
        highest[missing] = found
    assert max(highest[None]) < min(highest[1])


@pytest.mark.slow
def test_a_part_that_is_none_does_not_fit(reference: Reference) -> None:
    """A plain sheet, and a frame of another shape, are compared with nothing."""
    image, placement = prepare(part(np.random.default_rng(1), plain=True).frame, SPEC)
    assert reference.aligned(image, placement) is None


@pytest.mark.slow
def test_good_frames_are_usual_and_broken_ones_are_not(reference: Reference) -> None:
    """Another exposure, a lost focus, a colour, a cut, other bits: each is said with its name."""
    rng = np.random.default_rng(40)
    good = [part(rng) for _ in range(12)]
    assert sum(bool(unusual(reference, one.frame)) for one in good) <= 1
    pixels = good[0].frame.pixels
    dark = load_frame((pixels * 0.06).astype(np.uint8))
    assert any(text.startswith("brightness") for text in unusual(reference, dark))
    tinted = pixels.copy()
    tinted[..., 2] = tinted[..., 2] // 2
    assert any("share of" in text for text in unusual(reference, load_frame(tinted)))
    cut = load_frame(np.ascontiguousarray(pixels[30:90, 30:90]))
    assert any("60 high, 60 wide" in text for text in unusual(reference, cut))
    deep = load_frame(pixels.astype(np.uint16) << 8)
    assert any("bits" in text for text in unusual(reference, deep))


def test_a_twelve_bit_camera_is_doubted_without_good_parts() -> None:
    """Values up to 3598 of 65535 are said, also where nothing was calibrated."""
    pixels = np.random.default_rng(0).integers(0, 3599, (30, 30), dtype=np.uint16)
    pixels[0, 0] = 3598
    frame = load_frame(pixels)
    found = FrameStatistics.of(frame, *prepare(frame, SPEC), SPEC)
    assert found.doubts() == ["values only up to 3598 of 65535: a 12-bit camera?"]


@pytest.mark.slow
def test_answers_unlike_those_of_good_parts(reference: Reference) -> None:
    """A weak ok and huge scores are unusual; an NG answer of usual size is not."""
    assert reference.unusual_answer(said(3, -2)) == []
    assert any("margin" in text for text in reference.unusual_answer(said(0.1, 0)))
    assert reference.unusual_answer(said(-2, 3)) == []
    (text,) = reference.unusual_answer(said(-40, 60))
    assert text.startswith("spread of the scores 50 (good parts: at most ")


def test_a_model_that_is_never_sure_of_good_parts_may_be_sure_of_a_defect() -> None:
    """Up to 99.99 % another answer is usual, in any number of classes; more is compared with good parts."""
    weak: dict[str, Limits] = {SPREAD: (None, -1.4), "margin": (0.1, None)}
    for scores in ([-4.6, 4.6], [9.2, 0, 0, 0, 0, 0], [-9.2]):
        prediction = replace(said(0, 0), scores=np.array(scores, np.float32))
        limits = other_limits(weak, prediction)
        spread = answer_statistics(prediction)[SPREAD]
        assert set(limits) == {SPREAD}
        assert limits[SPREAD] == (None, pytest.approx(spread, abs=0.01))
    assert other_limits({SPREAD: (None, 3.0)}, prediction)[SPREAD] == (None, 3.0 + OTHER_SPREAD)
    assert other_limits({"value": (1.0, 2.0)}, prediction) == {"value": (1.0, 2.0)}


@pytest.mark.slow
def test_one_false_alarm_among_good_parts_is_not_their_answer(reference: Reference) -> None:
    """A confident NG is usual then, too: one good part in twelve was called NG, and not as surely."""
    content = reference.content
    habits = msgspec.structs.replace(
        content.answers, verdicts={"ok": content.parts - 1, "ng": 1}, limits={SPREAD: (None, -1.4)}
    )
    found = replace(reference, content=msgspec.structs.replace(content, answers=habits))
    assert found.unusual_answer(said(-4, 4)) == []
    assert found.unusual_answer(said(4, -4)) != []


@pytest.mark.slow
def test_parts_that_differ_in_their_features_have_no_common_image() -> None:
    """Four holes where all have them and three anywhere: the good image is refused, and why is said."""
    rng = np.random.default_rng(50)
    mixed = good_parts([part(rng, stray=3) for _ in range(6)])
    assert mixed.find_layout() is None
    assert "several kinds" in mixed.why


def test_a_model_that_calls_good_parts_bad_is_doubted() -> None:
    """As where a bundle was exported without mean and std; one answer of eight is said, and no doubt."""
    rng = np.random.default_rng(60)
    for wrong, words in ((8, "does not say good of 8 of these 8"), (1, "different things"), (0, "")):
        parts = GoodParts(SPEC)
        for number in range(8):
            frame = part(rng).frame
            parts.add(frame, *prepare(frame, SPEC), said(-2, 3) if number < wrong else said(3, -2))
        lines = found_lines(parts.reference(*BUNDLE), parts, None, 8, "part.good")
        doubts = [line for line in lines if "!" in line and "few parts" not in line]
        assert [words in line for line in doubts] == ([True] if words else [])


def test_what_good_parts_have_too_is_not_explained_by_a_difference() -> None:
    """Not a screw that is found on good parts, nor a value; a defect, and why a part is good, are."""
    parts = good_parts([part(np.random.default_rng(number)) for number in range(3)])
    parts.found.update({"screw": 3})
    parts.found.update({"ng": 3})
    reference = parts.reference(*BUNDLE)
    for name, task, classes, expected in (
        ("ng", "classification", ["ok", "ng"], True),
        ("ok", "classification", ["ok", "ng"], True),
        ("a", "classification", ["a", "b"], True),
        ("screw", "multilabel", ["screw", "scratch"], False),
        ("scratch", "multilabel", ["screw", "scratch"], True),
        ("width", "regression", ["width"], False),
    ):
        activation = {"classification": "softmax", "multilabel": "sigmoid"}.get(task, "none")
        spec = OutputSpec(
            name="scores", shape=[len(classes)], activation=activation, task=task, classes=classes
        )
        assert reference.explains(Target((0,), name), spec) is expected, name
