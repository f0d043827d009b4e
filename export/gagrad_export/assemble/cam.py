"""``cam``: image → scores, and the class activation maps at intermediate activations of the model.

Only the part of the network after these activations is differentiated, so one image costs little more than
``predict``.

Of several layers, one may lie in front of another, as the scales of a detector do. The gradient at each
layer is then taken with the others held: what passes through a later layer is counted there and nowhere else.
So the layers that an anchor does not belong to get a gradient of zero, and for a target of several anchors
the maps add up. The graph is built from two copies of the model: the second reads the layers of the first.
What is alike in both is written once (``finish``).

The finer layer, where there is one, is not added: its maps are an output of their own, and its gradient is
that of the whole network behind it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from gagrad_edge.abi import (
    CAMS,
    COTANGENT,
    FEATURES,
    FINER_CAMS,
    IMAGE,
    SCORES,
    N,
    Sizes,
    feature_name,
    graph_abi,
)
from gagrad_edge.errors import ModelError
from gagrad_edge.method.class_activation import EPSILON
from gagrad_export.assemble.accumulate import per_sample
from gagrad_export.assemble.graph import (
    activations_of,
    add_input,
    finish,
    finish_graph,
    insert_model,
    new_graph,
    start_graph,
)
from gagrad_export.assemble.predict import normalised
from gagrad_export.differentiate import gradients
from gagrad_export.lower import lower

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gagrad_edge.bundle.graph_file import GraphFile
    from gagrad_edge.input import InputSpec
    from gagrad_edge.manifest import FeatureLayer
    from gagrad_export.assemble.passing import Passed
    from gagrad_export.canonicalise import Canonical
    from gagrad_export.emit import Op

DELTA, GRADIENTS = "delta", "gradients"
"""Names of the probe's inputs and outputs that the ABI does not have, each with the number of its layer."""


def cam_graph(
    model: Canonical, spec: InputSpec, layers: Sequence[FeatureLayer], finer: FeatureLayer | None = None
) -> GraphFile:
    """Return the graph ``cam``.

    ``image [N, C, H, W]`` and ``cotangent [1, K…]`` → ``scores [N, K…]`` and ``cams [3, N, h, w]``, as
    ``gagrad_edge.method.class_activation.class_activation_maps`` computes them, those of several ``layers``
    added by ``added_levels``; the first layer has the largest grid. With ``finer``, which goes with one
    layer, also ``finer_cams``, the maps there. Raises ModelError and UnsupportedOperatorError.
    """
    if finer is not None and len(layers) != 1:
        raise ValueError("a finer layer goes with one layer")
    sizes = _sizes(model, layers, finer)
    op, inputs = start_graph("cam", sizes, opset=model.opset)
    every = [*layers, finer] if finer else layers
    scores, features, gradients_at = _at_layers(op, model, spec, every, inputs, hold=finer is None)
    outputs = {SCORES: scores, **_cams(op, layers, finer, features, gradients_at)}
    lower(op)
    return finish_graph(op, "cam", sizes, outputs)


def cam_of_features_graph(
    model: Canonical,
    spec: InputSpec,
    passed: Sequence[Passed],
    layers: Sequence[FeatureLayer],
    finer: FeatureLayer | None = None,
) -> GraphFile:
    """Return the variant ``FEATURES`` of the graph ``cam``: the part of the network behind its layers.

    What the same variant of ``predict`` gives, ``passed``, and ``cotangent [1, K…]`` → the maps of ``cam``.
    """
    sizes = replace(_sizes(model, layers, finer), features=tuple(one.shape for one in passed))
    op, inputs = start_graph("cam", sizes, variant=FEATURES, opset=model.opset)
    given = [inputs[feature_name(i)] for i in range(len(passed))]
    image = ir.Value(
        name=IMAGE, shape=ir.Shape([N, *model.input_shape]), type=ir.TensorType(ir.DataType.FLOAT)
    )
    scores = insert_model(op, model, normalised(op, image, spec))
    for value, activation in zip(activations_of(op, passed), given, strict=True):
        ir.convenience.replace_all_uses_with(value, activation)
    op.graph.sort()
    features = given[: len(layers)] if finer is None else [*activations_of(op, layers), given[0]]
    every = layers if finer is None else [*layers, finer]
    found = gradients(op, {scores: per_sample(op, inputs[COTANGENT], given[0])}, features)
    outputs = _cams(op, layers, finer, features, _all_found(every, found))
    lower(op)
    return finish_graph(op, "cam", sizes, outputs, variant=FEATURES)


def _cams(
    op: Op,
    layers: Sequence[FeatureLayer],
    finer: FeatureLayer | None,
    features: Sequence[ir.Value],
    gradients_at: Sequence[ir.Value],
) -> dict[str, ir.Value]:
    """Return the outputs with maps; of a ``finer`` layer feature and gradient come last."""
    every = layers if finer is None else [*layers, finer]
    levels = [
        _maps(op, _channels_first(op, feature, layer), _channels_first(op, gradient, layer))
        for layer, feature, gradient in zip(every, features, gradients_at, strict=True)
    ]
    outputs = {CAMS: _added(op, levels[: len(layers)], layers)}
    if finer is not None:
        outputs[FINER_CAMS] = levels[-1]
    return outputs


