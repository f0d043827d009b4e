"""Tracing: what the last nodes of a model's file are, its constants, and nodes put behind a value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Constant = NDArray[np.generic]

_VIEWS = ("Cast", "Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze")
_GREATER = {"Greater": (0, 1), "GreaterOrEqual": (0, 1), "Less": (1, 0), "LessOrEqual": (1, 0)}
"""Comparisons, and which operands are the larger and the smaller one where they hold."""
_LARGEST = 1024
"""Elements of the largest constant that is computed here: a limit, a threshold, a condition."""
_SUFFIX = ".arranged"


class Limits(NamedTuple):
    """A value that lies in front of limits, and the limits."""

    value: str
    """Name of the value that is limited."""
    least: float | None
    greatest: float | None


class Tracing:
    """A model's file, read from its outputs inwards."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self._producers = {name: node for node in model.graph.node for name in node.output}
        self._initializers = {tensor.name: tensor for tensor in model.graph.initializer}
        self._known: dict[str, Constant | None] = {}

    def producer(self, name: str) -> onnx.NodeProto | None:
        """Return the node that computes the value; None for an input or a constant of the file."""
        return self._producers.get(name)

    def constant(self, name: str) -> Constant | None:
        """Return the small constant that the value always is; None for any other value."""
        if name not in self._known:
            self._known[name] = None  # a value that is being looked at
            self._known[name] = self._constant(name)
        return self._known[name]

    def number(self, name: str) -> float | None:
        """Return the number that each element of the value always is; None for any other value."""
        array = self.constant(name)
        if array is None or array.size == 0 or array.dtype.kind not in "fiub":
            return None
        first = array.flat[0]
        return float(first) if (array == first).all() else None

    def source(self, name: str) -> str:
        """Return the value in front of views and of choices that are always the same."""
        while (node := self.producer(name)) is not None:
            if node.op_type in _VIEWS:
                name = node.input[0]
            elif node.op_type == "Where" and (chosen := self._chosen(node)) is not None:
                name = chosen
            else:
                break
        return name

    def limits(self, name: str) -> Limits | None:
        """Return the value in front of the limits that ``name`` lies behind; None without limits."""
        value, least, greatest = self.source(name), -np.inf, np.inf
        found = False
        while (node := self.producer(value)) is not None and (step := self._limit(node)) is not None:
            inner, low, high = step
            # The outer limits are known: of the inner ones only what they let through counts.
            least, greatest = max(least, min(low, greatest)), min(greatest, max(high, least))
            value, found = self.source(inner), True
        if not found:
            return None
        return Limits(
            value,
            None if np.isinf(least) else float(least),
            None if np.isinf(greatest) else float(greatest),
        )

    def threshold(self, name: str, of: str) -> float | None:
        """Return t where the value ``name`` is whether ``of`` is above t; None for anything else."""
        node = self.producer(self.source(name))
        if node is None or node.op_type not in _GREATER:
            return None
        larger, smaller = (node.input[index] for index in _GREATER[node.op_type])
        return self.number(smaller) if self.source(larger) == self.source(of) else None

    def activation(self, name: str) -> tuple[str, int] | None:
        """Return the operator and the axis of the softmax or sigmoid that ends in ``name``, through views."""
        node = self.producer(self.source(name))
        if node is None or node.op_type not in ("Softmax", "LogSoftmax", "Sigmoid"):
            return None
        axis = next((int(one.i) for one in node.attribute if one.name == "axis"), -1)
        return node.op_type, axis

    def _constant(self, name: str) -> Constant | None:
        if name in self._initializers:
            tensor = self._initializers[name]
            return numpy_helper.to_array(tensor) if np.prod(tensor.dims) <= _LARGEST else None
        node = self.producer(name)
        if node is None or len(node.output) != 1 or (not node.input and node.op_type != "Constant"):
            return None
        feeds = {}
        for one in node.input:
            if one and (value := self.constant(one)) is None:
                return None
            if one:
                feeds[one] = value
        try:
            outputs: Any = ReferenceEvaluator(node).run(None, feeds)
            found = outputs[0]
        except Exception:  # noqa: BLE001 - of any kind: then it is not known
            return None
        return np.asarray(found) if np.size(found) <= _LARGEST else None

    def _chosen(self, node: onnx.NodeProto) -> str | None:
        """Return the value that a Where always takes."""
        always = self.number(node.input[0])
        return None if always is None else node.input[1 if always else 2]

    def _limit(self, node: onnx.NodeProto) -> tuple[str, float, float] | None:
        """Return the value that ``node`` limits, and between what."""
        if node.op_type == "Clip":
            return self._clip(node)
        if node.op_type not in ("Max", "Min") or len(node.input) != 2:
            return None
        for value, other in (node.input, reversed(node.input)):
            if (end := self.number(other)) is not None:
                return (value, end, np.inf) if node.op_type == "Max" else (value, -np.inf, end)
        return None

    def _clip(self, node: onnx.NodeProto) -> tuple[str, float, float] | None:
        """Return what a Clip limits and between what: attributes up to opset 10, inputs since."""
        ends = {"min": -np.inf, "max": np.inf}
        ends.update({one.name: float(one.f) for one in node.attribute})
        for name, one in zip(ends, node.input[1:3], strict=False):
            if not one:
                continue
            if (end := self.number(one)) is None:
                return None
            ends[name] = end
        return node.input[0], ends["min"], ends["max"]


def behind(
    model: onnx.ModelProto,
    name: str,
    op_type: str,
    *,
    shape: Sequence[int] = (),
    perm: Sequence[int] | None = None,
) -> tuple[onnx.ModelProto, str]:
    """Return a copy of ``model`` with a node behind the value ``name``, and the name of its output.

    ``shape`` is a second input, as Reshape has it, ``perm`` the attribute of Transpose. The output is one of
    the model's: what no output needs is left out later.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    output, inputs = name + _SUFFIX, [name]
    if shape:
        inputs.append(f"{output}.shape")
        tensor = numpy_helper.from_array(np.array(shape, np.int64), inputs[1])
        copy.graph.initializer.append(tensor)
    copy.graph.node.append(helper.make_node(op_type, inputs, [output], name=output, perm=perm))
    declared = (*model.graph.output, *model.graph.value_info)
    known = {one.name: one.type.tensor_type.elem_type for one in declared}
    kind = known.get(name) or next(iter(known.values()), onnx.TensorProto.FLOAT)
    copy.graph.output.append(helper.make_tensor_value_info(output, kind, None))
    return copy, output
