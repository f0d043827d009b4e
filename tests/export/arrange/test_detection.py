"""Detectors of every layout are found, and what is no detector is not taken for one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import helper

from gagrad_edge.errors import ModelError, SettingError
from gagrad_export.arrange import Arranged, Wishes
from gagrad_export.arrange.detection import find_detector
from gagrad_export.arrange.seen import with_outputs
from gagrad_export.canonicalise.rewrite.opset import ConvertOpset
from gagrad_export.verify.detector_reference import read_boxes, read_probabilities
from gagrad_export.verify.probe import probe_of
from tests.export.arrange import detectors
from tests.export.arrange.detectors import CELLS, SIZE, Graph, ultralytics

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


@pytest.mark.parametrize("decode", [False, True])
def test_yolox(decode: bool) -> None:
    """Before decoding the grid's arithmetic is added; decoded boxes are taken as they are."""
    model = detectors.yolox(decode=decode)
    arranged = certain(model)
    assert arranged.layout is not None
    assert arranged.layout.unit == ("pixels" if decode else "cells")
    assert arranged.layout.strides == (() if decode else (8, 16, 32))
    assert arranged.layout.objectness is not None
    assert "as in YOLOX" in arranged.evidence
    check(arranged, model)


def test_detr_needs_to_know_its_classes() -> None:
    """A sigmoid each, or a softmax with one for nothing: the number of class names decides."""
    model = detectors.detr(4, bias=-1.0)
    with pytest.raises(ModelError, match="more than one way") as caught:
        found(model)
    assert len(caught.value.choices) == 2
    each, shared = certain(model, class_count=4), certain(model, class_count=3)
    for arranged, background in ((each, None), (shared, 3)):
        assert arranged.detection is not None
        assert (arranged.detection.background, arranged.detection.suppressed) == (background, True)
        check(arranged, model)
    assert shared.layout is not None
    assert shared.layout.activation == "softmax"
    names = str({index: f"kind {index}" for index in range(3)})
    named = certain(detectors.detr(4, {"id2label": names}))
    assert named.classes == ("kind 0", "kind 1", "kind 2", "background")


def test_a_trained_detr_shows_its_background() -> None:
    """Where the last score is the largest of nearly all queries, it stands for nothing."""
    arranged = certain(detectors.detr(4, bias=5.0))
    assert arranged.detection is not None
    assert arranged.detection.background == 3
    assert "the last is the largest of" in arranged.evidence


def test_ssd() -> None:
    """Corners and a softmax in two outputs; the background is the first by its share."""
    model = detectors.ssd()
    arranged = certain(model)
    assert arranged.layout is not None
    assert (arranged.layout.form, arranged.layout.unit) == ("xyxy", "pixels")
    assert (arranged.layout.activation, arranged.layout.background) == ("softmax", 0)
    check(arranged, model)


@pytest.mark.parametrize(("make", "suppressed"), [("end_to_end", True), ("suppressing", False)])
def test_a_selection_inside_is_left_out(make: str, suppressed: bool) -> None:
    """What TopK or NMS selects from is taken by itself, and a note names it; thresholds are the node's."""
    model = getattr(detectors, make)()
    arranged = certain(model)
    assert arranged.detection is not None
    assert arranged.layout is not None
    assert (arranged.detection.candidates, arranged.layout.scores.count) == (CELLS, 3)
    assert arranged.detection.suppressed is suppressed
    assert "selects its detections itself" in arranged.notes[0]
    assert all(name in arranged.notes[0] for name in arranged.layout.values)
    if not suppressed:
        assert (arranged.detection.threshold, arranged.detection.overlap) == (0.3, 0.6)
    check(arranged, model, values=answers(with_outputs(model, arranged.layout.values)))


