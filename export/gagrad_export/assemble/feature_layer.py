"""Choice of the feature layer: the intermediate activation at which class activation maps are taken.

The usual choice is the last map of features ``[F, h, w]``: later activations have no positions, and earlier
ones know less of the class. The layer must lie on every path from image to score, so that everything that the
score takes from the image passes through it.

In a vision transformer that reads a class token, the patch tokens of the last block do not reach the score.
So the tokens before the last block's attention are taken (``blocks[-1].norm1`` in pytorch-grad-cam).
"""

from __future__ import annotations

import difflib
import math
from collections import Counter
from typing import TYPE_CHECKING

from gagrad_edge.errors import SettingError
from gagrad_edge.manifest import FeatureLayer, FeatureLayout
from gagrad_export.differentiate.registry import has_zero_derivative
from gagrad_export.emit import static_shape

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from gagrad_export.canonicalise import Canonical

_WEIGHTED = ("Conv", "ConvTranspose", "Einsum", "Gemm", "MatMul")
_MOST_SKEW = math.log(3)
"""Largest skew of a map whose features are the last axis; without it ``[N, 512, 1, 1]``, the output of a
pooling, would be taken for a map of 512×1."""

_MOST_EXTRA_TOKENS = 8
"""Largest number of class, distillation and register tokens before the patches, where the grid is known."""


def choose_feature_layer(model: Canonical, choice: str | None) -> tuple[FeatureLayer | None, str]:
    """Return the layer, or None and the reason in a sentence for the manifest's notes.

    ``choice`` is ``auto``, the name of a value or of a node of the canonical model, or None for no layer.
    Raises SettingError for a name that does not exist, has no spatial shape, or does not lie between image
    and score.
    """
    if choice is None:
        return None, "no class activation maps: none were asked for"
    nodes = _on_the_way(model.graph)
    through = _on_every_path(model.graph, nodes)
    maps = [layer for value in through if (layer := _as_map(model, value)) is not None]
    if choice != "auto":
        return _named(model, choice, nodes, maps), ""
    order = {value.name: index for index, node in enumerate(nodes) for value in node.outputs}
    weighted = [order[node.outputs[0].name] for node in nodes if node.op_type in _WEIGHTED]
    last_weights = max(weighted, default=-1)
    # After the last weights a map already holds scores, such as the output of a segmentation.
    inner = [layer for layer in maps if order[layer.name] < last_weights] or maps
    attention = [node for node in nodes if node.op_type in ("Attention", "Softmax")]
    if attention:
        tokens = _tokens_in_front(model, attention[-1], nodes, through, maps)
    else:  # such as MLP-Mixer, where all tokens reach the score
        mixed = (_as_tokens(model, value, maps, extra=0) for value in through)
        tokens = [layer for layer in mixed if layer and order[layer.name] < last_weights]
    found = max([*inner[-1:], *tokens[-1:]], key=lambda layer: order[layer.name], default=None)
    if found is not None:
        return found, ""
    return None, (
        "no class activation maps: no map of features [F, h, w] lies on every path from image to score; "
        "name a layer with `feature_layer`"
    )


def _on_the_way(graph: ir.Graph) -> list[ir.Node]:
    """Return the nodes, in order, that carry the image's influence to the score and have a derivative."""
    reached: set[ir.Value | None] = {graph.inputs[0]}
    forward = []
    for node in graph:
        if any(value in reached for value in node.inputs) and not has_zero_derivative(node):
            reached.update(node.outputs)
            forward.append(node)
    wanted: set[ir.Value | None] = {graph.outputs[0]}
    backward = []
    for node in reversed(forward):
        if any(value in wanted for value in node.outputs):
            wanted.update(value for value in node.inputs if value in reached)
            backward.append(node)
    return backward[::-1]


def _on_every_path(graph: ir.Graph, nodes: Sequence[ir.Node]) -> list[ir.Value]:
    """Return the values inside the graph that all paths from image to score pass through, first to last.

    The nodes are walked in order, and ``held`` are the values that later nodes still read. Where one value is
    held alone, all paths pass through this value. No such value is missed, whatever the order of the nodes:
    when it is computed, every node before it has been walked, and no node behind it can have been.
    """
    uses = Counter(value for node in nodes for value in node.inputs)
    held = {graph.inputs[0]}
    found: list[ir.Value] = []
    for node in nodes:
        uses.subtract(node.inputs)
        held = {value for value in (*held, *node.outputs) if uses[value] > 0}
        if len(held) == 1 and not held.isdisjoint(node.outputs):
            found += held
    return found


