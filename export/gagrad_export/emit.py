"""The node emitter: ONNX nodes written like formulas, ``op.Mul(dy, op.Sub(1.0, y))``.

Each node is shape-inferred when it is emitted, by onnx's own inference for its operator. So the next node
can be written from the shapes of the last one, and a mistake raises an error where it was made.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnx_ir as ir

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

INTERNAL = "gagrad"
"""Domain of operators that exist between differentiation and lowering only; ``lower`` removes them all."""

Operand = ir.Value | float | int | list[int] | np.ndarray | None


class Op:
    """Writes nodes into ``graph``; ``op.NAME(inputs…, attribute=…)`` returns the output value.

    Operands may be Python numbers, lists of int (a 1-D int64 tensor: axes, shapes) or arrays; numbers and
    floating-point arrays take the dtype of the first floating-point value among the inputs. ``None`` is an
    omitted optional input. ``prefix`` begins the names of the new nodes and values: two emitters into one
    graph take different prefixes.

    New nodes go in front of the node ``before``, so that the graph stays sorted; without ``before``, to the
    end of the graph. ``infer=False`` is for a graph whose types and shapes are not known yet: the new values
    get none either, and floating-point operands have to be arrays of the right dtype.
    """

    def __init__(
        self, graph: ir.Graph, prefix: str = INTERNAL, *, before: ir.Node | None = None, infer: bool = True
    ) -> None:
        self.graph = graph
        self._prefix = prefix
        self._before = before
        self._infers = infer
        self.opset = graph.opset_imports[""]
        self._constants: dict[tuple[object, ...], ir.Value] = {}
        self._serial = 0

    def __getattr__(self, op_type: str) -> Callable[..., ir.Value]:
        if op_type.startswith("_"):
            raise AttributeError(op_type)

        def emit(*inputs: Operand, **attributes: Any) -> ir.Value:
            return self.emit(op_type, inputs, attributes)[0]

        return emit

    def emit(
        self, op_type: str, inputs: Sequence[Operand], attributes: dict[str, Any], outputs: int = 1
    ) -> Sequence[ir.Value]:
        """Write one node of the standard domain and return its outputs, typed and shaped (``infer``)."""
        like = next((value for value in inputs if isinstance(value, ir.Value) and _is_float(value)), None)
        operands = [None if value is None else self.constant(value, like=like) for value in inputs]
        node = self._insert("", op_type, operands, attributes, outputs)
        if self._infers:
            _infer(node, self.opset)
        return node.outputs

    def internal(
        self, op_type: str, inputs: Sequence[ir.Value | None], *, like: ir.Value, **attributes: Any
    ) -> ir.Value:
        """Write a node of the internal domain, whose output has the type and shape of ``like``."""
        node = self._insert(INTERNAL, op_type, inputs, attributes, 1)
        node.outputs[0].shape = like.shape
        node.outputs[0].type = like.type
        return node.outputs[0]

    def constant(self, value: Operand, *, like: ir.Value | None = None) -> ir.Value:
        """Return ``value`` as an initializer; an ``ir.Value`` is returned unchanged.

        Equal contents share one initializer.
        """
        if isinstance(value, ir.Value):
            return value
        array = _as_array(value, like)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            initializer = ir.Value(
                name=self.new_name("constant"),
                shape=ir.Shape(array.shape),
                type=ir.TensorType(ir.DataType.from_numpy(array.dtype)),
                const_value=ir.tensor(array),
            )
            self.graph.register_initializer(initializer)
            self._constants[key] = initializer
        return self._constants[key]

    def reshape_like(self, value: ir.Value, like: ir.Value) -> ir.Value:
        """Return ``value`` reshaped to the shape of ``like``, which may have unknown dimensions.

        Where both shapes begin with the batch, Reshape gets 0 ("as in the input") for that dimension and not
        −1: the engine then knows that the batch is the same, and keeps the convolutions' blocked layout.
        """
        dims, have = static_shape(like), static_shape(value)
        unknown = dims.count(None)
        if unknown > 1:
            shape: Operand = self.Shape(like)
        elif _same_batch(dims, have):
            shape = [0, *(dim or 0 for dim in dims[1:])]
        else:
            shape = [-1 if dim is None else dim for dim in dims]
        result = self.Reshape(value, shape)
        result.shape = like.shape
        return result

    def expand_like(self, value: ir.Value, like: ir.Value) -> ir.Value:
        """Return ``value`` broadcast to the full shape of ``like``.

        A dimension that is unknown in both shapes is the batch: Expand gets 1 there, which leaves the batch
        unchanged.
        """
        dims, have = static_shape(like), static_shape(value)
        padded = [*[1] * (len(dims) - len(have)), *have]
        same = [want is None and size is None for want, size in zip(dims, padded, strict=True)]
        if any(want is None and not kept for want, kept in zip(dims, same, strict=True)):
            shape: Operand = self.Shape(like)
        else:
            shape = [1 if kept else want or 0 for want, kept in zip(dims, same, strict=True)]
        result = self.Expand(value, shape)
        result.shape = like.shape
        return result

    def _insert(
        self,
        domain: str,
        op_type: str,
        inputs: Sequence[ir.Value | None],
        attributes: dict[str, Any],
        outputs: int,
    ) -> ir.Node:
        node = ir.Node(
            domain,
            op_type,
            inputs,
            ir.convenience.convert_attributes(attributes),
            num_outputs=outputs,
            name=self.new_name(op_type),
        )
        for index, output in enumerate(node.outputs):
            output.name = f"{node.name}:{index}" if index else node.name
        if self._before is None:
            self.graph.append(node)
        else:
            self.graph.insert_before(self._before, node)
        return node

    def new_name(self, kind: str) -> str:
        """Return a name for a node or a value of this ``kind``, unique under the prefix."""
        self._serial += 1
        return f"{self._prefix}/{kind}_{self._serial}"


def static_shape(value: ir.Value) -> list[int | None]:
    """Return the dimensions of ``value``, with None for each unknown dimension."""
    assert value.shape is not None, f"{value.name} has no shape"  # noqa: S101 - canonicalise made sure
    return [dim if isinstance(dim, int) else None for dim in value.shape]


def _same_batch(one: list[int | None], two: list[int | None]) -> bool:
    """Tell whether both shapes are an unknown batch followed by known dimensions of equal product."""
    known = [[dim for dim in dims[1:] if dim] for dims in (one, two)]
    if one[:1] != [None] or two[:1] != [None] or [len(sizes) + 1 for sizes in known] != [len(one), len(two)]:
        return False
    return math.prod(known[0]) == math.prod(known[1])


def fixed_shape(value: ir.Value) -> list[int]:
    """Return the dimensions of ``value`` after the first; all of them must be known."""
    dims = static_shape(value)[1:]
    assert None not in dims, f"{value.name} has an unknown dimension: {dims}"  # noqa: S101
    return [dim for dim in dims if dim is not None]


def operand(node: ir.Node, index: int) -> ir.Value:
    """Return the required input ``index`` of ``node``."""
    value = node.inputs[index]
    assert value is not None, f"{node.name} lacks input {index}"  # noqa: S101 - the checker made sure
    return value


def constant_array(value: ir.Value | None) -> NDArray[Any] | None:
    """Return the contents of ``value`` when it is a constant, else None."""
    return None if value is None or value.const_value is None else value.const_value.numpy()


def attribute(node: ir.Node, name: str, default: Any = None) -> Any:
    """Return an attribute's Python value, or ``default`` when the node does not carry it."""
    found = node.attributes.get(name)
    if found is None:
        return default
    return list(found.value) if isinstance(found.value, (tuple, list)) else found.value


