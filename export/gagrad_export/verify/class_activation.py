"""Check of ``cam``: its gradient along segments at the feature layer, and its maps against numpy."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from gagrad_edge.abi import CAMS as CAMS_OUTPUT
from gagrad_edge.abi import COTANGENT, FEATURES, IMAGE, SCORES, is_feature
from gagrad_edge.errors import VerificationError
from gagrad_edge.manifest import GraphKey
from gagrad_edge.method.class_activation import CAMS, added_levels, class_activation_maps
from gagrad_edge.method.noise import noise_chunks
from gagrad_export.assemble.cam import DELTA, cam_probe_graph
from gagrad_export.emit import Op
from gagrad_export.verify.double import NotInDoubleError, in_double
from gagrad_export.verify.float_twin import float_twin
from gagrad_export.verify.gradient import NOISE_STD, SEGMENT_TOLERANCE, VANISHED, Point
from gagrad_export.verify.sessions import open_session
from gagrad_export.verify.smoothness import is_smooth

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from gagrad_edge.bundle.graph_file import GraphFile
    from gagrad_edge.input import InputSpec
    from gagrad_edge.manifest import FeatureLayer
    from gagrad_export.canonicalise import Canonical
    from gagrad_export.verify.sessions import Session

    Array = NDArray[np.float32]
    Probe = Callable[[Array, Sequence[Array]], tuple[Array, list[Array], list[Array]]]

MAPS_TOLERANCE = 1e-4
"""On the maps' difference, relative to their largest value: sums of a few thousand float32 products."""

_OWN_ERROR_LIMIT = 1e-2
"""Largest difference that a network's own rounding may excuse. One whose activations lie within rounding of
many kinks has other maps from the same graph without the engine's optimisations: nobody could meet those."""

_ROWS, _SEGMENTS, _REACHES = 2, 3, (1e-3, 1e-2, 1e-1)
"""Batch of the maps, segments of the gradient, and lengths of a segment relative to the range of the
activation; the longer ones are for a graph that cannot be run in float64."""
_POINTS, _SMOOTH_POINTS, _AT_ONCE = 32, 7, 9
"""Points of a segment, in a network with kinks and without, and points that are run in one batch.

With 8 points, a global maximum behind the layer, whose gradient jumps from cell to cell, would look wrong; a
network without kinks needs few.
"""


def verify_class_activation(
    graph: GraphFile,
    model: Canonical,
    spec: InputSpec,
    layers: Sequence[FeatureLayer],
    point: Point,
    output: str = CAMS_OUTPUT,
) -> None:
    """Check the maps ``output`` of ``cam``, at ``layers``, on noisy samples. Raises VerificationError.

    A second graph, made by the same rules, gives activations and gradients. The maps are compared with
    numpy's maps of these, and these gradients with the change of the scores when the activations move along
    segments. Several layers are checked on a target of all scores, too: one score may depend on one layer.
    """
    image = _noisy(spec, point)
    points = [point]
    if len(layers) > 1:
        every = np.random.default_rng(5).standard_normal(point.cotangent.shape).astype(np.float32)
        points.append(replace(point, cotangent=every))
    names = ", ".join(repr(layer.name) for layer in layers)
    probe_graph = cam_probe_graph(model, spec, layers)
    probed = open_session(probe_graph, "cam_probe")
    for asked in points:
        (cams,) = open_session(graph, "cam").run([output], {IMAGE: image, COTANGENT: asked.cotangent})
        _require(
            cams.shape == (len(CAMS), _ROWS, layers[0].height, layers[0].width)
            and bool(np.isfinite(cams).all()),
            f"the maps at {names} have shape {cams.shape}, or are not finite",
        )
        _, features, gradients = _probe(probed, asked)(image, _zeros(layers, _ROWS))
        levels = _levels(features, gradients)
        error = _largest(cams, added_levels(levels))
        if error > MAPS_TOLERANCE:
            plain = open_session(probe_graph, "cam_probe", as_written=True)
            _, *others = _probe(plain, asked)(image, _zeros(layers, _ROWS))
            own = _largest(added_levels(_levels(*others)), added_levels(levels))
            _require(
                error <= min(own, _OWN_ERROR_LIMIT),
                f"the maps at {names} differ from the reference by {error:.1e}, "
                f"and the reference from itself with other rounding by {own:.1e}",
            )
    for layer, gradient in zip(layers, gradients, strict=True):
        _require(
            float(np.abs(gradient).max()) > VANISHED,
            f"the score does not change with {layer.name!r} on an ordinary image",
        )
    if model.straight_through:
        twin = float_twin(_held_by_identities(model, layers))
        probe_graph = cam_probe_graph(twin, spec, layers)
        probed = open_session(probe_graph, "cam_probe")
    count = _SMOOTH_POINTS if is_smooth(model.operators) else _POINTS
    first = [values[:1] for values in features]
    error = _gradient_error(probe_graph, _probe(probed, points[-1]), image[:1], first, points[-1], count)
    _require(error <= SEGMENT_TOLERANCE, f"the gradient at {names} is off by {error:.1e}")