def test_boxes_that_are_computed_of_the_selected_alone_are_computed_of_all() -> None:
    """By the model's own arithmetic: the selected have the boxes that the model itself gives them."""
    model = detectors.decoding_late()
    arranged = certain(model)
    assert arranged.detection is not None
    assert (arranged.detection.candidates, arranged.detection.overlap) == (CELLS, 0.6)
    assert arranged.detection.suppressed is False
    assert "with the boxes of all candidates, which it computes of the selected alone" in arranged.notes[0]
    assert not any("no sigmoid was found" in note for note in arranged.notes)
    made = answers(arranged.model)
    boxes, chances = made[arranged.beside["boxes"]][0], made[str(arranged.output_name)][0]
    assert (boxes.shape, chances.shape) == ((CELLS, 4), (3, CELLS))
    places = [f"chosen_{level}" for level in range(3)]
    own = answers(with_outputs(model, ["boxes", *places]))
    first = np.cumsum([0, 64, 16])
    chosen = np.concatenate([own[name] + start for name, start in zip(places, first, strict=True)])
    assert 0 < len(chosen) < 3 * CELLS
    np.testing.assert_allclose(own["boxes"], boxes[chosen], atol=1e-4)
    np.testing.assert_allclose(own["confidences"].max(), chances.max(), rtol=1e-5)


def other(shape: tuple[int, ...], *ends: str) -> onnx.ModelProto:
    """Return a model of another task, whose output has the row's ``shape`` behind the operators ``ends``."""
    g = Graph()
    count = int(np.prod(shape))
    flat = g("Flatten", g("GlobalAveragePool", g.features()[2]))
    value = g("MatMul", flat, g.random.standard_normal((8, count)))
    value = g("Reshape", value, [0, *shape])
    for end in ends:
        value = g(end, value, **({"axis": len(shape)} if end == "Softmax" else {}))
    g.named(value, "output")
    return g.model({"output": ("N", *shape)})


@pytest.mark.parametrize("ends", [(), ("Sigmoid",), ("Softmax",), ("Exp",)])
@pytest.mark.parametrize("shape", [(4,), (5,), (84,), (6, 100), (100, 6), (4, 20), (21, 8, 8), (1, 16, 16)])
def test_other_tasks_are_no_detectors(shape: tuple[int, ...], ends: tuple[str, ...]) -> None:
    """Classifiers, regressions, readers, segmenters and anomaly maps are left to others."""
    assert found(other(shape, *ends)) is None


def test_asked_for_and_not_there() -> None:
    """The message has the outputs, and how a layout is declared."""
    with pytest.raises(ModelError, match=r"output \[84\]") as caught:
        found(other((84,)), task="detection")
    assert "layout=boxes=" in str(caught.value)


def test_a_detector_of_two_stages_says_what_is_missing() -> None:
    """Faster R-CNN classifies regions that it proposes, as many as each image has."""
    g = Graph()
    regions, of = np.array([[0, 0, 9, 9], [5, 5, 40, 40]]), [0, 0]
    value = g("RoiAlign", g.features()[0], regions, of, output_height=2, output_width=2)
    g.named(g("ReduceMean", value, [2, 3], keepdims=0), "output")
    with pytest.raises(ModelError, match="regions that it proposes itself") as caught:
        found(g.model({"output": ("N", 8)}), task="detection")
    assert "a fixed number of regions" in str(caught.value.hint)


def test_class_names_of_another_number() -> None:
    """Names that do not fit the rows are no reading: the file contradicts itself."""
    with pytest.raises(ModelError, match="no boxes and scores"):
        found(detectors.yolov8(3, 0, ultralytics("detect", 7)))


def test_a_classifier_of_ultralytics_says_so() -> None:
    """The file's own word for its task goes before any shape."""
    assert found(detectors.yolov8(3, 0, ultralytics("classify", 3))) is None


DECLARED = "boxes=output0[0:4] cxcywh pixels; scores=output0[4:7] sigmoid"


