"""What is verified and self-tested is what a device asks by default."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from gagrad_edge.output import DetectionSpec, OutputSpec, SegmentationSpec
from gagrad_export.verify.question import default_question
from gagrad_export.verify.reference_operators import GatherElements


def test_of_a_detector_the_background_is_never_asked() -> None:
    """A softmax's background is the most probable nearly everywhere: asked is the likeliest object."""
    scores = np.zeros((3, 5), np.float32)
    scores[2] = 9
    scores[1, 3], scores[0, 2] = 4, 6
    scores[2, 3] = 2
    spec = DetectionSpec(layout="any", candidates=5, background=2)
    output = OutputSpec("s", [3, 5], "softmax", [], task="detection", detection=spec)
    question = default_question(scores, output)
    assert question.target == (1, 3)
    assert question.cotangent.sum() == question.cotangent[0, 1, 3] == 1


def test_of_a_segmenter_the_largest_class_is_summed_where_it_is_predicted() -> None:
    """Besides the background; the self-test's element is the surest of these cells."""
    scores = np.zeros((3, 4, 4), np.float32)
    scores[0] = 2
    scores[1, :2, :2], scores[2, 3, 3] = 5, 9
    scores[1, 1, 0] = 7
    spec = SegmentationSpec(background=0)
    output = OutputSpec("s", [3, 4, 4], "softmax", [], task="segmentation", segmentation=spec)
    question = default_question(scores, output)
    assert question.target == (1, 1, 0)
    assert np.argwhere(question.cotangent[0]).tolist() == [[1, 0, 0], [1, 0, 1], [1, 1, 0], [1, 1, 1]]
    assert question.element.sum() == 1


def test_of_a_mask_that_is_nowhere_the_nearest_cell_is_asked() -> None:
    """Of one class with a sigmoid."""
    scores = np.full((1, 4, 4), -3, np.float32)
    scores[0, 2, 1] = -1
    output = OutputSpec("s", [1, 4, 4], "sigmoid", [], task="segmentation")
    question = default_question(scores, output)
    assert question.target == (0, 2, 1)
    assert question.cotangent.sum() == 1


def test_elements_are_gathered_along_axes_of_any_length() -> None:
    """onnx's evaluator stops at 64; negative indices count from the end."""
    x = np.random.default_rng(0).random((2, 100, 3))
    indices = np.array([[[5, -1, 99]], [[0, 70, -100]]])
    node = helper.make_node("GatherElements", ["x", "i"], ["y"], axis=1)
    graph = helper.make_graph(
        [node],
        "gather",
        [
            helper.make_tensor_value_info("x", TensorProto.DOUBLE, x.shape),
            helper.make_tensor_value_info("i", TensorProto.INT64, indices.shape),
        ],
        [helper.make_tensor_value_info("y", TensorProto.DOUBLE, indices.shape)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    (found,) = ReferenceEvaluator(model, new_ops=[GatherElements]).run(None, {"x": x, "i": indices})
    assert found.tolist() == [
        [[x[0, 5, 0], x[0, 99, 1], x[0, 99, 2]]],
        [[x[1, 0, 0], x[1, 70, 1], x[1, 0, 2]]],
    ]