def sharing_refuted(graphs: Mapping[GraphKey, GraphFile], spec: InputSpec, point: Point) -> str:
    """Return why ``predict`` and ``cam`` cannot share a forward pass though there are graphs; else empty.

    The scores and maps of the pair are compared with those of ``cam``, which was checked.
    """
    pair = [GraphKey(role, FEATURES) for role in ("predict", "cam")]
    if not all(key in graphs for key in pair):
        return ""
    image, cotangent = _noisy(spec, point), {COTANGENT: point.cotangent}
    whole = _run(graphs[GraphKey("cam")], {IMAGE: image, **cotangent})
    first = _run(graphs[pair[0]], {IMAGE: image})
    features = {name: values for name, values in first.items() if is_feature(name)}
    second = _run(graphs[pair[1]], {**features, **cotangent})
    scale = max(float(np.ptp(whole[SCORES])), VANISHED)
    error = float(np.abs(first[SCORES] - whole[SCORES]).max()) / scale
    error = max([error, *(_largest(maps, whole[name]) for name, maps in second.items())])
    if error <= MAPS_TOLERANCE:
        return ""
    return f"class activation takes a forward pass of its own: with a shared one it is off by {error:.1e}"


def _run(graph: GraphFile, inputs: dict[str, Array]) -> dict[str, Array]:
    session = open_session(graph, "cam")
    return dict(zip(session.outputs, session.run(None, inputs), strict=True))


def _noisy(spec: InputSpec, point: Point) -> Array:
    """Return ``_ROWS`` noisy copies of the image of ``point``."""
    (noise,) = noise_chunks(3, _ROWS, _ROWS, point.image.shape[1:])
    deviation = np.reshape(np.asarray(spec.std, np.float32), (1, -1, 1, 1))
    noisy: Array = point.image + noise * (np.float32(NOISE_STD) * point.spread) * deviation
    return noisy


def _levels(features: Sequence[Array], gradients: Sequence[Array]) -> list[Array]:
    return [class_activation_maps(a, g) for a, g in zip(features, gradients, strict=True)]


def _probe(session: Session, point: Point) -> Probe:
    def run(image: Array, deltas: Sequence[Array]) -> tuple[Array, list[Array], list[Array]]:
        feeds = {f"{DELTA}_{i}": delta for i, delta in enumerate(deltas)}
        scores, *rest = session.run(None, {IMAGE: image, COTANGENT: point.cotangent, **feeds})
        return scores, rest[: len(deltas)], rest[len(deltas) :]

    return run


def _zeros(layers: Sequence[FeatureLayer], rows: int) -> list[Array]:
    return [np.zeros((rows, *_shape(layer)), np.float32) for layer in layers]


def _held_by_identities(model: Canonical, layers: Sequence[FeatureLayer]) -> Canonical:
    """Return ``model`` with an Identity behind each layer that takes its name.

    The twin has other nodes in place of the quantisers, and the layer may be the output of a quantiser.
    """
    graph = model.graph.clone()
    op = Op(graph, "held")
    for layer in layers:
        value = next(value for node in graph for value in node.outputs if value.name == layer.name)
        users = list(value.uses())
        value.name = f"{layer.name}/held"
        held = op.Identity(value)
        held.name = layer.name
        for use in users:
            use.node.replace_input_with(use.idx, held)
    graph.sort()
    return replace(model, graph=graph)


