"""Check of ``cam``: its gradient along segments at the feature layer, and its maps against numpy."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from gagrad_edge.abi import COTANGENT, IMAGE
from gagrad_edge.errors import VerificationError
from gagrad_edge.method.class_activation import CAMS, class_activation_maps
from gagrad_edge.method.noise import noise_chunks
from gagrad_export.assemble.cam import DELTA, cam_probe_graph
from gagrad_export.emit import Op
from gagrad_export.verify.double import NotInDoubleError, in_double
from gagrad_export.verify.float_twin import float_twin
from gagrad_export.verify.gradient import NOISE_STD, SEGMENT_TOLERANCE, VANISHED, Point
from gagrad_export.verify.sessions import open_session
from gagrad_export.verify.smoothness import is_smooth

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from gagrad_edge.manifest import FeatureLayer, InputSpec
    from gagrad_export.canonicalise import Canonical

    Array = NDArray[np.float32]
    Probe = Callable[[Array, Array], tuple[Array, Array, Array]]

MAPS_TOLERANCE = 1e-4
"""On the maps' difference, relative to their largest value: sums of a few thousand float32 products."""

_ROWS, _SEGMENTS, _REACHES = 2, 3, (1e-3, 1e-2, 1e-1)
"""Batch of the maps, segments of the gradient, and lengths of a segment relative to the range of the
activation; the longer ones are for a graph that cannot be run in float64."""
_POINTS, _SMOOTH_POINTS, _AT_ONCE = 32, 7, 9
"""Points of a segment, in a network with kinks and without, and points that are run in one batch.

With 8 points, a global maximum behind the layer, whose gradient jumps from cell to cell, would look wrong; a
network without kinks needs few.
"""


def verify_class_activation(
    graph: bytes, model: Canonical, spec: InputSpec, layer: FeatureLayer, point: Point
) -> None:
    """Check the bytes of ``cam`` on noisy samples of an image. Raises VerificationError.

    A second graph, made by the same rules, gives activation and gradient. The maps are compared with numpy's
    maps of these, and this gradient with the change of the scores when the activation moves along segments.
    """
    (noise,) = noise_chunks(3, _ROWS, _ROWS, point.image.shape[1:])
    deviation = np.reshape(np.asarray(spec.std, np.float32), (1, -1, 1, 1))
    image = point.image + noise * (np.float32(NOISE_STD) * point.spread) * deviation
    _, cams = open_session(graph, "cam").run(None, {IMAGE: image, COTANGENT: point.cotangent})
    _require(
        cams.shape == (len(CAMS), _ROWS, layer.height, layer.width) and bool(np.isfinite(cams).all()),
        f"the maps at {layer.name!r} have shape {cams.shape}, or are not finite",
    )
    probe_graph = cam_probe_graph(model, spec, layer)
    probe = _probe(probe_graph, point)
    _, features, gradients = probe(image, np.zeros((_ROWS, *_shape(layer)), np.float32))
    _require(
        float(np.abs(gradients).max()) > VANISHED,
        f"the score does not change with {layer.name!r} on an ordinary image",
    )
    error = _largest(cams, class_activation_maps(features, gradients))
    _require(error <= MAPS_TOLERANCE, f"the maps at {layer.name!r} differ from the reference by {error:.1e}")
    if model.straight_through:
        twin = float_twin(_held_by_an_identity(model, layer))
        probe_graph = cam_probe_graph(twin, spec, layer)
        probe = _probe(probe_graph, point)
    points = _SMOOTH_POINTS if is_smooth(model.operators) else _POINTS
    error = _gradient_error(probe_graph, probe, image[:1], features[:1], point, points)
    _require(error <= SEGMENT_TOLERANCE, f"the gradient at {layer.name!r} is off by {error:.1e}")


def _probe(graph: bytes, point: Point) -> Probe:
    session = open_session(graph, "cam_probe")

    def run(image: Array, delta: Array) -> tuple[Array, Array, Array]:
        scores, features, gradients = session.run(
            None, {IMAGE: image, DELTA: delta, COTANGENT: point.cotangent}
        )
        return scores, features, gradients

    return run


def _held_by_an_identity(model: Canonical, layer: FeatureLayer) -> Canonical:
    """Return ``model`` with an Identity behind the layer that takes its name.

    The twin has other nodes in place of the quantisers, and the layer may be the output of a quantiser.
    """
    graph = model.graph.clone()
    value = next(value for node in graph for value in node.outputs if value.name == layer.name)
    users = list(value.uses())
    value.name = f"{layer.name}/held"
    held = Op(graph, "held").Identity(value)
    held.name = layer.name
    for use in users:
        use.node.replace_input_with(use.idx, held)
    graph.sort()
    return replace(model, graph=graph)


def _gradient_error(
    graph: bytes, probe: Probe, image: Array, features: Array, point: Point, points: int
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
                delta = np.zeros_like(features)
                known = {IMAGE: image, DELTA: delta}, probe(image, delta)[0]
                double = in_double(graph, like=known)
                return _along_segments(probe, image, features, point, points, reach, double)
            except NotInDoubleError:
                continue
    return error


def _along_segments(
    probe: Probe,
    image: Array,
    features: Array,
    point: Point,
    points: int,
    reach: float,
    double: Callable[[dict[str, Any]], NDArray[np.float64]] | None = None,
) -> float:
    """Return the median mismatch over segments; the scores at the ends come from ``double`` if it is given.

    Once more than half of the segments agree, so does the median: then an upper bound of it is returned.
    """
    ticks = np.concatenate([(np.arange(points) + 0.5) / points * 2 - 1, [-1, 1]]).astype(np.float32)
    rows = np.repeat(image, _AT_ONCE, axis=0)
    step = reach * float(np.ptp(features))
    mismatches: list[float] = []
    for (direction,) in noise_chunks(4, _SEGMENTS, 1, features.shape[1:]):
        parts = []
        for some in np.array_split(ticks, -(-len(ticks) // _AT_ONCE)):
            deltas = some.reshape(-1, 1, 1, 1) * (direction * np.float32(step))
            parts.append(probe(rows[: len(some)], deltas))
        scores, gradients = (np.concatenate([part[index] for part in parts]) for index in (0, 2))
        ends = scores[points:].astype(np.float64)
        if double is not None:
            moved = np.array([-1.0, 1.0]).reshape(-1, 1, 1, 1) * (direction.astype(np.float64) * step)
            ends = double({IMAGE: rows[:2], DELTA: moved})
        values = np.tensordot(ends, point.cotangent[0].astype(np.float64), ends.ndim - 1)
        gradient = gradients[:points].astype(np.float64).mean(axis=0)
        predicted = float(np.vdot(gradient, direction)) * step
        scale = step * float(np.linalg.norm(gradient))
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
            f"{what}, so nothing was written",
            where="class activation maps",
            hint="choose another layer with `feature_layer`, or leave these maps out with "
            "`feature_layer=None`",
        )