def _as_array(value: Operand, like: ir.Value | None) -> NDArray[Any]:
    dtype = np.dtype(np.float32) if like is None or like.dtype is None else like.dtype.numpy()
    if isinstance(value, np.ndarray):
        target = dtype if value.dtype.kind == "f" and like is not None else value.dtype
        return np.ascontiguousarray(value, target).reshape(value.shape)
    return np.asarray(value, np.int64 if isinstance(value, list) else dtype)


def _is_float(value: ir.Value) -> bool:
    return value.dtype is not None and value.dtype.is_floating_point()


def _infer(node: ir.Node, opset: int) -> None:
    """Set the type and shape of each output of ``node``, by onnx's inference for its operator."""
    proto = ir.serde.serialize_node(node)
    types, data = {}, {}
    for value in node.inputs:
        if value is None or value.name is None:
            continue
        types[value.name] = type_proto(value)
        if value.const_value is not None and value.const_value.size <= 1024:
            data[value.name] = ir.serde.serialize_tensor(value.const_value)
    schema = onnx.defs.get_schema(node.op_type, opset, "")
    inferred = onnx.shape_inference.infer_node_outputs(
        schema, proto, types, data, opset_imports=[onnx.helper.make_opsetid("", opset)]
    )
    for output in node.outputs:
        if output.name in inferred:
            both = ir.serde.deserialize_type_proto_for_type(inferred[output.name])
            output.type = both
            output.shape = ir.serde.deserialize_type_proto_for_shape(inferred[output.name])


def type_proto(value: ir.Value) -> onnx.TypeProto:
    """Return the type of ``value``, with its shape if known, as an onnx ``TypeProto``."""
    proto = onnx.TypeProto()
    assert value.type is not None, f"{value.name} has no type"  # noqa: S101
    ir.serde.serialize_type_into(proto, from_=value.type)
    if value.shape is not None:
        ir.serde.serialize_shape_into(proto, from_=value.shape)
    return proto


def as_float(op: Op, mask: ir.Value, like: ir.Value) -> ir.Value:
    """Return a Boolean mask as 0 and 1 in the dtype of ``like``.

    Multiplying by such a mask is several times faster than ``Where``.
    """
    assert like.dtype is not None  # noqa: S101 - emitted values are typed
    return op.Cast(mask, to=int(like.dtype))
