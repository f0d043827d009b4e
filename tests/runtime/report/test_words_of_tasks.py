"""What the picture, the terminal and the record say for each task, in its words."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from gagrad_runtime.answer.anomaly import ABOVE
from gagrad_runtime.answer.areas import CLOSEST
from gagrad_runtime.answer.prediction import Prediction
from gagrad_runtime.question.output_region import OutputRegion
from gagrad_runtime.question.target import Target
from gagrad_runtime.report.contours import contours_of
from gagrad_runtime.report.lettering import lettering
from gagrad_runtime.report.task_words import words_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from gagrad_edge.output import Task
    from gagrad_runtime.explanation.explanation import Explanation

    Builder = Callable[..., Explanation]

CELLS = np.zeros((8, 8), np.float32)
CELLS[2:4, 2:6] = 1


def said(explanation: Explanation) -> str:
    """Return title and answer of the picture in one string."""
    words, pen = words_of(explanation), lettering()
    return f"{words.title(pen)} | {words.answer(pen)}"


def explained(
    make: Builder,
    task: Task,
    target: Target,
    *,
    scores: np.ndarray,
    probabilities: np.ndarray | None = None,
    predicted: Target | None = None,
    classes: tuple[str, ...] = (),
    **fields: Any,
) -> Explanation:
    """Return an explanation of ``target`` of a model of ``task``; ``fields`` are the prediction's."""
    own = predicted or target
    prediction = Prediction(own, scores, probabilities, classes, task, **fields)
    return replace(
        make(),
        target=target,
        predicted=own,
        scores=scores,
        probabilities=probabilities,
        classes=classes,
        prediction=prediction,
    )


def test_a_regression_has_a_unit_and_no_percentage(make_explanation: Builder) -> None:
    """Title, answer, terminal, repr and record of a measured value have its unit and no per cent."""
    one = explained(
        make_explanation,
        "regression",
        Target((0,), "0"),
        scores=np.array([3.2134], np.float32),
        score=3.2134,
        unit="mm",
    )
    everywhere = (said(one), words_of(one).line(), repr(one), repr(one.prediction))
    for text in everywhere:
        assert "3.213 mm" in text
        assert "%" not in text
    record = one.record()
    assert (record["unit"], record["target"]["probability"]) == ("mm", None)


def test_one_of_several_values_has_its_name(make_explanation: Builder) -> None:
    """Of several values the explained one is named, and the others are not its rivals."""
    one = explained(
        make_explanation,
        "regression",
        Target((1,), "width"),
        scores=np.array([1, 42], np.float32),
        classes=("height", "width"),
        unit="mm",
    )
    assert said(one) == 'What the model looked at for "width" | 42 mm for "width".'
    assert words_of(one).line() == "width 42 mm"


def test_a_score_has_its_verdict(make_explanation: Builder) -> None:
    """An anomaly score is told with its limit, NG or OK, and without a limit with neither."""
    target, scores = Target((0,), "anomaly score"), np.array([0.83], np.float32)
    ng = explained(make_explanation, "anomaly", target, scores=scores, score=0.83, threshold=0.5)
    assert said(ng).endswith("| Anomaly score 0.83: NG, the limit is 0.5.")
    assert words_of(ng).line() == "anomaly score 0.83, NG"
    assert "OK, the limit is 0.9" in said(replace(ng, prediction=replace(ng.prediction, threshold=0.9)))
    assert "No limit is set" in said(replace(ng, prediction=replace(ng.prediction, threshold=None)))
    assert ng.record()["verdict"] == "NG"


def test_an_anomaly_map_says_where(make_explanation: Builder) -> None:
    """A map is told by its highest value and the share above the limit, and the line is around that."""
    region = OutputRegion(ABOVE, CELLS, found=True)
    scores = np.zeros((1, 8, 8), np.float32)
    one = explained(
        make_explanation,
        "anomaly",
        Target((0,), "anomaly score", region=region),
        scores=scores,
        score=7.5,
        threshold=5.0,
        areas=(("", 0.125),),
    )
    assert "where its anomaly map is above the limit" in said(one)
    assert "Highest anomaly score 7.5: NG" in said(one)
    assert "12.5 % of the frame" in said(one)
    drawn = contours_of(one.target, one.prediction)
    assert drawn is not None
    assert drawn[0] is CELLS
    assert one.record()["region"] == ABOVE


