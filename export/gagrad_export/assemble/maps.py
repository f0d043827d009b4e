"""``maps``: the running statistics → the maps of the other gradient methods, all at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gagrad_export.assemble.graph import add_input, finish, new_graph

if TYPE_CHECKING:
    import onnx_ir as ir


def maps_graph(shape: tuple[int, int, int]) -> bytes:
    """Return the ONNX bytes of ``maps`` for images of ``shape = (C, H, W)``.

    As ``gagrad_edge.method.reference.state_maps``: ``maps [4, H, W]``, not scaled, in the order of
    ``gagrad_edge.method.reference.STATE_MAPS``. All are sums over the channels that cost less than a copy of
    the state, so one graph gives them all. ``times [C, H, W]`` multiplies the mean gradient: ones, or
    what the gradient is to be attributed to (the input, or its distance from a baseline).
    """
    op = new_graph("maps")
    count = add_input(op, "count", [])
    abs_sum, mean, m2, times = (add_input(op, name, shape) for name in ("abs_sum", "mean", "m2", "times"))
    squares = op.Add(op.Div(m2, count), op.Mul(mean, mean))
    variance = op.Div(m2, op.Max(op.Sub(count, 1.0), 1.0))
    per_channel: list[ir.Value] = [op.Div(abs_sum, count), op.Abs(op.Mul(mean, times)), squares, variance]
    sums = [op.ReduceSum(values, [0], keepdims=1) for values in per_channel]
    return finish(op, {"maps": op.Concat(*sums, axis=0)})
