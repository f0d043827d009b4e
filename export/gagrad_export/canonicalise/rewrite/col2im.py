"""Col2Im as a transposed convolution, which every engine has.

Before: ``Col2Im(x [N, C·K, L], image, block)``, which adds L patches of K elements into each channel.
After: ``Reshape(x, [0, 0, L…])``, L written as the grid of patches, and a ConvTranspose of C groups, in each
of which kernel k is 1 at element k of the patch and 0 elsewhere: y[s·l + d·k − p] += x[k, l].
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from gagrad_export.emit import attribute, constant_array, operand, static_shape

if TYPE_CHECKING:
    from numpy.typing import NDArray


OPERATORS = ("Col2Im",)


def replace_col2im(graph: ir.Graph) -> None:
    """Rewrite every Col2Im whose shapes are known; the graph's values have shapes."""
    for node in [node for node in graph if node.domain == "" and node.op_type in OPERATORS]:
        image, block = constant_array(node.inputs[1]), constant_array(node.inputs[2])
        columns = static_shape(operand(node, 0))[1]
        if image is None or block is None or columns is None:
            continue
        tape = ir.tape.Tape(graph)
        result = _transposed_convolution(tape, node, image.tolist(), block.tolist(), columns)
        ir.convenience.replace_nodes_and_values(graph, node, [node], tape.nodes, [node.outputs[0]], [result])


def _transposed_convolution(
    tape: ir.tape.Tape, node: ir.Node, image: list[int], block: list[int], columns: int
) -> ir.Value:
    x, rank, patch = operand(node, 0), len(image), math.prod(block)
    strides, dilations = (attribute(node, name, [1] * rank) for name in ("strides", "dilations"))
    pads = attribute(node, "pads", [0] * 2 * rank)
    room = [image[i] + pads[i] + pads[i + rank] - dilations[i] * (block[i] - 1) - 1 for i in range(rank)]
    grid = [space // stride + 1 for space, stride in zip(room, strides, strict=True)]
    prefix = f"{node.outputs[0].name}/col2im"

    def constant(kind: str, array: NDArray[np.generic]) -> ir.Value:
        return tape.initializer(ir.tensor(array, name=f"{prefix}/{kind}"))

    dtype = (x.dtype or ir.DataType.FLOAT).numpy()
    kernels = np.tile(np.eye(patch, dtype=dtype), (columns // patch, 1)).reshape(columns, 1, *block)
    patches = tape.op("Reshape", [x, constant("grid", np.array([0, 0, *grid]))])
    attributes = {
        "strides": strides,
        "dilations": dilations,
        "pads": pads,
        "group": columns // patch,
        # What lies behind the last whole step.
        "output_padding": [space % stride for space, stride in zip(room, strides, strict=True)],
    }
    return tape.op("ConvTranspose", [patches, constant("kernels", kernels)], attributes)