def cam_probe_graph(model: Canonical, spec: InputSpec, layers: Sequence[FeatureLayer]) -> GraphFile:
    """Return a graph for verification, in no bundle: as ``cam``, with DELTA added to each activation.

    The inputs of ``cam`` and, for each layer i, ``DELTA_i [N, F, h, w]`` → the scores, and ``FEATURES_i`` and
    ``GRADIENTS_i [N, F, h, w]`` at the layer. The features of a layer do not depend on another's DELTA.
    """
    op = new_graph("cam_probe", model.opset)
    given = _sizes(model, layers).fill(graph_abi("cam")).inputs
    inputs = {name: add_input(op, name, shape) for name, shape in given.items()}
    deltas = [
        add_input(op, f"{DELTA}_{i}", [N, layer.features, layer.height, layer.width])
        for i, layer in enumerate(layers)
    ]
    scores, features, gradients_at = _at_layers(op, model, spec, layers, inputs, deltas)
    outputs = {SCORES: scores}
    for kind, values in ((FEATURES, features), (GRADIENTS, gradients_at)):
        for i, (value, layer) in enumerate(zip(values, layers, strict=True)):
            # Lowering may replace the node behind this value, and then changes the input of the Identity.
            outputs[f"{kind}_{i}"] = op.Identity(_channels_first(op, value, layer))
    lower(op)
    return finish(op, outputs)


def _sizes(model: Canonical, layers: Sequence[FeatureLayer], finer: FeatureLayer | None = None) -> Sizes:
    return Sizes(
        model.input_shape,
        model.score_shape,
        feature=(layers[0].height, layers[0].width),
        finer=None if finer is None else (finer.height, finer.width),
    )


def _at_layers(
    op: Op,
    model: Canonical,
    spec: InputSpec,
    layers: Sequence[FeatureLayer],
    inputs: Mapping[str, ir.Value],
    deltas: Sequence[ir.Value] = (),
    *,
    hold: bool = True,
) -> tuple[ir.Value, list[ir.Value], list[ir.Value]]:
    """Return the scores, and for each layer its activation plus its delta and the gradient at it.

    ``hold`` takes the gradient at each of several layers with the others held.
    """
    image, cotangent = inputs[IMAGE], inputs[COTANGENT]
    x = normalised(op, image, spec)
    scores = insert_model(op, model, x)
    prefix = "model"
    features = activations_of(op, layers, prefix)
    if len(layers) > 1 and hold:
        prefix = "held"
        scores = insert_model(op, model, x, prefix=prefix)
    if prefix == "held" or deltas:
        readers = [list(value.uses()) for value in activations_of(op, layers, prefix)]
        for i, layer in enumerate(layers):
            feature = features[i]
            features[i] = (
                op.Add(feature, _as_laid_out(op, deltas[i], feature, layer))
                if deltas
                else op.Identity(feature)
            )
            for use in readers[i]:
                use.node.replace_input_with(use.idx, features[i])
    op.graph.sort()
    found = gradients(op, {scores: per_sample(op, cotangent, image)}, features)
    return scores, features, _all_found(layers, found)


def _all_found(layers: Sequence[FeatureLayer], found: Sequence[ir.Value | None]) -> list[ir.Value]:
    """Return the gradients at ``layers``. Raises ModelError where there is none."""
    result = []
    for layer, gradient in zip(layers, found, strict=True):
        if gradient is None:
            raise ModelError(
                f"the score does not depend on {layer.name!r} through anything that has a derivative",
                where="feature_layer",
                hint="choose another layer, or none",
            )
        result.append(gradient)
    return result


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


def _added(op: Op, levels: Sequence[ir.Value], layers: Sequence[FeatureLayer]) -> ir.Value:
    """Return the maps of all levels as one, on the grid of the first: ``added_levels`` has the formula."""
    first, total = layers[0], levels[0]
    for maps, layer in zip(levels[1:], layers[1:], strict=True):
        scales = [_scale(layer.height, first.height), _scale(layer.width, first.width)]
        enlarged = op.Resize(
            maps,
            None,
            np.array([1, 1, *scales], np.float32),
            mode="linear",
            coordinate_transformation_mode="half_pixel",
        )
        share = layer.height * layer.width / (first.height * first.width)
        total = op.Add(total, op.Mul(enlarged, share))
    return total


def _scale(size: int, target: int) -> float:
    """Return target / size, or the next float32: 3 times 20/3 is less than 20, and Resize rounds down."""
    scale = np.float32(target / size)
    return float(scale if size * float(scale) >= target else np.nextafter(scale, np.float32(np.inf)))


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
