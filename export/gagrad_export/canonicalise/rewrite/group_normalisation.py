"""GroupNormalization as InstanceNormalization of its groups, which is what PyTorch exports too.

Before: ``GroupNormalization(x, γ, β)``. After: ``Reshape(x, [0, groups, −1])``, InstanceNormalization and
``Reshape`` to the shape of x. Version 18 has a γ and β for each group: they are InstanceNormalization's own.
From version 21 there is one for each channel: they follow, on ``[0, channels, −1]``.

Because: onnx infers no shape for GroupNormalization, its checker refuses version 18 as deprecated, and
ONNX Runtime has no CPU kernel for it and would expand it to a dozen nodes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from gagrad_export.emit import attribute, operand

if TYPE_CHECKING:
    from numpy.typing import NDArray


OPERATORS = ("GroupNormalization",)


def replace_group_normalisation(graph: ir.Graph) -> None:
    """Rewrite every GroupNormalization in the graph."""
    per_channel = graph.opset_imports[""] >= 21
    for node in [node for node in graph if node.domain == "" and node.op_type in OPERATORS]:
        tape = ir.tape.Tape(graph)
        result = _instance_normalisation(tape, node, per_channel=per_channel)
        ir.convenience.replace_nodes_and_values(graph, node, [node], tape.nodes, [node.outputs[0]], [result])


def _instance_normalisation(tape: ir.tape.Tape, node: ir.Node, *, per_channel: bool) -> ir.Value:
    x, gamma, beta = (operand(node, i) for i in range(3))
    groups = attribute(node, "num_groups")
    prefix = f"{node.outputs[0].name}/group_normalisation"

    def constant(kind: str, array: NDArray[Any]) -> ir.Value:
        return tape.initializer(ir.tensor(array, name=f"{prefix}/{kind}"))

    grouped = tape.op("Reshape", [x, constant("grouped", np.array([0, groups, -1]))])
    dtype = (gamma.dtype or ir.DataType.FLOAT).numpy()
    scale, shift = gamma, beta
    if per_channel:
        scale, shift = constant("one", np.ones(groups, dtype)), constant("zero", np.zeros(groups, dtype))
    epsilon = {"epsilon": attribute(node, "epsilon", 1e-5)}
    y = tape.op("InstanceNormalization", [grouped, scale, shift], epsilon)
    if per_channel:
        column = constant("column", np.array([-1, 1]))
        ends = constant("batch", np.array([0])), constant("pixels", np.array([-1]))
        shape = tape.op("Concat", [ends[0], tape.op("Shape", [gamma]), ends[1]], {"axis": 0})
        y = tape.op("Mul", [tape.op("Reshape", [y, shape]), tape.op("Reshape", [gamma, column])])
        y = tape.op("Add", [y, tape.op("Reshape", [beta, column])])
    return tape.op("Reshape", [y, tape.op("Shape", [x])])
