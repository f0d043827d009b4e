"""What passes from ``predict`` to ``cam`` where one forward pass serves both: a cut through the network.

The activations of the feature layers, and beside them what reaches the scores past these layers, such as the
residual stream of a vision transformer, whose feature layer is behind a normalisation.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import onnx_ir as ir

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gagrad_edge.abi import Shape
    from gagrad_edge.manifest import FeatureLayer
    from gagrad_export.canonicalise import Canonical

MOST = 4
"""Largest ratio of the numbers that pass beside the activations to those of the activations. A device holds
them from one question to the next, and each is copied once."""


class Passed(NamedTuple):
    """A value of the canonical model that passes from ``predict`` to ``cam``."""

    name: str
    shape: Shape
    """Without the batch."""


def passing(
    model: Canonical, layers: Sequence[FeatureLayer], finer: FeatureLayer | None = None
) -> tuple[Passed, ...]:
    """Return what passes, the activations first: of ``layers``, or of ``finer``, which is in front of them.

    Empty where a cut would not do: the scores depend on the image itself past the activations, or on values
    whose sizes are not known, or on too many numbers.
    """
    graph = model.graph
    named = {value.name: value for node in graph for value in node.outputs}
    cut = [named[layer.name] for layer in (layers if finer is None else [finer])]
    beside = _beside(graph, cut)
    found = [_passed(value) for value in (*cut, *beside)]
    passed = tuple(one for one in found if one is not None)
    sizes = [math.prod(map(int, one.shape)) for one in passed]
    if len(passed) < len(found) or sum(sizes[len(cut) :]) > MOST * sum(sizes[: len(cut)]):
        return ()
    return passed


def _beside(graph: ir.Graph, cut: Sequence[ir.Value]) -> list[ir.Value]:
    """Return what is computed from the image, but not from ``cut``, and read by what is computed from it."""
    of_image, of_cut = _computed_from(graph, graph.inputs), _computed_from(graph, cut)
    found: dict[ir.Value, None] = {}
    waiting, seen = list(graph.outputs), set(graph.outputs)
    while waiting:
        value = waiting.pop()
        if value in cut or value not in of_image:
            continue
        if value not in of_cut:
            found[value] = None
            continue
        node = value.producer()
        new = [] if node is None else [one for one in node.inputs if one is not None and one not in seen]
        seen.update(new)
        waiting += new
    return sorted(found, key=lambda value: value.name or "")


def _computed_from(graph: ir.Graph, values: Sequence[ir.Value]) -> set[ir.Value]:
    """Return ``values`` and everything that is computed from them."""
    found = set(values)
    for node in graph:  # in the order of computation
        if any(value in found for value in node.inputs):
            found.update(node.outputs)
    return found


def _passed(value: ir.Value) -> Passed | None:
    """Return a value of each row of the batch; None for another one, and for the image."""
    if value.producer() is None or value.dtype != ir.DataType.FLOAT or value.shape is None:
        return None
    batch, *sizes = value.shape
    known = [size for size in sizes if isinstance(size, int)]
    if isinstance(batch, int) or len(known) < len(sizes) or not sizes:
        return None
    return Passed(value.name or "", tuple(known))
