"""Detectors of every layout are found, and what is no detector is not taken for one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest

from gagrad_export.arrange import Arranged, Wishes
from gagrad_export.arrange.detection import find_detector
from gagrad_export.verify.detector_reference import read_boxes, read_probabilities
from gagrad_export.verify.probe import probe_of
from tests.export.arrange import detectors
from tests.export.arrange.detectors import CELLS, SIZE, ultralytics

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


def found(model: onnx.ModelProto, **wishes: object) -> Arranged | None:
    """Return what the finder makes of a model."""
    return find_detector(
        probe_of(model, size=None, input_name=None, fixed={}),
        Wishes(**wishes),  # type: ignore[arg-type]
    )


def certain(model: onnx.ModelProto, **wishes: object) -> Arranged:
    """Return what the finder makes of a detector."""
    arranged = found(model, **wishes)
    assert arranged is not None
    return arranged


def answers(model: onnx.ModelProto) -> Mapping[str, NDArray[np.float32]]:
    """Return the outputs on noise, with a batch of one."""
    import onnxruntime

    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    image = np.random.default_rng(1).random((1, 3, SIZE, SIZE), np.float32)
    names = [value.name for value in model.graph.output]
    return dict(zip(names, session.run(None, {"image": image}), strict=True))


def check(
    arranged: Arranged, model: onnx.ModelProto, *, values: Mapping[str, NDArray[np.float32]] | None = None
) -> None:
    """Compare boxes and probabilities of the arranged model with numpy's of the model's own outputs."""
    layout, own = arranged.layout, answers(model) if values is None else values
    assert layout is not None
    made = answers(arranged.model)
    assert arranged.output_name is not None
    chances, boxes = made[arranged.output_name][0], made[arranged.beside["boxes"]][0]
    np.testing.assert_allclose(chances, read_probabilities(layout, own).T, atol=2e-6)
    np.testing.assert_allclose(boxes, read_boxes(layout, own, (SIZE, SIZE)), rtol=1e-5, atol=1e-3)


def test_yolov8() -> None:
    """``[N, 4 + K, A]`` without metadata: four rows are boxes by value, the others behind a sigmoid."""
    model = detectors.yolov8()
    arranged = certain(model)
    assert arranged.detection is not None
    assert arranged.task == "detection"
    assert arranged.detection.layout == (
        "boxes=output0[0:4] axis=0 cxcywh pixels; scores=output0[4:7] axis=0 sigmoid"
    )
    assert (arranged.detection.candidates, arranged.detection.suppressed) == (CELLS, False)
    assert "84 candidates × 7 values" in arranged.evidence
    assert "strides 8, 16, 32" in arranged.evidence
    check(arranged, model)


@pytest.mark.parametrize(("task", "more"), [("segment", 32), ("pose", 51), ("obb", 1)])
def test_further_rows_are_no_classes(task: str, more: int) -> None:
    """Rows of masks, keypoints and angles are told apart by their values; the file's names are checked."""
    model = detectors.yolov8(3, more, ultralytics(task, 3, conf=0.4, iou=0.6))
    arranged = certain(model)
    assert arranged.layout is not None
    assert arranged.detection is not None
    assert (arranged.layout.scores.first, arranged.layout.scores.last) == (4, 7)
    assert arranged.classes == ("kind 0", "kind 1", "kind 2")
    assert (arranged.detection.threshold, arranged.detection.overlap) == (0.4, 0.6)
    assert (arranged.layout.angle is not None) == (task == "obb")
    assert arranged.notes
    check(arranged, model)


def test_objectness() -> None:
    """``[N, 3·A, 5 + K]``, YOLOv5: what is explained is the logit of objectness times class."""
    model = detectors.yolov5()
    arranged = certain(model)
    assert arranged.layout is not None
    assert arranged.layout.objectness is not None
    assert arranged.layout.scores.count == 3
    check(arranged, model)
