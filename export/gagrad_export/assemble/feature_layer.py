"""Choice of the feature layer: the intermediate activation at which class activation maps are taken.

The usual choice is the last map of features ``[F, h, w]``: later activations have no positions, and earlier
ones know less of the class. What a map is, is read from the graph (``positions/follow.py``): its cells lie
where they see the image, it has more than one feature, weights stand in front of it and behind it.

On each path from image to score the last map is taken. In most networks that is one and the same map. In a
detector it is one for each scale: the maps together lie on every path. Where the image reaches the score
beside all maps, there is no layer.

In a vision transformer that reads a class token, the patch tokens of the last block do not reach the score.
So the tokens that the last block's attention reads are taken (``blocks[-1].norm1`` in pytorch-grad-cam).

Where the cells of that one map are large, the last map with cells of half their sides is taken beside it: of
a feature that is absent, the coarse cell says that it is near, and the finer one where (docs/where.md).
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gagrad_edge.errors import SettingError
from gagrad_edge.manifest import FeatureLayer, FeatureLayout
from gagrad_export.assemble.positions.axes import Axis, Grid, Line
from gagrad_export.assemble.positions.paths import Paths
from gagrad_export.emit import static_shape

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import onnx_ir as ir

    from gagrad_export.canonicalise import Canonical

    Layers = Mapping[ir.Value, FeatureLayer]

COARSE = 20
"""Number of cells along a side from which a map is fine enough by itself."""
MOST_LAYERS = 16
"""More maps than a detector has scales and branches are no choice any more."""


@dataclass(frozen=True)
class FeatureChoice:
    """The layers, largest map first, and why these; none, and why there is none."""

    layers: tuple[FeatureLayer, ...]
    why: str
    """A sentence for people."""
    finer: FeatureLayer | None = None
    """The finer layer in front of the one layer, where its cells are large."""


def choose_feature_layers(model: Canonical, choice: str | None) -> FeatureChoice:
    """Return the layers at which class activation maps are taken.

    ``choice`` is ``auto``, None for no layer, or the name of a value or of a node of the canonical model;
    several names, separated by commas, are several scales. Raises SettingError for a name that does not
    exist, is no map, or does not lie between image and score.
    """
    if choice is None:
        return FeatureChoice((), "no class activation maps: none were asked for")
    paths = Paths(model.graph)
    maps = _maps(model, paths)
    if choice != "auto":
        named = _named(model, choice, paths, maps)
        why = f"class activation maps of {len(named)} layers that were named are added"
        return FeatureChoice(named, why, _finer(paths, maps, named))
    inner = {value: layer for value, layer in maps.items() if value in paths.in_front_of_weights}
    for among in (inner, maps):
        found, everywhere = paths.last(among)
        if found and everywhere:
            found = _late(paths, maps, _one_of_each_grid(paths, among, found))
            if len(found) > MOST_LAYERS:
                return FeatureChoice(
                    (), _none(f"only {len(found)} maps together lie on every path to the score")
                )
            layers = _sorted(maps[value] for value in found)
            return FeatureChoice(layers, _why([maps[v] for v in found]), _finer(paths, maps, layers))
    if not maps:
        return FeatureChoice(
            (),
            _none("no value between image and score has the image's rows and columns and several features"),
        )
    last = max(maps, key=paths.order.__getitem__)
    return FeatureChoice(
        (),
        _none(
            f"part of the image reaches the score beside every map of features (the last is {last.name!r})"
        ),
    )


def _none(reason: str) -> str:
    return f"no class activation maps: {reason}; name a layer with `feature_layer`"


def _why(layers: Sequence[FeatureLayer]) -> str:
    if len(layers) > 1:
        return (
            f"class activation maps of {len(layers)} layers are added: together they lie on every path from "
            "image to score, and each is the last map on its paths"
        )
    kind = "patch tokens" if layers[0].layout == "tokens" else "map of features"
    return f"the last {kind} on every path from image to score"


def _sorted(layers: Iterable[FeatureLayer]) -> tuple[FeatureLayer, ...]:
    return tuple(sorted(layers, key=lambda layer: -layer.height * layer.width))


def _finer(paths: Paths, maps: Layers, layers: Sequence[FeatureLayer]) -> FeatureLayer | None:
    """Return the last map with cells of half the sides of those of the one layer, on every path to it.

    None for several layers, where the cells are small enough, and where no such map lies on every path.
    """
    if len(layers) != 1 or min(layers[0].height, layers[0].width) >= COARSE:
        return None
    coarse = layers[0]
    end = next((value for value, layer in maps.items() if layer.name == coarse.name), None)
    if end is None:
        return None
    for value in sorted(maps, key=paths.order.__getitem__, reverse=True):
        layer = maps[value]
        if layer.height < 2 * coarse.height or layer.width < 2 * coarse.width or layer.layout == "tokens":
            continue
        if paths.order[value] < paths.order[end] and paths.covers(value, end):
            return layer
    return None


def _one_of_each_grid(paths: Paths, maps: Layers, found: Sequence[ir.Value]) -> list[ir.Value]:
    """Return ``found`` with one map in place of several of one grid, where one lies on every path to these.

    Such as the map that the heads for classes and boxes both read, or tokens with and without positions.
    """
    result: list[ir.Value] = []
    grids = dict.fromkeys((maps[value].height, maps[value].width) for value in found)
    for grid in grids:
        alike = [value for value in found if (maps[value].height, maps[value].width) == grid]
        if len(alike) > 1:
            shared = (
                value
                for value in sorted(maps, key=paths.order.__getitem__, reverse=True)
                if (maps[value].height, maps[value].width) == grid
                and all(value is other or paths.covers(value, other) for other in alike)
            )
            one = next(shared, None)
            alike = alike if one is None else [one]
        result += alike
    return result


def _late(paths: Paths, maps: Layers, found: list[ir.Value]) -> list[ir.Value]:
    """Return ``found``, or the last map that lies on every path, where one of ``found`` is in front of it.

    Such as the patches whose squares, in a distance from stored patches, reach the score without weights.
    """
    on_all = (
        value for value in reversed(list(maps)) if value in paths.weights_behind and paths.covers(value)
    )
    one = next(on_all, None)
    if one is None or not any(value is not one and paths.lies_in_front(value, one) for value in found):
        return found
    return [one]


def _maps(model: Canonical, paths: Paths) -> dict[ir.Value, FeatureLayer]:
    """Return every value that is a map of features and whose cells reach the score, first to last."""
    found: dict[ir.Value, FeatureLayer] = {}
    projections: set[ir.Value] = set()
    for value in paths.order:
        layer = None
        if value in paths.behind_weights and value in paths.live and value not in model.graph.outputs:
            layer = _as_layer(model, value, paths)
        if layer is None:
            continue
        # Queries, keys and values are the tokens in front of them, laid out for one reader.
        if layer.layout == "tokens" and _is_projection(value, paths, found, projections):
            projections.add(value)
        else:
            found[value] = layer
    return found


def _is_projection(value: ir.Value, paths: Paths, maps: Layers, projections: set[ir.Value]) -> bool:
    """Tell whether ``value`` is a matrix product of tokens by weights, and a bias."""
    node = value.producer()
    if node is None:
        return False
    read = [given for given in node.inputs if given in paths.order]
    if node.op_type == "MatMul":
        return len(read) == 1 and any(given in maps for given in read)
    return node.op_type == "Add" and len(read) == 1 and read[0] in projections


def _as_layer(model: Canonical, value: ir.Value, paths: Paths) -> FeatureLayer | None:
    """Return ``value`` as a map ``[N, F, h, w]``, ``[N, h, w, F]`` or tokens ``[N, L, F]``, or None."""
    if value.shape is None or value.dtype is None or not value.dtype.is_floating_point():
        return None
    batch, *dims = static_shape(value)
    axes = paths.axes.get(value, (None,))[1:]
    if batch is not None or None in dims or not any(axes):
        return None
    sizes = [dim or 0 for dim in dims]
    layout: FeatureLayout
    match [*axes]:
        case [None, rows, columns] if not isinstance(rows or columns, Grid):
            layout, lines, shape = "channels-first", (rows, columns), (sizes[0], sizes[1], sizes[2])
        case [rows, columns, None] if not isinstance(rows or columns, Grid):
            layout, lines, shape = "channels-last", (rows, columns), (sizes[2], sizes[0], sizes[1])
        case [Grid() as grid, None] if grid.after == 0:
            layout, lines, shape = "tokens", (grid.rows, grid.columns), (sizes[1], grid.height, grid.width)
        case [Line() as columns, None]:
            layout, lines, shape = "tokens", (None, columns), (sizes[1], 1, sizes[0])
        case _:
            return None
    features, height, width = shape
    if features < 2 or height * width < 2 or shape == model.input_shape:
        return None
    image = model.input_shape[1:]
    directions = zip(lines, ("rows", "columns"), (height, width), image, strict=True)
    if not all(_lies_on_the_image(*direction) for direction in directions):
        return None
    producer = value.producer()
    return FeatureLayer(
        name=value.name or "",
        operator="" if producer is None else producer.op_type,
        layout=layout,
        features=features,
        height=height,
        width=width,
    )


def _lies_on_the_image(axis: Axis, along: str, size: int, extent: int) -> bool:
    """Tell whether ``size`` cells lie, to less than a cell, where they do when they share the image."""
    if size == 1:
        return True
    if not isinstance(axis, Line) or axis.along != along:
        return False
    return max(abs(axis.start), abs(axis.start + size * axis.step - extent)) < extent / size


def _named(model: Canonical, choice: str, paths: Paths, maps: Layers) -> tuple[FeatureLayer, ...]:
    """Return the layers of the given names. Raises SettingError."""
    every = list(model.graph)
    by_name = {value.name: value for node in every for value in node.outputs if value.name}
    by_name = {node.name: node.outputs[0] for node in every if node.name} | by_name
    names = [choice] if choice in by_name else [name.strip() for name in choice.split(",")]
    return _sorted(_one_named(model, name, by_name, paths, maps) for name in dict.fromkeys(names))


def _one_named(
    model: Canonical, name: str, by_name: Mapping[str, ir.Value], paths: Paths, maps: Layers
) -> FeatureLayer:
    value = by_name.get(name)
    if value is None:
        passed = {node.name for node in paths.nodes} | {value.name for value in paths.order}
        known = [known for known in by_name if known in passed]
        raise SettingError(
            f"the model has no layer {name!r}",
            where="feature_layer",
            hint="give the name of a value or node of the model as the exporter sees it, or auto",
            choices=[*difflib.get_close_matches(name, known, n=6, cutoff=0.3), "auto", "none"],
        )
    spatial = [layer.name for layer in maps.values()][-6:]
    if value not in paths.order or value in model.graph.outputs:
        raise SettingError(
            f"{name!r} does not lie between the image and the score",
            where="feature_layer",
            choices=[*spatial, "auto", "none"],
        )
    layer = _as_layer(model, value, paths)
    if layer is None:
        raise SettingError(
            f"{name!r} has shape {value.shape}, which is no map of several features with cells on the image",
            where="feature_layer",
            hint="choose an activation in front of the pooling",
            choices=[*spatial, "auto", "none"],
        )
    return layer
