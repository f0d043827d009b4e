"""What picture, words, names and record say of a detection."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gagrad_runtime
from gagrad_runtime.answer.prediction import Detection
from gagrad_runtime.explanation.explanation import Explanation
from gagrad_runtime.report.boxes import Tag, draw_boxes, draw_explained
from gagrad_runtime.report.detection_words import DetectionWords
from gagrad_runtime.report.lettering import lettering
from gagrad_runtime.report.naming import stem_of
from gagrad_runtime.report.picture import render
from gagrad_runtime.report.task_words import words_of
from tests.detector import marked

FRAME = marked((40, 40, 0), (136, 88, 1))
GREEN = (120, 255, 120)


@pytest.fixture(scope="module")
def found(detector_bundle: Path) -> dict[str, Explanation]:
    """Return explanations of a scratch and a dent, of a class that is not found, and of a good part."""
    with gagrad_runtime.load(detector_bundle, device="cpu") as explainer:
        one, two = explainer.explain_each(FRAME)
        return {
            "scratch": one,
            "dent": two,
            "stain": explainer.explain(FRAME, "stain"),
            "alone": explainer.explain(marked((40, 40, 0))),
            "nothing": explainer.explain(marked()),
            "other": explainer.explain(marked(), "stain"),
            "against": explainer.explain(FRAME, against="dent"),
        }


def said(explanation: Explanation) -> tuple[str, str, str]:
    """Return the title, the answer and the terminal's line."""
    words, pen = words_of(explanation), lettering()
    assert isinstance(words, DetectionWords)
    return words.title(pen), words.answer(pen), words.line()


@pytest.mark.slow
def test_the_words_of_each_case(found: dict[str, Explanation]) -> None:
    """One of several, the only one, another class, nothing: each says what was found and where."""
    title, answer, line = said(found["scratch"])
    assert title == 'What the model looked at for "scratch" (detection 1 of 2)'
    assert answer == '57.6 % for "scratch" at 20,20–60,60: the surest of the 2 that the model found.'
    assert line == "scratch 57.6 % at 20,20–60,60"
    assert said(found["dent"])[1] == (
        '45.2 % for "dent" at 116,68–156,108. The surest of the 2 is "scratch" with 57.6 % at 20,20–60,60.'
    )
    title, answer, _ = said(found["alone"])
    assert title == 'What the model looked at for "scratch"'
    assert answer.endswith("at 20,20–60,60: this is all that the model found.")
    title, answer, line = said(found["stain"])
    assert title == 'What the model looked at for "stain" (not found)'
    assert answer.startswith("Not found: ")
    assert answer.endswith('The model found 2 others, the surest is "scratch" with 57.6 % at 20,20–60,60.')
    assert line.endswith(" (not found)")
    assert said(found["nothing"])[1].startswith("Nothing found. The strongest candidate has 1.8 % for ")
    assert said(found["other"])[1].startswith("Nothing found. The candidate that was asked for has 0.7 % for")
    title, answer, _ = said(found["against"])
    assert title == 'What the model looked at for "scratch" and not "dent" (detection 1 of 2)'
    assert '% for "dent": the surest of the 2' in answer


def test_names_that_cannot_be_drawn_are_the_classes_numbers(found: dict[str, Explanation]) -> None:
    """The number of the candidate says nothing to people and is left out."""
    odd = replace(found["dent"], target=replace(found["dent"].target, name="\U000f0000"))
    assert said(odd)[0] == "What the model looked at for class 1 (detection 2 of 2)"


def test_file_names_do_not_collide(found: dict[str, Explanation]) -> None:
    """The number stands in front of the class; the best detection alone needs none."""
    one, two = found["scratch"], found["dent"]
    assert stem_of(one, "part") == "part"
    assert stem_of(one, "part", with_target=True) == "part.1-scratch"
    assert stem_of(two, "part") == "part.2-dent"
    assert stem_of(found["stain"], "part") == "part.stain"
    twin = replace(two, target=replace(two.target, name="scratch"))
    assert stem_of(twin, "part") == "part.2-scratch"