def _gradient_error(
    graph: GraphFile, probe: Probe, image: Array, features: Sequence[Array], point: Point, points: int
) -> float:
    """Return the mismatch along segments, in float64 where the rounding of float32 is too large.

    As ``verify.gradient.against_segments`` does.
    """
    for reach in _REACHES:
        error = _along_segments(probe, image, features, point, points, reach)
        if error <= SEGMENT_TOLERANCE:
            return error
        if reach == _REACHES[0]:
            try:
                deltas = [np.zeros_like(values) for values in features]
                feeds = {IMAGE: image, **{f"{DELTA}_{i}": delta for i, delta in enumerate(deltas)}}
                double = in_double(graph, like=(feeds, probe(image, deltas)[0]))
                return _along_segments(probe, image, features, point, points, reach, double)
            except NotInDoubleError:
                continue
    return error


def _along_segments(
    probe: Probe,
    image: Array,
    features: Sequence[Array],
    point: Point,
    points: int,
    reach: float,
    double: Callable[[dict[str, Any]], NDArray[np.float64]] | None = None,
) -> float:
    """Return the median mismatch over segments; the scores at the ends come from ``double`` if it is given.

    All layers move at once. Once more than half of the segments agree, so does the median: then an upper
    bound of it is returned.
    """
    ticks = np.concatenate([(np.arange(points) + 0.5) / points * 2 - 1, [-1, 1]]).astype(np.float32)
    rows = np.repeat(image, _AT_ONCE, axis=0)
    steps = [reach * float(np.ptp(values)) for values in features]
    mismatches: list[float] = []
    noise = [noise_chunks(4 + i, _SEGMENTS, 1, values.shape[1:]) for i, values in enumerate(features)]
    for chunks in zip(*noise, strict=True):
        directions = [chunk[0] for chunk in chunks]
        scores, gradients = [], []
        for some in np.array_split(ticks, -(-len(ticks) // _AT_ONCE)):
            at = some.reshape(-1, 1, 1, 1)
            deltas = [at * (to * np.float32(step)) for to, step in zip(directions, steps, strict=True)]
            part, _, found = probe(rows[: len(some)], deltas)
            scores.append(part)
            gradients.append(found)
        ends = np.concatenate(scores)[points:].astype(np.float64)
        if double is not None:
            at = np.array([-1.0, 1.0]).reshape(-1, 1, 1, 1)
            moved = [at * (to.astype(np.float64) * step) for to, step in zip(directions, steps, strict=True)]
            ends = double({IMAGE: rows[:2], **{f"{DELTA}_{i}": delta for i, delta in enumerate(moved)}})
        values = np.tensordot(ends, point.cotangent[0].astype(np.float64), ends.ndim - 1)
        predicted = scale = 0.0
        for to, step, parts in zip(directions, steps, zip(*gradients, strict=True), strict=True):
            gradient = np.concatenate(parts)[:points].astype(np.float64).mean(axis=0)
            predicted += float(np.vdot(gradient, to)) * step
            scale = math.hypot(scale, step * float(np.linalg.norm(gradient)))
        mismatch = abs((values[1] - values[0]) / 2 - predicted) / max(scale, VANISHED)
        mismatches.append(float(mismatch))
        agreeing = [mismatch for mismatch in mismatches if mismatch <= SEGMENT_TOLERANCE]
        if 2 * len(agreeing) > _SEGMENTS:
            return max(agreeing)
    return float(np.median(mismatches))


def _shape(layer: FeatureLayer) -> tuple[int, int, int]:
    return layer.features, layer.height, layer.width


def _largest(found: Array, expected: Array) -> float:
    """Return the largest difference of a map, relative to that map's largest value."""
    scales = np.maximum(np.abs(expected).max(axis=(1, 2, 3)), np.float32(VANISHED))
    return float((np.abs(found - expected).max(axis=(1, 2, 3)) / scales).max())


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise VerificationError(
            f"{what}, so they are not written",
            where="class activation maps",
            hint="choose another layer with `feature_layer`, or leave these maps out with "
            "`feature_layer=None`",
        )
