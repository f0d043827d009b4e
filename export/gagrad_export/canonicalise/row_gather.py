"""Gathers from the flattened batch, which torch writes for ``as_strided``, as gathers within each row.

Before: ``Gather(Reshape(x, [−1]), indices)`` with indices computed from the batch size: row n's start plus
the same offsets in every row. After: ``Gather(Reshape(x, [0, S]), offsets, axis=1)`` with constant offsets,
S the elements of a row; a plain Reshape where the offsets count up.

That the indices have this form is not read off the operators that compute them, which vary: they are run for
several batch sizes and compared.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnx_ir as ir
from onnx.reference import ReferenceEvaluator

from gagrad_export.emit import attribute, constant_array, operand, static_shape

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BATCHES = (1, 2, 5)
_MOST_NODES = 100
"""An index computation is a few operators on shapes; more means that it looks at values."""


def gather_within_rows(graph: ir.Graph) -> None:
    """Rewrite every such Gather; the graph's values have shapes where they are known."""
    for node in [node for node in graph if node.op_type == "Gather" and node.domain == ""]:
        flat, indices = operand(node, 0), operand(node, 1)
        reshape = flat.producer()
        if attribute(node, "axis", 0) != 0 or reshape is None or reshape.op_type != "Reshape":
            continue
        target, x = constant_array(reshape.inputs[1]), operand(reshape, 0)
        if target is None or target.tolist() != [-1] or constant_array(indices) is not None:
            continue
        row = _row_size(x)
        offsets = None if row is None else _offsets(graph, indices, row)
        if row is None or offsets is None:
            continue
        tape = ir.tape.Tape(graph)
        result = _within_rows(tape, node, x, row, offsets)
        ir.convenience.replace_nodes_and_values(graph, node, [node], tape.nodes, [node.outputs[0]], [result])


def _within_rows(
    tape: ir.tape.Tape, node: ir.Node, x: ir.Value, row: int, offsets: NDArray[np.int64]
) -> ir.Value:
    prefix = f"{node.outputs[0].name}/within_rows"

    def constant(kind: str, array: NDArray[np.int64]) -> ir.Value:
        return tape.initializer(ir.tensor(array, name=f"{prefix}/{kind}"))

    if np.array_equal(offsets.ravel(), np.arange(row)):
        return tape.op("Reshape", [x, constant("shape", np.array([0, *offsets.shape], np.int64))])
    rows = tape.op("Reshape", [x, constant("rows", np.array([0, row], np.int64))])
    return tape.op("Gather", [rows, constant("offsets", offsets)], {"axis": 1})


def _row_size(x: ir.Value) -> int | None:
    if x.shape is None or x.shape.rank() < 2:
        return None
    batch, *rest = static_shape(x)
    known = [size for size in rest if size is not None]
    return math.prod(known) if batch is None and len(known) == len(rest) else None


def _offsets(graph: ir.Graph, indices: ir.Value, row: int) -> NDArray[np.int64] | None:
    """Return the offsets within a row of ``row`` elements; None where the indices have another form."""
    computed = [_evaluate(graph, indices, batch) for batch in _BATCHES]
    if any(array is None for array in computed):
        return None
    first = computed[0]
    if first is None or first.ndim < 2 or len(first) != 1 or first.min() < 0 or first.max() >= row:
        return None
    for batch, array in zip(_BATCHES, computed, strict=True):
        starts = row * np.arange(batch).reshape(-1, *[1] * (first.ndim - 1))
        if array is None or not np.array_equal(array, starts + first):
            return None
    offsets: NDArray[np.int64] = first[0].astype(np.int64)
    return offsets


def _evaluate(graph: ir.Graph, value: ir.Value, batch: int) -> Any:
    """Return what ``value`` is for a batch; None where it depends on more than shapes and constants."""
    nodes: list[ir.Node] = []
    constants: dict[str, onnx.TensorProto] = {}
    shapes: dict[str, NDArray[np.int64]] = {}
    wanted = [value]
    while wanted:
        current = wanted.pop()
        producer, name = current.producer(), current.name or ""
        if current.const_value is not None:
            constants[name] = ir.serde.serialize_tensor(current.const_value)
            constants[name].name = name
        elif producer is None or len(nodes) >= _MOST_NODES:
            return None
        elif producer.op_type == "Shape":
            dims = _shape(producer, batch)
            if dims is None:
                return None
            shapes[name] = dims
        elif producer not in nodes:
            nodes.append(producer)
            wanted += [item for item in producer.inputs if item is not None]
    ordered = [node for node in graph if node in nodes]
    fed = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.INT64, None) for name in shapes]
    result = onnx.helper.make_tensor_value_info(value.name or "", onnx.TensorProto.INT64, None)
    protos = [ir.serde.serialize_node(node) for node in ordered]
    program = onnx.helper.make_graph(protos, "indices", fed, [result], list(constants.values()))
    opset = onnx.helper.make_opsetid("", graph.opset_imports[""])
    model = onnx.helper.make_model(program, opset_imports=[opset])
    found: Any = ReferenceEvaluator(model).run(None, dict(shapes))
    return found[0]


def _shape(node: ir.Node, batch: int) -> NDArray[np.int64] | None:
    x = operand(node, 0)
    if x.shape is None or None in static_shape(x)[1:]:
        return None
    dims = [batch if size is None else size for size in static_shape(x)]
    return np.array(dims[attribute(node, "start", 0) : attribute(node, "end", len(dims))], np.int64)