def _as_map(model: Canonical, value: ir.Value) -> FeatureLayer | None:
    """Return ``value`` as a map of features ``[N, F, h, w]`` or ``[N, h, w, F]``, or None.

    Of two possible layouts, the one whose ratio of height to width is nearer to the image's.
    """
    if value.shape is None or not _is_float(value):
        return None
    batch, *dims = static_shape(value)
    if batch is not None or len(dims) != 3 or None in dims:
        return None
    a, b, c = (dim or 0 for dim in dims)
    _, height, width = model.input_shape
    readings: list[tuple[float, FeatureLayout, tuple[int, int, int]]] = []
    if b * c > 1 and b <= height and c <= width:
        readings.append((_skew(model, b, c), "channels-first", (a, b, c)))
    if a * b > 1 and a <= height and b <= width and _skew(model, a, b) <= _MOST_SKEW:
        readings.append((_skew(model, a, b), "channels-last", (c, a, b)))
    if not readings:
        return None
    _, layout, shape = min(readings, key=lambda reading: reading[0])
    return _layer(value, layout, shape)


def _skew(model: Canonical, height: int, width: int) -> float:
    """Return |log| of the grid's height:width over the image's height:width; 0 for equal ratios."""
    return abs(math.log(height * model.input_shape[2] / (width * model.input_shape[1])))


def _as_tokens(
    model: Canonical, value: ir.Value, maps: Sequence[FeatureLayer], extra: int = _MOST_EXTRA_TOKENS
) -> FeatureLayer | None:
    """Return ``value`` as tokens ``[N, L, D]``, the last h·w of which are patches, or None.

    There may be up to ``extra`` other tokens before the patches. The grid h × w is that of an earlier map of
    features, or has the image's ratio of height to width.
    """
    if value.shape is None or not _is_float(value):
        return None
    batch, *dims = static_shape(value)
    if batch is not None or len(dims) != 2 or None in dims:
        return None
    length, features = (dim or 0 for dim in dims)
    for layer in reversed(maps):
        if 0 <= length - layer.height * layer.width <= extra:
            return _layer(value, "tokens", (features, layer.height, layer.width))
    _, height, width = model.input_shape
    for patches in (length, length - 1)[: 1 + extra]:
        h = math.isqrt(max(patches * height // width, 0))
        if h > 0 and patches > 1 and patches % h == 0 and h * width == (patches // h) * height:
            return _layer(value, "tokens", (features, h, patches // h))
    return None


def _tokens_in_front(
    model: Canonical,
    attention: ir.Node,
    nodes: Sequence[ir.Node],
    through: Sequence[ir.Value],
    maps: Sequence[FeatureLayer],
) -> list[FeatureLayer]:
    """Return the tokens that ``attention`` (its Softmax) reads: at the block's input, then normalised."""
    ancestors, wanted = [], set(attention.inputs)
    for node in reversed(nodes):
        if any(value in wanted for value in node.outputs):
            wanted.update(node.inputs)
            ancestors.append(node)
    entering = [value for value in through if value.producer() in ancestors]
    normalised = [node.outputs[0] for node in ancestors if node.op_type == "LayerNormalization"]
    tokens = (_as_tokens(model, value, maps) for value in (*entering, *normalised[:1]))
    return [layer for layer in tokens if layer is not None]


def _named(
    model: Canonical, name: str, nodes: Sequence[ir.Node], maps: Sequence[FeatureLayer]
) -> FeatureLayer:
    """Return the layer of a given name. Raises SettingError."""
    every = list(model.graph)
    by_name = {value.name: value for node in every for value in node.outputs if value.name}
    by_name = {node.name: node.outputs[0] for node in every if node.name} | by_name
    value = by_name.get(name)
    if value is None:
        passed = {node.name for node in nodes} | {value.name for node in nodes for value in node.outputs}
        near = difflib.get_close_matches(
            name, [known for known in by_name if known in passed], n=6, cutoff=0.3
        )
        raise SettingError(
            f"the model has no layer {name!r}",
            where="feature_layer",
            hint="give the name of a value or node of the model as the exporter sees it, or auto",
            choices=[*near, "auto", "none"],
        )
    spatial = [layer.name for layer in maps[-6:]]
    if value.producer() not in nodes or value is model.graph.outputs[0]:
        raise SettingError(
            f"{name!r} does not lie between the image and the score",
            where="feature_layer",
            choices=[*spatial, "auto", "none"],
        )
    layer = _as_map(model, value) or _as_tokens(model, value, maps)
    if layer is None:
        raise SettingError(
            f"{name!r} has shape {value.shape}, which is no map: neither [N, F, h, w] nor [N, h, w, F] nor "
            "tokens [N, L, D] with L (or L − 1) = h·w",
            where="feature_layer",
            hint="choose an activation in front of the pooling",
            choices=[*spatial, "auto", "none"],
        )
    return layer


def _layer(value: ir.Value, layout: FeatureLayout, shape: tuple[int, int, int]) -> FeatureLayer:
    features, height, width = shape
    producer = value.producer()
    return FeatureLayer(
        name=value.name or "",
        operator="" if producer is None else producer.op_type,
        layout=layout,
        features=features,
        height=height,
        width=width,
    )


def _is_float(value: ir.Value) -> bool:
    return value.dtype is not None and value.dtype.is_floating_point()
