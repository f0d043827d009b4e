from __future__ import annotations

import numpy as np
import pytest

from gagrad_edge.errors import ModelError
from gagrad_export.arrange import Wishes
from gagrad_export.arrange.anomaly import find_anomaly
from tests.export.arrange.models import (
    ANOMALIB,
    ANOMALIB_CONSTANTS,
    ANOMALIB_OUTPUTS,
    anomalib,
    model,
    numbers,
    probe,
)

MAP_AND_SCORE = """
    output = ReduceMean <keepdims = 1> (a, one)
    score = ReduceMax <keepdims = 0> (output, all)
"""
AXES = {"one": np.array([1]), "all": np.array([1, 2, 3])}


def test_anomalibs_file_tells_all() -> None:
    """Score, map, limits and thresholds of an anomalib 2 file are found; nothing has to be given."""
    found = find_anomaly(probe(anomalib()), Wishes())
    assert found is not None
    assert found.anomaly is not None
    assert (found.output_name, found.shown_name) == ("s3", "pred_score")
    assert (found.anomaly.threshold, found.anomaly.limits) == (0.5, (0.0, 1.0))
    assert (found.anomaly.map_threshold, found.anomaly.map_limits) == (0.5, (0.0, 1.0))
    assert found.anomaly.map_size == (16, 16)
    assert list(found.beside) == ["anomaly_map"]
    assert "by name" in found.evidence
    assert any("pred_label" in note for note in found.notes)


def test_a_threshold_of_normalised_scores_is_not_taken_for_raw_ones() -> None:
    """An anomalib file that was exported before calibration compares raw distances with 0.5: no threshold."""
    body = ANOMALIB.replace(
        "pred_score = Where (always, s5, highest)", "pred_score = Where (never, s5, highest)"
    )
    found = find_anomaly(probe(model(ANOMALIB_OUTPUTS, body, **ANOMALIB_CONSTANTS)), Wishes())
    assert found is not None
    assert found.anomaly is not None
    assert found.anomaly.threshold is None
    assert found.anomaly.map_threshold == 0.5
    assert any("does not normalise" in note for note in found.notes)


def test_a_given_threshold_wins() -> None:
    """What the user gives stands for the file's threshold."""
    found = find_anomaly(probe(anomalib()), Wishes(threshold=0.6, map_threshold=0.7))
    assert found is not None
    assert found.anomaly is not None
    assert (found.anomaly.threshold, found.anomaly.map_threshold) == (0.6, 0.7)


def test_a_map_and_its_maximum_are_found_by_shape() -> None:
    """anomalib 1 names its outputs ``output`` and a number: a map and a score are enough."""
    proto = model("float[N, 1, 16, 16] output, float[N] score", MAP_AND_SCORE, **AXES)
    found = find_anomaly(probe(proto), Wishes())
    assert found is not None
    assert found.shown_name == "score"
    assert "by shape" in found.evidence
    assert found.anomaly is not None
    assert found.anomaly.threshold is None


@pytest.mark.parametrize("shape", ["N, 1, 16, 16", "N, 16, 16"])
def test_a_map_alone_is_found_by_its_name(shape: str) -> None:
    """A file with an ``anomaly_map`` only is explained at its map, in the canonical form."""
    keep = 1 if "1, 16" in shape else 0
    proto = model(
        f"float[{shape}] anomaly_map", f"anomaly_map = ReduceMean <keepdims = {keep}> (a, one)", **AXES
    )
    found = find_anomaly(probe(proto), Wishes())
    assert found is not None
    assert found.shown_name == "anomaly_map"
    assert found.anomaly is not None
    assert found.anomaly.map_size is None


@pytest.mark.parametrize(
    ("outputs", "body"),
    [
        ("float[N, 1, 16, 16] depth", "depth = ReduceMean <keepdims = 1> (a, one)"),
        ("float[N, 4] classes", "classes = ReduceMean <keepdims = 0> (a, places)"),
        ("float[N, 4, 16, 16] mask", "mask = Identity (a)"),
        ("float[N, 1, 16, 16] mask", "m = ReduceMean <keepdims = 1> (a, one)\n mask = Sigmoid (m)"),
        ("float[N] value", "value = ReduceMean <keepdims = 0> (a, all)"),
        (
            "float[N, 1, 16, 16] density, float[N] count",
            "density = ReduceMean <keepdims = 1> (a, one)\n count = ReduceSum <keepdims = 0> (density, all)",
        ),
        (
            "float[N, 1, 16, 16] heat, float[N, 4] classes",
            "heat = ReduceMean <keepdims = 1> (a, one)\n classes = ReduceMean <keepdims = 0> (a, places)",
        ),
        (
            "float[N, 4, 16, 16] boxes, float[N, 1, 16, 16] score_map",
            "boxes = Identity (a)\n score_map = ReduceMean <keepdims = 1> (a, one)",
        ),
    ],
)
def test_models_of_other_tasks_are_left_alone(outputs: str, body: str) -> None:
    """Depth, classes, masks, values, densities with counts, and heads of detectors are no anomaly scorers."""
    proto = model(outputs, body, places=np.array([2, 3]), **AXES)
    assert find_anomaly(probe(proto), Wishes()) is None


def test_a_map_is_one_where_the_user_says_so() -> None:
    """``task=anomaly`` takes a map of any name; a model without score or map is refused with its outputs."""
    depth = model("float[N, 1, 16, 16] depth", "depth = ReduceMean <keepdims = 1> (a, one)", **AXES)
    found = find_anomaly(probe(depth), Wishes(task="anomaly", threshold=2.0))
    assert found is not None
    assert found.anomaly is not None
    assert found.anomaly.threshold == 2.0
    classes = model(
        "float[N, 4] classes", "classes = ReduceMean <keepdims = 0> (a, places)", places=np.array([2, 3])
    )
    with pytest.raises(ModelError, match="which one is the anomaly score"):
        find_anomaly(probe(classes), Wishes(task="anomaly"))


def test_a_files_own_threshold_is_taken() -> None:
    """A comparison of the score with a number tells the threshold, whatever it is called."""
    body = MAP_AND_SCORE + "verdict = Greater (score, t)"
    outputs = "float[N, 1, 16, 16] output, float[N] score, bool[N] verdict"
    found = find_anomaly(probe(model(outputs, body, **AXES, **numbers(t=12.5))), Wishes(task="anomaly"))
    assert found is not None
    assert found.anomaly is not None
    assert found.anomaly.threshold == 12.5
