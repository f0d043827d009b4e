from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gagrad_edge.abi import ANOMALY_MAP
from gagrad_edge.errors import TargetError
from gagrad_edge.output import AnomalySpec, OutputSpec
from gagrad_runtime.answer.anomaly import ABOVE
from gagrad_runtime.answer.areas import CLOSEST
from gagrad_runtime.answer.outputs import Outputs
from gagrad_runtime.answer.reader import Reader, Wanted
from gagrad_runtime.answer.readers import reader_of
from gagrad_runtime.frame.placement import place
from tests.models import build_spec

PLACEMENT = place((40, 40), build_spec(20, 20))


def reader(*shape: int, **fields: Any) -> Reader:
    return reader_of(
        OutputSpec(
            name="pred_score",
            shape=[1, *shape],
            activation="none",
            classes=[],
            task="anomaly",
            anomaly=AnomalySpec(**fields),
        )
    )


def places(*cells: tuple[int, int, float], least: float = 0.0) -> Outputs:
    """Return a map [1, 1, 10, 10] of ``least``, with other values in some cells."""
    scores = np.full((1, 1, 10, 10), least, np.float32)
    for row, column, value in cells:
        scores[0, 0, row, column] = value
    return Outputs(scores)


@pytest.mark.parametrize(("score", "ng"), [(0.2, False), (0.5, True), (1.7, True)])
def test_the_threshold_gives_the_verdict(score: float, ng: bool) -> None:
    """A score that reaches the threshold is NG, and is shown as the model itself gives it."""
    said = reader(threshold=0.5, limits=(0.0, 1.0)).prediction(
        Outputs(np.full((1, 1), score, np.float32)), PLACEMENT
    )
    assert said.ng is ng
    assert said.score == pytest.approx(min(score, 1.0))
    assert ("NG" in repr(said)) is ng
    assert "%" not in repr(said)


def test_without_a_threshold_there_is_no_verdict() -> None:
    """Nobody's threshold is made up, whatever the sign or the size of the score."""
    said = reader().prediction(Outputs(np.full((1, 1), -37.5, np.float32)), PLACEMENT)
    assert (said.ng, said.score, said.areas) == (None, -37.5, ())
    assert "OK" not in repr(said)


def test_the_map_beside_the_score_tells_the_area() -> None:
    """The share of the frame where the model's own map reaches its threshold is an area without a name."""
    beside = {ANOMALY_MAP: places((1, 1, 0.9), (1, 2, 3.0)).scores[:, 0]}
    found = reader(threshold=0.5, map_size=(10, 10), map_threshold=0.6, map_limits=(0.0, 1.0))
    said = found.prediction(Outputs(np.full((1, 1), 0.7, np.float32), beside), PLACEMENT)
    assert said.areas == (("", pytest.approx(0.02)),)
    assert said.anomaly_map is not None
    assert said.anomaly_map.max() == 1.0


def test_a_map_is_explained_where_it_is_above_the_threshold() -> None:
    """The default region of a map is what reaches the threshold; its connected parts can be chosen."""
    found = reader(10, 10, threshold=0.5)
    scores = places((1, 1, 0.9), (1, 2, 0.8), (7, 7, 0.6), (5, 5, 0.4))
    target = found.target(Wanted(), scores, PLACEMENT)
    assert target.region is not None
    assert (target.region.name, target.region.cells.sum()) == (ABOVE, 3)
    second = found.target(Wanted(instance=2), scores, PLACEMENT)
    assert second.region is not None
    assert [tuple(one) for one in np.argwhere(second.region.cells)] == [(7, 7)]
    assert found.prediction(scores, PLACEMENT).score == pytest.approx(0.9)


@pytest.mark.parametrize("threshold", [None, 0.5])
def test_else_a_map_is_explained_where_it_is_highest(threshold: float | None) -> None:
    """Without a threshold, or below it, the highest cells are explained; negative maps as others are."""
    target = reader(10, 10, threshold=threshold).target(Wanted(), places((4, 6, -3.0), least=-9.0), PLACEMENT)
    assert target.region is not None
    assert target.region.name == CLOSEST
    assert [tuple(one) for one in np.argwhere(target.region.cells)] == [(4, 6)]


@pytest.mark.parametrize(
    ("whole", "recovered", "confidence"),
    [
        (4.0, 1.0, 0.25),
        (4.0, 9.0, 1.0),
        (-5.0, -7.5, 0.5),
        (-5.0, -4.0, 1.0),
        (-5.0, -20.0, 0.0),
        (0.0, 0.0, 1.0),
    ],
)
def test_the_confidence_is_the_share_of_its_own(whole: float, recovered: float, confidence: float) -> None:
    """Of a positive score it is the share that recovers; a negative one comes back from below."""
    found = reader()
    original = Outputs(np.full((1, 1), whole, np.float32))
    target = found.target(Wanted(), original, PLACEMENT)
    got = found.confidence(Outputs(np.full((1, 1), recovered, np.float32)), original, target)
    assert got == pytest.approx([confidence])


def test_what_a_score_does_not_have_is_refused() -> None:
    """A difference, and an area of a score that has no places, are refused."""
    score = Outputs(np.ones((1, 1), np.float32))
    with pytest.raises(TargetError, match="nothing to compare"):
        reader().target(Wanted(against=1), score, PLACEMENT)
    with pytest.raises(TargetError, match="has no areas"):
        reader().target(Wanted(instance=1), score, PLACEMENT)
