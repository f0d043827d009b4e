"""A detector explained: one detection, all of them in one call, and where nothing is found."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gagrad_runtime
from gagrad_edge import abi
from gagrad_edge.errors import TargetError
from gagrad_runtime.session.explainer import Explainer
from tests.detector import marked

FRAME = marked((40, 40, 0), (136, 88, 1))
"""A scratch around (40, 40) and a dent around (136, 88)."""


@pytest.fixture(scope="module")
def explainer(detector_bundle: Path) -> Iterator[Explainer]:
    with gagrad_runtime.load(detector_bundle, device="cpu") as opened:
        yield opened


def test_the_detection_is_what_the_map_shows(explainer: Explainer) -> None:
    """By default the best detection; the map lies on it, and the record of it is complete."""
    found = explainer.explain(FRAME, detection=2, rcap=True)
    assert found.prediction is not None
    assert [one.name for one in found.prediction.detections] == ["scratch", "dent"]
    assert (found.target.name, found.target.detection) == ("dent", 2)
    assert found.predicted == explainer.explain(FRAME).target
    left, top, right, bottom = (round(edge) for edge in found.target.box or (0, 0, 0, 0))
    on_frame = found.saliency_on_frame()
    assert on_frame[top:bottom, left:right].sum() > 0.9 * on_frame.sum()
    assert found.probability == found.prediction.detections[1].score
    assert found.cautions == ()
    assert (found.rcap.confidence > 0.25).all()


def test_all_detections_are_those_one_by_one(explainer: Explainer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same maps, bit for bit, with the frame uploaded and predicted once; others may come in between."""
    alone = [explainer.explain(FRAME, detection=number, rcap=True) for number in (1, 2)]
    uploads: list[Any] = []
    upload = explainer.backend.upload
    monkeypatch.setattr(
        explainer.backend, "upload", lambda value: (uploads.append(np.shape(value)), upload(value))[1]
    )
    together = []
    for one in explainer.explain_each(FRAME, rcap=True):
        together.append(one)
        if len(together) == 1:
            assert uploads.count((1, *explainer.manifest.input.shape)) == 1
            assert len(explainer.predict(marked()).detections) == 0
            uploads.clear()
    assert (1, *explainer.manifest.input.shape) not in uploads
    assert [one.target for one in together] == [one.target for one in alone]
    for one, other in zip(together, alone, strict=True):
        np.testing.assert_array_equal(one.saliency, other.saliency)
        assert one.rcap.score == other.rcap.score
        assert "explain" in one.seconds


def test_nothing_found(explainer: Explainer) -> None:
    """No detection to yield; by default the strongest candidate, and a caution that says so."""
    good = marked()
    assert list(explainer.explain_each(good)) == []
    found = explainer.explain(good)
    assert found.target.detection is None
    assert found.cautions[0].code == "not-detected"
    assert "strongest candidate" in found.cautions[0].text
    other = explainer.explain(FRAME, "stain")
    assert "no stain" in other.cautions[0].text
    double = (0, next(i for i in range(96) if (0, i) != explainer.explain(FRAME).target.index))
    assert "does not list" in explainer.explain(FRAME, double).cautions[0].text


def test_a_difference_is_of_one_candidate(explainer: Explainer) -> None:
    """``against`` is another class at the same place."""
    found = explainer.explain(FRAME, against="stain")
    assert found.target.against_index == (2, found.target.index[1])


def test_a_box_without_end_is_cut(explainer: Explainer, monkeypatch: pytest.MonkeyPatch) -> None:
    """An infinite size of one candidate, as a power of e gives it, stops nothing."""
    runner = explainer.graphs.runner("predict")
    run = runner.run

    def wild(inputs: Any) -> Any:
        found = run(inputs)
        boxes = explainer.backend.download(found[abi.BOXES]).copy()
        boxes[0, 95] = [-np.inf, -np.inf, np.inf, np.inf]
        return {**found, abi.BOXES: explainer.backend.upload(boxes)}

    monkeypatch.setattr(runner, "run", wild)
    assert len(explainer.predict(FRAME).detections) == 2


def test_a_wrong_class_lists_those_of_the_image(tiny_bundle: Path) -> None:
    """The classes come first that the model is surest of; a classifier says that it has no detections."""
    with gagrad_runtime.load(tiny_bundle, device="cpu") as opened:
        with pytest.raises(TargetError, match="lists no detections"):
            opened.explain(FRAME, detection=1)
        with pytest.raises(TargetError, match="surest of on this image") as caught:
            opened.explain(FRAME, "xyz")
        said = opened.predict(FRAME).classes
    assert list(caught.value.choices) == [name for name, _ in said]
