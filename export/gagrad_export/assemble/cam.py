"""``cam``: image → scores, and the class activation maps at an intermediate activation of the model.

Only the part of the network after that activation is differentiated, so one image costs little more than
``predict``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gagrad_edge.abi import CAMS, COTANGENT, IMAGE, SCORES, N, Sizes, graph_abi
from gagrad_edge.errors import ModelError
from gagrad_edge.method.class_activation import EPSILON
from gagrad_export.assemble.accumulate import per_sample
from gagrad_export.assemble.graph import add_input, finish, finish_graph, insert_model, new_graph, start_graph
from gagrad_export.assemble.predict import normalised
from gagrad_export.differentiate import gradients
from gagrad_export.lower import lower

if TYPE_CHECKING:
    from collections.abc import Mapping

    import onnx_ir as ir

    from gagrad_edge.manifest import FeatureLayer, InputSpec
    from gagrad_export.canonicalise import Canonical
    from gagrad_export.emit import Op

DELTA, FEATURES, GRADIENTS = "delta", "features", "gradients"
"""Names of the probe's input and outputs that the ABI does not have."""


def cam_graph(model: Canonical, spec: InputSpec, layer: FeatureLayer) -> bytes:
    """Return the ONNX bytes of ``cam``.

    ``image [N, C, H, W]`` and ``cotangent [1, K…]`` → ``scores [N, K…]`` and ``cams [3, N, h, w]``, as
    ``gagrad_edge.method.class_activation.class_activation_maps`` computes them. Raises ModelError and
    UnsupportedOperatorError.
    """
    sizes = _sizes(model, layer)
    op, inputs = start_graph("cam", sizes, opset=model.opset)
    scores, feature, gradient = _at_layer(op, model, spec, layer, inputs)
    cams = _maps(op, _channels_first(op, feature, layer), _channels_first(op, gradient, layer))
    lower(op)
    return finish_graph(op, "cam", sizes, {SCORES: scores, CAMS: cams})


def cam_probe_graph(model: Canonical, spec: InputSpec, layer: FeatureLayer) -> bytes:
    """Return a graph for verification, in no bundle: as ``cam``, with DELTA added to the activation.

    The inputs of ``cam`` and ``DELTA [N, F, h, w]`` → the scores, and ``FEATURES`` and
    ``GRADIENTS [N, F, h, w]`` at the layer.
    """
    op = new_graph("cam_probe", model.opset)
    given = _sizes(model, layer).fill(graph_abi("cam")).inputs
    inputs = {name: add_input(op, name, shape) for name, shape in given.items()}
    delta = add_input(op, DELTA, [N, layer.features, layer.height, layer.width])
    scores, feature, gradient = _at_layer(op, model, spec, layer, inputs, delta)
    outputs = {FEATURES: feature, GRADIENTS: gradient}
    # Lowering may replace the nodes behind these values, and then changes the input of the Identity.
    outputs = {name: op.Identity(_channels_first(op, value, layer)) for name, value in outputs.items()}
    lower(op)
    return finish(op, {SCORES: scores, **outputs})


def _sizes(model: Canonical, layer: FeatureLayer) -> Sizes:
    return Sizes(model.input_shape, model.score_shape, feature=(layer.height, layer.width))


def _at_layer(
    op: Op,
    model: Canonical,
    spec: InputSpec,
    layer: FeatureLayer,
    inputs: Mapping[str, ir.Value],
    delta: ir.Value | None = None,
) -> tuple[ir.Value, ir.Value, ir.Value]:
    """Return scores, the layer's activation plus ``delta``, and the gradient of ⟨cotangent, scores⟩ at it."""
    image, cotangent = inputs[IMAGE], inputs[COTANGENT]
    scores = insert_model(op, model, normalised(op, image, spec))
    feature = next(
        value for node in op.graph for value in node.outputs if value.name == f"model/{layer.name}"
    )
    if delta is not None:
        users = list(feature.uses())
        feature = op.Add(feature, _as_laid_out(op, delta, feature, layer))
        for use in users:
            use.node.replace_input_with(use.idx, feature)
    op.graph.sort()
    (gradient,) = gradients(op, {scores: per_sample(op, cotangent, image)}, [feature])
    if gradient is None:
        raise ModelError(
            f"the score does not depend on {layer.name!r} through anything that has a derivative",
            where="feature_layer",
            hint="choose another layer, or none",
        )
    return scores, feature, gradient


def _maps(op: Op, feature: ir.Value, gradient: ir.Value) -> ir.Value:
    """Return the maps ``cams [3, N, h, w]`` of a feature layer and its gradient, ``[N, F, h, w]`` each.

    ``gagrad_edge.method.class_activation`` has the formulas.
    """
    positive = op.Relu(gradient)
    squared = op.Mul(gradient, gradient)
    total = op.ReduceSum(feature, [2, 3], keepdims=1)
    below = op.Add(op.Add(op.Mul(squared, 2.0), op.Mul(total, op.Mul(squared, gradient))), EPSILON)
    weights = op.ReduceMean(gradient, [2, 3], keepdims=1)
    weights_plus = op.ReduceSum(op.Mul(positive, op.Div(squared, below)), [2, 3], keepdims=1)
    maps = [
        op.Unsqueeze(op.Relu(op.ReduceSum(op.Mul(weighted, feature), [1], keepdims=0)), [0])
        for weighted in (weights, weights_plus, positive)
    ]
    return op.Concat(*maps, axis=0)


def _channels_first(op: Op, value: ir.Value, layer: FeatureLayer) -> ir.Value:
    """Return the layer's value as ``[N, F, h, w]``."""
    if layer.layout == "channels-last":
        return op.Transpose(value, perm=[0, 3, 1, 2])
    if layer.layout == "tokens":
        patches = op.Slice(value, [-layer.height * layer.width], [np.iinfo(np.int64).max], [1])
        return op.Reshape(op.Transpose(patches, perm=[0, 2, 1]), [0, 0, layer.height, layer.width])
    return value


def _as_laid_out(op: Op, delta: ir.Value, like: ir.Value, layer: FeatureLayer) -> ir.Value:
    """Return ``delta [N, F, h, w]`` in the layout of the layer; zero for tokens that are not patches."""
    if layer.layout == "channels-last":
        return op.Transpose(delta, perm=[0, 2, 3, 1])
    if layer.layout == "tokens":
        patches = layer.height * layer.width
        tokens = op.Transpose(op.Reshape(delta, [0, 0, patches]), perm=[0, 2, 1])
        length = like.shape[1] if like.shape is not None else patches
        extra = length - patches if isinstance(length, int) else 0
        return op.Pad(tokens, [0, extra, 0, 0, 0, 0])
    return delta
