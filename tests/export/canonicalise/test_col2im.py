"""Col2Im becomes a ConvTranspose, which engines have and which has a gradient."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from onnx import parser
from onnx.reference import ReferenceEvaluator

from gagrad_export.assemble.graph import add_input, finish, insert_model, new_graph
from gagrad_export.canonicalise import canonicalise
from gagrad_export.canonicalise.contract import run
from gagrad_export.canonicalise.rewrite.col2im import ReplaceCol2Im
from gagrad_export.differentiate import gradients
from gagrad_export.lower import lower
from tests.export.networks import tensorrt_refuses


def model_of(x: str, image: str, block: str, attributes: str = "") -> onnx.ModelProto:
    rank = image.count(",") + 1
    return onnx.shape_inference.infer_shapes(
        parser.parse_model(f"""<ir_version: 10, opset_import: ["" : 18]> m (float[{x}] x) => (float y)
            <int64[{rank}] image = {{{image}}}, int64[{rank}] block = {{{block}}}>
            {{ y = Col2Im {attributes} (x, image, block) }}"""),
        data_prop=True,
    )


@pytest.mark.parametrize(
    ("x", "image", "block", "attributes"),
    [
        ((2, 12, 12), "5, 4", "2, 2", ""),
        ((2, 18, 9), "6, 5", "3, 3", "<pads = [1, 1, 1, 1], strides = [2, 2]>"),
        ((2, 12, 18), "6, 9", "2, 3", "<pads = [0, 1, 2, 0], strides = [3, 1], dilations = [1, 2]>"),
        ((2, 9, 4), "8", "3", "<strides = [2], dilations = [1], pads = [0, 1]>"),
    ],
    ids=str,
)
def test_the_rewriting_is_exact(x: tuple[int, ...], image: str, block: str, attributes: str) -> None:
    """Every patch is added where Col2Im adds it; what no patch reaches stays 0."""
    model = model_of(", ".join(map(str, x)), image, block, attributes)
    rewritten = ir.serde.deserialize_model(model)
    assert run(rewritten, [ReplaceCol2Im()])
    assert [node.op_type for node in rewritten.graph] == ["Reshape", "ConvTranspose"]
    feeds = {"x": np.random.default_rng(0).standard_normal(x).astype(np.float32)}
    expected = ReferenceEvaluator(model).run(None, feeds)[0]
    # onnx's reference evaluator does not run a ConvTranspose with several channels in a group.
    session = onnxruntime.InferenceSession(ir.serde.serialize_model(rewritten).SerializeToString())
    found = session.run(None, feeds)[0]
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.slow
def test_a_model_with_it_and_its_gradient_build_in_tensorrt() -> None:
    """As VOLO has it: overlapping patches of stride 2, any batch."""
    canonical = canonicalise(
        parser.parse_model("""<ir_version: 10, opset_import: ["" : 18]>
            m (float[N, 3, 8, 12] image) => (float[N, 2, 8, 8] y)
            <int64[3] columns = {0, 18, -1}, int64[2] size = {8, 8}, int64[2] block = {3, 3}>
            {
                x = Reshape (image, columns)
                y = Col2Im <pads = [1, 1, 1, 1], strides = [2, 2]> (x, size, block)
            }"""),
    )
    assert "Col2Im" not in canonical.operators
    op = new_graph("check", canonical.opset)
    image = add_input(op, "image", ["N", *canonical.input_shape])
    y = insert_model(op, canonical, image)
    op.graph.sort()
    (dx,) = gradients(op, {y: y}, [image])
    assert dx is not None
    dx = op.Identity(dx)
    lower(op)
    graph = finish(op, {"y": y, "dx": dx}).complete()
    assert tensorrt_refuses(graph) == ""
    feeds = {"image": np.random.default_rng(0).standard_normal((5, 3, 8, 12)).astype(np.float32)}
    found, gradient = onnxruntime.InferenceSession(graph).run(None, feeds)
    # y is linear in the image: ⟨image, Aᵀy⟩ = ⟨A·image, y⟩.
    np.testing.assert_allclose(np.vdot(feeds["image"], gradient), np.vdot(found, found), rtol=1e-5)
