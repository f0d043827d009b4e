"""``combine``: the states of the two halves of the samples → the state of all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gagrad_export.assemble.graph import add_input, finish, new_graph

if TYPE_CHECKING:
    import onnx_ir as ir

    from gagrad_export.emit import Op


def combine_graph(shape: tuple[int, int, int]) -> bytes:
    """Return the ONNX bytes of ``combine`` for images of ``shape = (C, H, W)``.

    As ``gagrad_edge.method.reference.combine``: the sums add up, the means and squared deviations merge by
    Chan's
    pairwise update. A half may be empty (all zeros).
    """
    op = new_graph("combine")
    first, second = (_state(op, prefix, shape) for prefix in ("first_", "second_"))
    total = op.Add(first["count"], second["count"])
    share = op.Div(second["count"], op.Max(total, 1.0))
    delta = op.Sub(second["mean"], first["mean"])
    between = op.Mul(op.Mul(delta, delta), op.Mul(first["count"], share))
    state = {
        "count": total,
        "abs_sum": op.Add(first["abs_sum"], second["abs_sum"]),
        "mean": op.Add(first["mean"], op.Mul(delta, share)),
        "m2": op.Add(op.Add(first["m2"], second["m2"]), between),
    }
    return finish(op, state)


def _state(op: Op, prefix: str, shape: tuple[int, int, int]) -> dict[str, ir.Value]:
    shapes = {"count": (), "abs_sum": shape, "mean": shape, "m2": shape}
    return {name: add_input(op, prefix + name, size) for name, size in shapes.items()}