def test_a_declared_layout() -> None:
    """It is taken as it is, and what it leaves open is found."""
    model = detectors.yolov8()
    arranged = certain(model, layout=DECLARED)
    assert arranged.detection is not None
    assert arranged.detection.layout == certain(model).detection.layout  # type: ignore[union-attr]
    check(arranged, model)
    again = certain(model, layout=arranged.detection.layout)
    assert again.layout == arranged.layout


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("boxes=output0[0:4] cxcywh pixels", "the part scores is missing"),
        (DECLARED.replace("cxcywh", "center"), "boxes: it needs one of these words"),
        (DECLARED.replace("boxes=output0", "boxes=out"), "boxes: the model has no value 'out'"),
        (DECLARED.replace("[0:4]", "[0:5]"), "a box has 4 columns, and these are 5"),
        (DECLARED.replace("[4:7]", "[4:9]"), "scores: output0 has 7 columns for each candidate, and 9 are"),
        (DECLARED.replace("[4:7]", "[4:7] axis=1"), r"do not hold 4 and K columns.*output0 \[7, 84\]"),
        (DECLARED + "; colour=red", "a layout has no part 'colour'"),
        (DECLARED + "; background=3", "background: it is the index of one of 3 classes"),
        (DECLARED + "; strides=8", "strides: boxes in cells need"),
        (DECLARED + "; objectness=output0[4:6]", "objectness: it is one column"),
        (DECLARED + "; background=last", "background: 'last' is no number"),
        (
            DECLARED.replace("output0[4:7]", "output0[4:7] axis=2"),
            "scores=output0.*the axis is given wrongly",
        ),
    ],
)
def test_a_wrong_layout_names_its_part(text: str, says: str) -> None:
    """With the choices where there are some, and an example."""
    with pytest.raises(SettingError, match=says) as caught:
        found(detectors.yolov8(), layout=text)
    assert caught.value.where == "layout"
    assert "boxes=output0[0:4]" in str(caught.value)


def test_a_declared_layout_behind_operators_that_onnx_does_not_know() -> None:
    """onnx infers no types there, and the scores in front of the sigmoid are found all the same."""
    model = detectors.yolov8()
    for node in model.graph.node:
        if node.op_type == "Tanh":
            node.op_type, node.domain = "Gelu", "com.microsoft"
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    boxes, scores = model.graph.node[-2].input
    arranged = certain(model, layout=f"boxes={boxes} cxcywh pixels; scores={scores} sigmoid")
    assert not any("no sigmoid was found" in note for note in arranged.notes)
    whole = answers(model)["output0"]
    check(arranged, model, values={boxes: whole[:, :4], scores: whole[:, 4:]})


def test_an_old_opset_is_converted() -> None:
    """A detector of opset 9 becomes one like that of a newer file, with the same answers."""
    model = detectors.as_opset_9(detectors.yolov8())
    arranged = certain(model)
    assert arranged.detection == certain(detectors.yolov8()).detection
    check(arranged, model)


def test_a_conversion_that_changes_the_answer_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written behind a converted model would be compared with the converted model alone."""

    def wrong(_pass: ConvertOpset, model: ir.Model) -> None:
        for node in model.graph:
            if node.op_type == "Exp":
                node.op_type = "Abs"

    monkeypatch.setattr(ConvertOpset, "call", wrong)
    with pytest.raises(ModelError, match="answers otherwise when its opset 9 is converted to 18"):
        found(detectors.as_opset_9(detectors.yolov8()))


def test_a_name_too_few_makes_no_objectness() -> None:
    """With the candidates last no family has an objectness, so three names are wrong for four classes."""
    with pytest.raises(SettingError, match="3 class names for a detector with 4 classes") as caught:
        found(detectors.yolov8(4), class_count=3)
    assert caught.value.where == "classes"
    assert certain(detectors.yolov8(4), class_count=4).layout.objectness is None  # type: ignore[union-attr]
    assert certain(detectors.yolov5(3), class_count=3).layout.objectness  # type: ignore[union-attr]


def test_the_product_of_two_sigmoids() -> None:
    """Its logit is that of float64 from −80 to 80, in float32."""
    import onnx_ir as ir

    from gagrad_export.arrange.logits import logit_of_product
    from gagrad_export.emit import Op

    values = np.linspace(-80, 80, 41)
    whole, part = (grid.ravel() for grid in np.meshgrid(values, values))
    graph = ir.Graph([], [], nodes=[], opset_imports={"": 18}, name="product")
    op = Op(graph)
    kind = ir.TensorType(ir.DataType.FLOAT)
    inputs = [ir.Value(name=name, shape=ir.Shape([whole.size]), type=kind) for name in ("o", "c")]
    graph.inputs.extend(inputs)
    graph.outputs.append(logit_of_product(op, *inputs))
    model = ir.serde.serialize_model(ir.Model(graph, ir_version=10))
    import onnxruntime

    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (logits,) = session.run(None, {"o": whole.astype(np.float32), "c": part.astype(np.float32)})
    expected = -np.logaddexp(np.logaddexp(-whole, -part), -whole - part)
    np.testing.assert_allclose(logits, expected, rtol=2e-6, atol=1e-5)
