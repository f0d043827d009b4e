"""``maps``: the running statistics → the maps of the other gradient methods, all at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gagrad_edge.abi import ABS_SUM, COUNT, M2, MAPS, MEAN, MULTIPLIER, Sizes
from gagrad_export.assemble.graph import finish_graph, start_graph

if TYPE_CHECKING:
    import onnx_ir as ir

    from gagrad_edge.bundle.graph_file import GraphFile


def maps_graph(shape: tuple[int, int, int]) -> GraphFile:
    """Return the graph ``maps`` for images of ``shape = (C, H, W)``.

    As ``gagrad_edge.method.reference.state_maps``: ``[4, H, W]``, not scaled, in the order of
    ``gagrad_edge.method.reference.STATE_MAPS``. One graph gives all four: the sums over the channels cost
    less than a copy of the state. The multiplier ``[C, H, W]`` of the mean gradient is ones, or what the
    gradient is attributed to: the model input, or its difference from a baseline.
    """
    sizes = Sizes(shape)
    op, inputs = start_graph("maps", sizes)
    count, abs_sum, mean, m2, multiplier = (inputs[name] for name in (COUNT, ABS_SUM, MEAN, M2, MULTIPLIER))
    squares = op.Add(op.Div(m2, count), op.Mul(mean, mean))
    variance = op.Div(m2, op.Max(op.Sub(count, 1.0), 1.0))
    per_channel: list[ir.Value] = [
        op.Div(abs_sum, count),
        op.Abs(op.Mul(mean, multiplier)),
        squares,
        variance,
    ]
    sums = [op.ReduceSum(values, [0], keepdims=1) for values in per_channel]
    return finish_graph(op, "maps", sizes, {MAPS: op.Concat(*sums, axis=0)})
