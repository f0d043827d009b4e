"""Start a graph of the ABI, insert a model, and finish the graph as a graph file."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import onnx
import onnx_ir as ir
import onnx_ir.passes.common as passes

from gagrad_edge import __version__
from gagrad_export.assemble.external import apart, check
from gagrad_export.emit import Op
from gagrad_export.lower.quantisation import lower_quantisation

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gagrad_edge.abi import Shape, Sizes
    from gagrad_edge.bundle.graph_file import GraphFile
    from gagrad_edge.manifest import FeatureLayer, GraphRole
    from gagrad_export.assemble.passing import Passed
    from gagrad_export.canonicalise import Canonical

OPSET = 18
"""Opset of the graphs that hold no model."""


def new_graph(name: str, opset: int = OPSET) -> Op:
    """Return an emitter into an empty graph."""
    return Op(ir.Graph([], [], nodes=[], opset_imports={"": opset}, name=name))


def start_graph(
    role: GraphRole, sizes: Sizes, *, variant: str = "", opset: int = OPSET
) -> tuple[Op, dict[str, ir.Value]]:
    """Return an emitter into a new graph of ``role``, and the graph's inputs by name, as the ABI has them."""
    op = new_graph(role, opset)
    abi = sizes.graph(role, variant)
    return op, {name: add_input(op, name, shape) for name, shape in abi.inputs.items()}


def add_input(op: Op, name: str, shape: Sequence[int | str]) -> ir.Value:
    """Add a float32 input; a name in ``shape`` is a free axis."""
    value = ir.Value(name=name, shape=ir.Shape(shape), type=ir.TensorType(ir.DataType.FLOAT))
    op.graph.inputs.append(value)
    return value


def insert_model(
    op: Op, model: Canonical, image: ir.Value, *, prefix: str = "model", weights: str = "model"
) -> ir.Value:
    """Copy the canonical model into the graph, fed by ``image``; return its scores.

    Names are prefixed with ``prefix/``, those of the weights with ``weights/``, so that none collides with
    the ABI's and a profile of the finished graph can be read against the original. A second copy of the same
    model has another ``prefix``, and the same ``weights``, which it shares.
    """
    copy = model.graph.clone()
    scores, placeholder = copy.outputs[0], copy.inputs[0]
    initializers = list(copy.initializers.values())
    nodes = list(copy)
    copy.outputs.clear()
    copy.inputs.clear()
    copy.initializers.clear()
    copy.remove(nodes)
    for node in nodes:
        node.name = f"{prefix}/{node.name}"
        for value in node.outputs:
            value.name = f"{prefix}/{value.name}"
    for value in initializers:
        name = f"{weights}/{value.name}"
        if name in op.graph.initializers:
            ir.convenience.replace_all_uses_with(value, op.graph.initializers[name])
            continue
        value.name = name
        op.graph.register_initializer(value)
    op.graph.extend(nodes)
    ir.convenience.replace_all_uses_with(placeholder, image)
    # An Identity, because lowering may replace the model's last node and the caller keeps this value.
    return op.Identity(scores)


def activations_of(op: Op, layers: Sequence[FeatureLayer | Passed], prefix: str = "model") -> list[ir.Value]:
    """Return the activations of ``layers``, by their names, in the copy of the model that has ``prefix``."""
    by_name = {value.name: value for node in op.graph for value in node.outputs}
    return [by_name[f"{prefix}/{layer.name}"] for layer in layers]


def finish_graph(
    op: Op, role: GraphRole, sizes: Sizes, outputs: Mapping[str, ir.Value], *, variant: str = ""
) -> GraphFile:
    """Finish the graph of ``role`` with ``outputs``, which must be those of the ABI, and return it.

    Raises what ``finish`` does, and ValueError for other names or sizes, a mistake in this package.
    """
    expected = sizes.graph(role, variant).outputs
    if list(outputs) != list(expected):
        raise ValueError(f"outputs of {role!r} are {list(outputs)}, and the ABI has {list(expected)}")
    for name, value in outputs.items():
        found = None if value.shape is None else tuple(value.shape)
        if found is not None and not _agrees(found, expected[name]):
            raise ValueError(f"{name!r} of {role!r} is {found}, and the ABI has {expected[name]}")
    return finish(op, outputs)


def _agrees(found: tuple[int | ir.SymbolicDim, ...], expected: Shape) -> bool:
    """Tell whether an inferred shape can be the ABI's: as many axes, no axis with another size."""
    return len(found) == len(expected) and all(
        have == want for have, want in zip(found, expected, strict=True) if isinstance(have, int)
    )


def _share_weights(graph: ir.Graph) -> None:
    """Let equal weights be one initializer, of any size and layout in memory; onnx_ir's passes skip some."""
    kept: dict[tuple[object, ...], ir.Value] = {}
    for value in list(graph.initializers.values()):
        tensor = value.const_value
        if tensor is None or value.name is None:
            continue
        key = (tensor.dtype, tuple(tensor.shape), hashlib.sha256(tensor.tobytes()).digest())
        other = kept.setdefault(key, value)
        if other is not value:
            ir.convenience.replace_all_uses_with(value, other)
            del graph.initializers[value.name]


def finish(op: Op, outputs: Mapping[str, ir.Value]) -> GraphFile:
    """Name the outputs, write quantisers as arithmetic, remove unused nodes, sort, and check.

    Raises onnx's checker errors: a graph that fails there is a mistake in this package.
    """
    for name, value in outputs.items():
        # An identity keeps ABI names apart from values that are also read inside the graph.
        output = op.Identity(value)
        output.name = name
        op.graph.outputs.append(output)
    lower_quantisation(op)
    op.graph.sort()
    model = ir.Model(
        op.graph,
        ir_version=onnx.helper.find_min_ir_version_for([onnx.helper.make_opsetid("", op.opset)]),
        producer_name="gagrad-edge",
        producer_version=__version__,
    )
    passes.RemoveUnusedNodesPass()(model)
    if len(outputs) > 1:  # copies of one model, whose weights have to be the same before their nodes can be
        _share_weights(op.graph)
    passes.CommonSubexpressionEliminationPass()(model)
    passes.DeduplicateInitializersPass()(model)
    passes.RemoveUnusedNodesPass()(model)
    passes.ClearMetadataAndDocStringPass()(model)
    for node in op.graph:
        for value in node.outputs:
            if value not in op.graph.outputs:
                value.shape = None  # engines infer shapes themselves; ours would only add bytes
    file = apart(model)
    check(file)
    return file
