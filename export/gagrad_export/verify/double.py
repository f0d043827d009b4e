"""Scores of a shipped graph in float64, for differences that are smaller than the rounding of float32.

onnx's own evaluator has every operator, and computes in the types that the graph states. Operators that the
evaluator runs element by element, or rounds to float32, are replaced: Resize by matrices, the others by
``reference_operators``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir
import onnx_ir.passes.common as passes
from onnx.reference import ReferenceEvaluator

from gagrad_edge.abi import SCORES
from gagrad_export.assemble.external import joined
from gagrad_export.canonicalise.fold.inference import infer_shapes, invalidate_shapes
from gagrad_export.canonicalise.fold.precision import convert
from gagrad_export.differentiate.interpolation import apply_matrices, resize_matrices
from gagrad_export.differentiate.window import Window, averaged_counts
from gagrad_export.emit import Op, attribute, fixed_shape, operand
from gagrad_export.verify.reference_operators import (
    DOMAIN,
    LRN,
    Average,
    Convolution,
    Erf,
    GatherElements,
    Gelu,
    LpNormalization,
    Maximum,
    TransposedConvolution,
)
from gagrad_export.verify.source import MODES

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from gagrad_edge.bundle.graph_file import GraphFile

    Array = NDArray[np.float64]

_ALIKE = 1e-3
"""Largest difference of scores, relative to the largest score: rounding of float32 is below it, a mistake is
not."""

_REPLACED = {
    "Conv": Convolution.__name__,
    "ConvTranspose": TransposedConvolution.__name__,
    "MaxPool": Maximum.__name__,
    "AveragePool": Average.__name__,
}


class NotInDoubleError(Exception):
    """onnx's evaluator cannot run this graph, or computes something else."""


def in_double(
    graph: GraphFile, output: str = SCORES, *, like: tuple[dict[str, Any], NDArray[Any]] | None = None
) -> Callable[[dict[str, Any]], Array]:
    """Return a function from the inputs of ``graph``, as float64, to one of its outputs.

    ``like`` holds inputs and the scores that ONNX Runtime gives for them. The function must give the same,
    because onnx's evaluator has mistakes of its own. Raises NotInDoubleError, and so does the function.
    """
    try:
        evaluator = _evaluator(graph, output)
    except Exception as error:  # whatever is not implemented there, or not for this type
        raise NotInDoubleError(str(error)) from error

    def run(inputs: dict[str, Any]) -> Array:
        needed = set(evaluator.input_names)
        doubles = {name: np.asarray(value, np.float64) for name, value in inputs.items() if name in needed}
        try:
            outputs: Any = evaluator.run(None, doubles)
        except Exception as error:
            raise NotInDoubleError(str(error)) from error
        result: Array = outputs[0]
        return result

    if like is not None:
        found, expected = run(like[0]), like[1]
        if found.shape != expected.shape or not np.allclose(
            found, expected, 0, _ALIKE * np.abs(expected).max()
        ):
            raise NotInDoubleError("its scores differ from those of ONNX Runtime")
    return run


def _evaluator(file: GraphFile, output: str) -> ReferenceEvaluator:
    model = joined(file)
    graph = model.graph
    graph.outputs[:] = [value for value in graph.outputs if value.name == output]
    passes.RemoveUnusedNodesPass()(model)
    graph.inputs[:] = [value for value in graph.inputs if value.uses()]
    infer_shapes(model)
    _replace_resize(graph)
    _spell_out_windows(graph)
    convert(graph, (ir.DataType.FLOAT,), ir.DataType.DOUBLE)
    for value in graph.inputs:
        value.dtype = ir.DataType.DOUBLE
    for node in graph:
        node.attributes.pop("stash_type", None)  # the evaluator knows one, and does not round to it
        if node.op_type == "GridSample" and (mode := attribute(node, "mode", "")) in MODES:
            node.attributes["mode"] = ir.AttrString("mode", MODES[mode])
    invalidate_shapes(model)
    proto = ir.to_proto(model)
    del model, graph  # not three copies of the weights at once
    replacements: list[type] = [
        LRN,
        Average,
        Convolution,
        Erf,
        GatherElements,
        Gelu,
        LpNormalization,
        Maximum,
    ]
    return ReferenceEvaluator(proto, new_ops=[*replacements, TransposedConvolution])


def _replace_resize(graph: ir.Graph) -> None:
    op = Op(graph, "double")
    for node in [node for node in graph if node.op_type == "Resize" and node.domain == ""]:
        result = apply_matrices(op, operand(node, 0), resize_matrices(node))
        ir.convenience.replace_all_uses_with(node.outputs[0], result, replace_graph_outputs=True)
        graph.remove(node, safe=True)
    graph.sort()


def _spell_out_windows(graph: ir.Graph) -> None:
    """Replace convolutions and pooling by ``reference_operators``, with explicit padding."""
    for node in graph:
        replacement = _REPLACED.get(node.op_type) if node.domain == "" else None
        if replacement is None or len([value for value in node.outputs if value.name]) > 1:
            continue
        x = operand(node, 0)
        size, outputs = fixed_shape(x)[1:], fixed_shape(node.outputs[0])[1:]
        kernel = fixed_shape(operand(node, 1))[1:] if len(node.inputs) > 1 else ()
        transposed = node.op_type == "ConvTranspose"
        window = (Window.of_transpose if transposed else Window.of)(node, size, kernel)
        counts = averaged_counts(node, window, size) if node.op_type == "AveragePool" else None
        if not transposed:
            window = window.covering(size, outputs)
        values: dict[str, Any] = {
            "kernel": window.kernel,
            "strides": window.strides,
            "dilations": window.dilations,
            "begin": window.begin,
            "end": window.end,
            "outputs": outputs,
            "group": attribute(node, "group", 1),
        }
        if counts is not None:
            values["counts"] = ir.tensor(np.asarray(counts, np.float64))
        node.attributes.clear()
        for attr in ir.convenience.convert_attributes(values):
            node.attributes[attr.name] = attr
        node.domain, node.op_type = DOMAIN, replacement
    graph.opset_imports[DOMAIN] = 1