def test_a_class_has_its_area(make_explanation: Builder) -> None:
    """A segmenter's class is told by its area and how sure the model is there; a larger one is named."""
    chances = np.zeros((2, 8, 8), np.float32)
    chances[1, 2:4, 2:6] = 0.9
    target = Target((1,), "scratch", region=OutputRegion("where it is predicted", CELLS, found=True))
    one = explained(
        make_explanation,
        "segmentation",
        target,
        scores=chances,
        probabilities=chances,
        classes=("ok", "scratch"),
        areas=(("scratch", 0.125),),
    )
    assert said(one) == (
        'What the model looked at for "scratch" | "scratch" covers 12.5 % of the frame; '
        "the model is 90.0 % sure there."
    )
    assert (contours_of(one.target, one.prediction) or ("", ""))[
        1
    ] == 'the line: where the model finds "scratch"'
    assert one.record()["areas"] == [{"name": "scratch", "share": 0.125}]


def test_nothing_found_is_said(make_explanation: Builder) -> None:
    """Where there is only background the picture says so, and that the map is of the closest place."""
    chances = np.full((2, 8, 8), 0.04, np.float32)
    target = Target((1,), "scratch", region=OutputRegion(CLOSEST, CELLS, found=True))
    one = explained(
        make_explanation,
        "segmentation",
        target,
        scores=chances,
        probabilities=chances,
        classes=("ok", "scratch"),
    )
    assert (
        "The model finds nothing but background. The map shows where it comes closest, with 4.0 %."
        in said(one)
    )
    assert repr(one.prediction) == "Prediction(nothing but background)"


def test_a_line_has_its_text(make_explanation: Builder) -> None:
    """A line is told with its text, the product of its characters, and the least sure one."""
    chances = np.full((3, 2), 0.5, np.float32)
    chances[1, 0], chances[2, 1] = 0.9, 0.8
    whole = Target((1, 0), "A7", path=((1, 0), (2, 1)))
    one = explained(
        make_explanation,
        "sequence",
        whole,
        scores=chances,
        probabilities=chances,
        classes=("blank", "A", "7"),
        text="A7",
        characters=(("A", 0.9), ("7", 0.8)),
    )
    assert 'reads "A7", with 72.0 %' in said(one)
    assert 'least sure of "7", character 2 (80.0 %)' in said(one)
    record = one.record()
    assert (record["text"], record["characters"][1]["name"]) == ("A7", "7")
    assert abs(record["target"]["probability"] - 0.72) < 1e-6
    single = replace(one, target=Target((2, 1), "7 (character 2)", path=((2, 1),)))
    assert said(single) == (
        'What the model looked at for "7", character 2 of "A7" | '
        'The model is 80.0 % sure of "7", character 2 of "A7".'
    )
    digit = replace(
        one, target=Target((0, 0), "0", path=((0, 0),)), predicted=Target((0, 0), "0", path=((0, 0),))
    )
    assert said(digit).startswith('What the model looked at for "0" | The model reads "0"')


def test_each_task_has_a_picture(make_explanation: Builder) -> None:
    """The picture with a contour and its key is drawn, whatever the grid of the output."""
    region = OutputRegion("area 1 of 2", CELLS, found=True)
    one = explained(
        make_explanation,
        "segmentation",
        Target((0,), "0", region=region),
        scores=np.zeros((1, 8, 8), np.float32),
    )
    cell = Target((0, 1, 1), "0[1, 1]")
    plain = replace(one, target=cell, predicted=cell)
    assert one.picture().shape[0] > plain.picture().shape[0]
