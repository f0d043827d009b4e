"""The model and its gradient in float16: a typed graph, in which each operator has inputs of one type.

Before: ``y = Conv(x, w)`` in float32, between ``PrecisionRegion.enter`` and ``PrecisionRegion.leave``.
After: ``y = Conv(Cast(x; float16), w₁₆)``, and a Cast to float32 where the region is left.

TensorRT 11 and TensorRT-RTX have no precision flag and add no casts: the graph states the types. Each node
computes in one of the two types, and its inputs are cast to this type: a value once for all its readers,
weights when exporting. In float32 are:

- ``FLOAT32``, operators that float16 cannot compute, each with its reason;
- a node whose constant is another number in float16: an epsilon of 1e-12 would be 0;
- arithmetic that only such nodes read: the square before a sum overflows sooner than the sum;
- arithmetic and moves of values that all come from such nodes: a variance plus its epsilon.

Convolutions and matrix products are in float16: engines accumulate them in float32 and round the result once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from gagrad_export.emit import attribute, constant_array

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gagrad_edge.manifest import GraphPrecision
    from gagrad_export.emit import Op

HALF, SINGLE = ir.DataType.FLOAT16, ir.DataType.FLOAT

_SUMS = {"CumSum", "GlobalAveragePool", "GlobalLpPool", "LRN", "ReduceL1", "ReduceL2", "ReduceLogSum"}
_SUMS |= {"ReduceLogSumExp", "ReduceMean", "ReduceProd", "ReduceSum", "ReduceSumSquare"}
"""Sums over many elements: float16 ends at 65504, and above 2048 its step is larger than 1."""
_NORMALISATIONS = {"BatchNormalization", "GroupNormalization", "InstanceNormalization", "LayerNormalization"}
_NORMALISATIONS |= {"LpNormalization", "MeanVarianceNormalization", "RMSNormalization"}
"""Sums of squares, and an epsilon that float16 may not have."""
_EXPONENTIALS = {"Exp", "Log", "LogSoftmax", "Pow", "Softmax"}
"""Float16 overflows from exp(11.1) on, and the error of an exponent is the relative error of the result."""
_PLACES = {"Ceil", "Cos", "Floor", "GridSample", "Mod", "Round", "Sin"}
"""Positions of pixels, and angles: float16 has steps of 1/8 pixel at 224."""
_SOURCES = {"ConstantOfShape", "EyeLike", "Range"}
"""Operators whose output type is written in the node."""
FLOAT32 = frozenset(_SUMS | _NORMALISATIONS | _EXPONENTIALS | _PLACES | _SOURCES)

_ARITHMETIC = frozenset({"Abs", "Add", "Div", "Max", "Min", "Mul", "Neg", "Reciprocal", "Sqrt", "Sub", "Sum"})
_MOVES = frozenset({"Concat", "Expand", "Flatten", "Gather", "Identity", "Pad", "Reshape", "Slice", "Split"})
_MOVES |= {"Squeeze", "Tile", "Transpose", "Unsqueeze"}
_COMPARISONS = frozenset({"Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"})
_ORDERED = _COMPARISONS | {"Clip", "Max", "Min", "Pad", "Where"}
"""Operators in which a constant beyond float16's range is a bound, so that float16's largest number does as
well."""

_INTEGERS = frozenset({ir.DataType.INT32, ir.DataType.INT64})
_WITH_BIAS, _BIAS = frozenset({"Conv", "ConvTranspose", "Gemm"}), 2

_LARGEST = float(np.finfo(np.float16).max)
_ROUNDING = 2.0**-10
"""Largest relative error of a constant: twice that of float16, so that only subnormal constants exceed it."""


class PrecisionRegion:
    """A part of the graph that computes in another precision. With ``float32`` all methods change nothing."""

    def __init__(self, op: Op, precision: GraphPrecision) -> None:
        self._op = op
        self._half = precision == "float16"
        self._entries: list[ir.Value] = []
        self._exits: list[ir.Node] = []
        self._cast: dict[tuple[ir.Value, ir.DataType, bool], ir.Value] = {}

    def enter(self, value: ir.Value) -> ir.Value:
        """Begin the region at ``value``: everything that is computed from the result is in the region."""
        if not self._half:
            return value
        # An Identity, because lowering may replace the node of the value itself.
        self._entries.append(self._op.Identity(value))
        return self._entries[-1]

    def leave(self, value: ir.Value) -> ir.Value:
        """End the region at ``value``: the result is float32 again."""
        if not self._half:
            return value
        result = self._op.Identity(value)
        node = result.producer()
        assert node is not None  # noqa: S101 - just emitted
        self._exits.append(node)
        return result

    def convert(self) -> None:
        """Write the types and casts. Call it on the lowered graph, and sort the graph afterwards."""
        self._op.graph.sort()
        inside = self._inside()
        nodes = [node for node in self._op.graph if node in inside]
        single = _in_float32(nodes)
        for node in nodes:
            precision = SINGLE if node in single else HALF
            self._retype(node, precision)
        for node in self._exits:
            self._feed(node, SINGLE)

    def _inside(self) -> set[ir.Node]:
        found: set[ir.Node] = set()
        left = list(self._entries)
        while left:
            readers = {use.node for use in left.pop().uses()} - found - set(self._exits)
            found |= readers
            left += [output for node in readers for output in node.outputs]
        return found

    def _retype(self, node: ir.Node, precision: ir.DataType) -> None:
        if node.op_type == "CastLike" or (node.op_type == "Cast" and attribute(node, "to") == SINGLE):
            node.resize_inputs(1)
            node.op_type = "Cast"
            node.attributes["to"] = ir.AttrInt64("to", precision)
        else:
            self._feed(node, precision)
        for output in node.outputs:
            if output.dtype == SINGLE:
                # A new type object: the value shares its type with the model that it was copied from.
                output.type = ir.TensorType(precision)

    def _feed(self, node: ir.Node, precision: ir.DataType) -> None:
        for index, value in enumerate(node.inputs):
            if value is not None and value.dtype in (HALF, SINGLE) and value.dtype != precision:
                node.replace_input_with(index, self._in(value, precision, node.op_type in _ORDERED))

    def _in(self, value: ir.Value, precision: ir.DataType, ordered: bool) -> ir.Value:
        """Return ``value`` in ``precision``: a weight rounded now, any other value through a Cast."""
        key = (value, precision, ordered)
        if key not in self._cast:
            array = constant_array(value)
            if array is None:
                self._cast[key] = self._op.Cast(value, to=int(precision))
            else:
                self._cast[key] = self._op.constant(rounded(array, ordered=ordered))
        return self._cast[key]


def rounded(array: NDArray[np.floating], *, ordered: bool = False) -> NDArray[np.float16]:
    """Return ``array`` in float16; with ``ordered`` finite numbers stay finite."""
    if ordered:
        array = np.where(np.isfinite(array), np.clip(array, -_LARGEST, _LARGEST), array)
    with np.errstate(over="ignore"):
        return array.astype(np.float16)


def holds(array: NDArray[np.floating]) -> bool:
    """Tell whether float16 can hold ``array``: no number overflows, and the rounding is small."""
    finite = array[np.isfinite(array)].astype(np.float64)
    error = rounded(finite).astype(np.float64) - finite
    return bool(np.linalg.norm(error) <= _ROUNDING * np.linalg.norm(finite))


def _in_float32(nodes: list[ir.Node]) -> set[ir.Node]:
    """Return those of the sorted ``nodes`` that compute in float32."""
    single = {node for node in nodes if _must(node)}
    inside = set(nodes)
    for node in reversed(nodes):
        readers = {use.node for output in node.outputs for use in output.uses()}
        if node.op_type in _ARITHMETIC and readers and readers <= single:
            single.add(node)
    for node in nodes:
        given = [value for value in node.inputs if value is not None and value.dtype == SINGLE]
        computed = [value for value in given if value.const_value is None]
        # A value from outside the region is cast wherever it is read, so its type does not matter.
        exact = [value.producer() in single for value in computed if value.producer() in inside]
        if (node.op_type in _ARITHMETIC | _MOVES and exact and all(exact)) or (
            node.op_type in _COMPARISONS and any(exact)
        ):
            single.add(node)
    return single


def _must(node: ir.Node) -> bool:
    if node.op_type in FLOAT32:
        return True
    if node.op_type == "Cast":  # to or from an index or a count
        source = node.inputs[0].dtype if node.inputs[0] is not None else None
        return not {source, ir.DataType(attribute(node, "to"))}.isdisjoint(_INTEGERS)
    for index, value in enumerate(node.inputs):
        array = constant_array(value) if value is not None and value.dtype == SINGLE else None
        if array is None:
            continue
        if node.op_type in _WITH_BIAS and index == _BIAS:
            # A bias that is too small for float16 is small beside the products that it is added to.
            array = np.where(np.abs(array) > _LARGEST, array, 0)
        if not holds(np.clip(array, -_LARGEST, _LARGEST) if node.op_type in _ORDERED else array):
            return True
    return False
