"""``combine``: the states of the two halves of the samples → the state of all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gagrad_edge.abi import ABS_SUM, COUNT, FIRST, M2, MEAN, SECOND, STATE, Sizes
from gagrad_export.assemble.graph import finish_graph, start_graph

if TYPE_CHECKING:
    from gagrad_edge.bundle.graph_file import GraphFile


def combine_graph(shape: tuple[int, int, int]) -> GraphFile:
    """Return the graph ``combine`` for images of ``shape = (C, H, W)``.

    As ``gagrad_edge.method.reference.combine``: the sums add up, the means and squared deviations merge by
    Chan's pairwise update. A half may be empty (all zeros).
    """
    sizes = Sizes(shape)
    op, inputs = start_graph("combine", sizes)
    first, second = ({name: inputs[names[name]] for name in STATE} for names in (FIRST, SECOND))
    total = op.Add(first[COUNT], second[COUNT])
    share = op.Div(second[COUNT], op.Max(total, 1.0))
    delta = op.Sub(second[MEAN], first[MEAN])
    between = op.Mul(op.Mul(delta, delta), op.Mul(first[COUNT], share))
    state = {
        COUNT: total,
        ABS_SUM: op.Add(first[ABS_SUM], second[ABS_SUM]),
        MEAN: op.Add(first[MEAN], op.Mul(delta, share)),
        M2: op.Add(op.Add(first[M2], second[M2]), between),
    }
    return finish_graph(op, "combine", sizes, state)