def test_the_record(found: dict[str, Explanation]) -> None:
    """Task, list, and the target's box and number; the best detection is what the model says."""
    record = found["dent"].record()
    assert record["task"] == "detection"
    assert [one["class"] for one in record["detections"]] == ["scratch", "dent"]
    assert record["target"]["box"] == record["detections"][1]["box"]
    assert (record["target"]["detection"], record["predicted"]["detection"]) == (2, 1)
    assert record["target"]["probability"] == pytest.approx(record["detections"][1]["score"], abs=1e-6)
    assert found["nothing"].record()["target"]["detection"] is None
    assert found["nothing"].record()["detections"] == []


def test_the_picture_has_all_boxes_and_the_explained_one_bold(found: dict[str, Explanation]) -> None:
    """On the frame both boxes; over the map only the explained one, so that the map stays visible."""
    both, one = ((render(found[name]) == GREEN).all(axis=2) for name in ("scratch", "alone"))
    assert both.sum() > one.sum()
    middle = both.shape[1] // 2
    assert both[:, :middle].sum() > 2 * both[:, middle:].sum() > 0


def many(explanation: Explanation, *boxes: tuple[float, float, float, float], **target: Any) -> Explanation:
    """Return ``explanation`` with other detections, the first of which is explained."""
    assert explanation.prediction is not None
    listed = tuple(Detection("scratch", 0.5, box, (0, number)) for number, box in enumerate(boxes))
    return replace(
        explanation,
        prediction=replace(explanation.prediction, detections=listed),
        target=replace(explanation.target, box=boxes[0], detection=1, **target),
    )


@pytest.mark.parametrize(
    "box", [(0, 0, 4, 3), (188, 124, 192, 128), (0, 0, 192, 128), (90, 60, 90.2, 60.1), (191.5, 0, 192, 128)]
)
def test_any_box_is_drawn(found: dict[str, Explanation], box: tuple[float, float, float, float]) -> None:
    """At the border, in the corner, as large as the frame, smaller than a pixel; also with a long name."""
    for name in ("dent", "a class that somebody named with a whole sentence"):
        picture = render(many(found["scratch"], box, (10, 10, 20, 20), name=name))
        assert (picture == GREEN).all(axis=2).sum() > 50


def test_fifty_boxes(found: dict[str, Explanation]) -> None:
    """They leave the frame visible: most of it is no line."""
    corners = np.random.default_rng(0).uniform(0, (180, 115), (50, 2))
    boxes = [(float(x), float(y), float(x) + 9, float(y) + 9) for x, y in corners]
    picture = render(many(found["scratch"], *boxes))
    assert 0.002 < (picture == GREEN).all(axis=2).mean() < 0.1


def test_a_tag_is_inside_the_panel_or_not_there() -> None:
    """Beside any box, also on a panel that is narrower than the name."""
    pen, tag = lettering(), Tag("scratch on the upper edge", "97.3 %")
    for width in (48, 80, 140, 700):
        for box in ((0, 0, 10, 10), (width - 10, 90, width, 100), (0, 0, width, 100)):
            panel = np.zeros((100, width, 3), np.uint8)
            draw_boxes(panel, [box], (100, width))
            draw_explained(panel, box, (100, width), tag, pen)
            assert panel.any()


def test_a_tag_names_its_box() -> None:
    """It stands above the box where there is room, else below."""
    pen = lettering()
    for box, rows in (((100, 100, 200, 150), slice(60, 94)), ((100, 0, 200, 50), slice(56, 90))):
        panel = np.full((300, 400, 3), 128, np.uint8)
        draw_explained(panel, box, (300, 400), Tag("dent", "81.0 %"), pen)
        assert (panel[rows, 100:200] == GREEN).all(axis=2).any()
