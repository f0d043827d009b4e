"""The class rows of a detector, whatever its head is, are scores in front of their activation."""

from __future__ import annotations

import copy
import io
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from gagrad_edge.manifest import GraphKey
from gagrad_export.assemble import accumulate_graph, predict_graph
from gagrad_export.settings import input_spec
from gagrad_export.verify.sessions import Sessions
from tests.export.networks import tensorrt_refuses
from tests.export.source_check import check_rows

if TYPE_CHECKING:
    import torch

HEADS: dict[str, tuple[str, dict[str, Any], tuple[int, int, int], str, tuple[int, ...]]] = {
    "class rows": ("ClassRows", {}, (1, 4, 9), "sigmoid", (5, 80)),
    "objectness": ("Objectness", {}, (2, 5, 10), "sigmoid", (5, 160)),
    "objectness, written in place": ("Objectness", {"in_place": True}, (2, 5, 10), "sigmoid", (5, 160)),
    "anchorless": ("Anchorless", {}, (2, 5, 10), "sigmoid", (5, 80)),
    "queries": ("Queries", {}, (2, 4, 9), "sigmoid", (5, 6)),
    "softmax": ("SoftmaxClasses", {}, (2, 4, 9), "softmax", (5, 160)),
    "end to end": ("EndToEnd", {}, (2, 4, 5), "sigmoid", (7,)),
}
"""Class, options, the slice that is asked (axis, from, to), its activation and the shape of its scores."""


@pytest.mark.slow
@pytest.mark.parametrize("exporter", ["new", "old", "old, free batch"])
@pytest.mark.parametrize("head", HEADS)
def test_the_class_rows_are_scores_with_torchs_gradient(head: str, exporter: str) -> None:
    """Shape, activation, each row of a batch, and the gradient of one class of one anchor by autograd."""
    import torch

    from tests.export.canonicalise import detection_heads

    kind, options, asked, activation, shape = HEADS[head]
    module = getattr(detection_heads, kind)(**options).eval()
    proto = sliced(onnx_of(module, detection_heads.SIZE, exporter), *asked)
    axis = 2 if len(shape) == 2 and asked[0] == 2 else None
    canonical = check_rows(proto, class_axis=axis)
    assert (canonical.tail, canonical.score_shape) == (activation, shape)
    assert "Softmax" not in canonical.operators  # nothing of the boxes is left
    spec = input_spec(canonical, mean=None, std=None)
    graphs = {
        GraphKey("predict"): predict_graph(canonical, spec),
        GraphKey("accumulate"): accumulate_graph(canonical, spec)[0],
    }
    image = np.random.default_rng(1).uniform(0, 1, (1, 3, 32, 32)).astype(np.float32)
    leaf = torch.tensor(image, dtype=torch.float64, requires_grad=True)
    expected = copy.deepcopy(module).double().logits(leaf).reshape(1, *shape)
    sessions = Sessions(graphs)
    np.testing.assert_allclose(sessions.predict(image), expected.detach().numpy(), rtol=1e-4, atol=1e-5)
    cotangent = np.zeros((1, *shape), np.float32)
    cotangent.flat[cotangent.size // 2 + 1] = 1
    state, _ = sessions.accumulate(image, np.zeros_like(image), 0.0, cotangent)
    (gradient,) = torch.autograd.grad(expected, leaf, torch.tensor(cotangent, dtype=torch.float64))
    error = np.linalg.norm(state.mean - gradient.numpy()) / np.linalg.norm(gradient.numpy())
    assert error <= 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("head", ["class rows", "queries", "end to end"])
def test_tensorrt_builds_its_graphs(head: str) -> None:
    """Reads by computed indices, and their gradient, are what TensorRT-RTX builds."""
    from tests.export.canonicalise import detection_heads

    kind, options, asked, _, _ = HEADS[head]
    module = getattr(detection_heads, kind)(**options).eval()
    canonical = check_rows(sliced(onnx_of(module, detection_heads.SIZE, "old"), *asked))
    spec = input_spec(canonical, mean=None, std=None)
    assert tensorrt_refuses(predict_graph(canonical, spec).complete()) == ""
    assert tensorrt_refuses(accumulate_graph(canonical, spec)[0].complete()) == ""


def sliced(proto: onnx.ModelProto, axis: int, start: int, end: int) -> onnx.ModelProto:
    """Return the model with a part of its output as its only output."""
    whole = proto.graph.output[0]
    for name, number in (("start", start), ("end", end), ("axis", axis)):
        proto.graph.initializer.append(numpy_helper.from_array(np.array([number]), f"asked_{name}"))
    inputs = [whole.name, "asked_start", "asked_end", "asked_axis"]
    proto.graph.node.append(helper.make_node("Slice", inputs, ["asked"]))
    del proto.graph.output[:]
    proto.graph.output.append(helper.make_tensor_value_info("asked", onnx.TensorProto.FLOAT, None))
    return proto


def onnx_of(module: torch.nn.Module, size: int, exporter: str) -> onnx.ModelProto:
    """Export by torch's newer or older exporter, the older with a batch of 1 or a free one."""
    import torch

    stream = io.BytesIO()
    options: dict[str, Any] = {"dynamo": False, "opset_version": 17}
    if exporter == "new":
        options = {"dynamo": True, "opset_version": 18, "external_data": False}
    elif exporter == "old, free batch":
        options["dynamic_axes"] = {"image": {0: "n"}, "found": {0: "n"}}
    names: dict[str, Any] = {"input_names": ["image"], "output_names": ["found"]}
    torch.onnx.export(module, (torch.rand(1, 3, size, size),), stream, **names, **options)
    return onnx.load_from_string(stream.getvalue())
