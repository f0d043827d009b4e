"""A detector's layout in ONNX nodes: ``scores [N, K, A]`` in front of their activation, ``boxes [N, A, 4]``.

The nodes stand behind the values that the layout reads. They use Slice, Transpose and arithmetic, which all
versions of the standard operators write alike from version 11 on (``arrange.conversion``).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnx_ir as ir
import onnx_ir.passes.common as passes

from gagrad_export.arrange.layout import squeezed
from gagrad_export.arrange.logits import logit_of_product, without_sigmoids
from gagrad_export.emit import Op

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from numpy.typing import NDArray

    from gagrad_export.arrange.layout import Columns, Layout

PLACES, PROBABILITIES = "gagrad-boxes", "gagrad-probabilities"
"""Names of the outputs that are added to the model."""
_CLOSEST = 1e-6
"""How close to 0 and 1 a probability may lie whose logit is computed from it: the rounding of float32 near 1
is 6e-8."""


@dataclass(frozen=True)
class Decoded:
    """A model with the outputs ``PLACES`` and ``PROBABILITIES``, and what to say of them."""

    model: onnx.ModelProto
    notes: tuple[str, ...]


def decoded(
    model: onnx.ModelProto,
    layout: Layout,
    shapes: Mapping[str, Sequence[int]],
    image: tuple[int, int, int],
    clear: Collection[Columns],
    *,
    alone: bool = False,
) -> Decoded:
    """Return a copy of ``model`` with ``PLACES``, and ``PROBABILITIES`` whose activation comes last.

    ``shapes`` are the rows' shapes of the layout's values, ``image`` is (C, H, W), and ``clear``
    are the columns that are known to be behind a sigmoid. ``alone`` leaves out the model's other
    outputs, and with them the selection that makes them.
    """
    copy = ir.serde.deserialize_model(onnx.shape_inference.infer_shapes(model))
    graph = copy.graph
    writer = _Writer(graph, shapes, clear)
    probabilities = writer.probabilities(layout)
    boxes = writer.boxes(layout, image)
    read = set(layout.values)
    graph.outputs[:] = [value for value in graph.outputs if (value.name in read) == alone]
    for value, name in ((probabilities, PROBABILITIES), (boxes, PLACES)):
        named = writer.op.Identity(value)
        named.name = name
        graph.outputs.append(named)
    if alone:
        passes.RemoveUnusedNodesPass()(copy)
    return Decoded(ir.serde.serialize_model(copy), tuple(writer.notes))


class _Writer:
    """Writes nodes behind the values of one graph."""

    def __init__(
        self, graph: ir.Graph, shapes: Mapping[str, Sequence[int]], clear: Collection[Columns]
    ) -> None:
        self.op = Op(graph, "detector")
        self.notes: list[str] = []
        self._copies = Op(graph, "detector-logits", infer=False)
        self._shapes = shapes
        self._clear = clear
        self._values = {value.name: value for node in graph for value in node.outputs}

    def probabilities(self, layout: Layout) -> ir.Value:
        """Return ``[N, K, A]`` with the activation as the last node, or the graph's own behind moves."""
        op = self.op
        if layout.activation == "softmax":
            scores = self._columns(layout.scores, first=True)
            return op.Softmax(scores, axis=1) if layout.logits else scores
        scores = self._logits(layout.scores, logits=layout.logits)
        if layout.objectness is not None:
            whole = self._logits(layout.objectness, logits=layout.logits)
            scores = logit_of_product(op, whole, scores)
        result: ir.Value = op.Sigmoid(scores)
        return result

    def boxes(self, layout: Layout, image: tuple[int, int, int]) -> ir.Value:
        """Return ``[N, A, 4]``: left, top, right, bottom in pixels of the model's image."""
        op, (_, height, width) = self.op, image
        boxes = self._columns(layout.boxes, first=False)
        if layout.form == "yxyx":
            boxes = op.Gather(boxes, [1, 0, 3, 2], axis=2)
        places = self._part(boxes, 0, 2, axis=2)
        sizes = self._part(boxes, 2, 4, axis=2)
        if layout.unit == "cells":
            cells, strides = cell_grid(layout.strides, (height, width))
            places = op.Mul(op.Add(places, cells[None]), strides[None])
            sizes = op.Mul(op.Exp(sizes), strides[None])
        if layout.unit == "normalised":
            scale = np.array([[[width, height]]], np.float32)
            places, sizes = op.Mul(places, scale), op.Mul(sizes, scale)
        if layout.form in ("xyxy", "yxyx"):
            begin, end = places, sizes
        elif layout.form == "xywh":
            begin, end = places, op.Add(places, sizes)
        else:
            half = op.Mul(self._upright(sizes, layout), 0.5)
            begin, end = op.Sub(places, half), op.Add(places, half)
        result: ir.Value = op.Concat(begin, end, axis=2)
        return result

    def _upright(self, sizes: ir.Value, layout: Layout) -> ir.Value:
        """Return width and height ``[N, A, 2]`` of the upright boxes that enclose turned ones."""
        if layout.angle is None:
            return sizes
        op, angle = self.op, self._columns(layout.angle, first=False)
        along, across = op.Mul(sizes, op.Cos(angle)), op.Mul(sizes, op.Sin(angle))
        swapped = op.Concat(self._part(across, 1, 2, axis=2), self._part(across, 0, 1, axis=2), axis=2)
        upright: ir.Value = op.Add(op.Abs(along), op.Abs(swapped))
        return upright

    def _logits(self, columns: Columns, *, logits: bool) -> ir.Value:
        """Return ``[N, K, A]`` in front of the sigmoid; of probabilities with another origin, their logit."""
        op = self.op
        if logits:
            return self._columns(columns, first=True)
        value = self._value(columns.value)
        inner = without_sigmoids(self._copies, value) if columns in self._clear else None
        if inner is not None:
            return self._columns(columns, first=True, value=inner)
        self.notes.append(
            f"no sigmoid was found in front of {columns.words()}: its logits are computed from the "
            f"probabilities, which are kept within {_CLOSEST:g} of 0 and 1"
        )
        raw = self._columns(columns, first=True)
        kept = op.Min(op.Max(raw, _CLOSEST), 1 - _CLOSEST)
        result: ir.Value = op.Log(op.Div(kept, op.Sub(1.0, kept)))
        return result

    def _columns(self, columns: Columns, *, first: bool, value: ir.Value | None = None) -> ir.Value:
        """Return the columns as ``[N, columns, A]``, or ``[N, A, columns]`` without ``first``."""
        op, value = self.op, self._value(columns.value) if value is None else _typed(value)
        flat = squeezed(self._shapes[columns.value])
        # Reshaped always, because a value of one image may have no axis for the batch.
        value = op.Reshape(value, [-1, *flat])
        value.shape = ir.Shape([None, *flat])
        if columns.count != columns.extent:
            value = self._part(value, columns.first, columns.last, axis=columns.axis + 1)
        if (columns.axis == 0) != first:
            value = op.Transpose(value, perm=[0, 2, 1])
        return value

    def _value(self, name: str) -> ir.Value:
        return _typed(self._values[name])

    def _part(self, value: ir.Value, first: int, last: int, *, axis: int) -> ir.Value:
        part: ir.Value = self.op.Slice(value, [first], [last], [axis])
        return part


def _typed(value: ir.Value) -> ir.Value:
    """Return ``value`` with a type: behind a branch or an unknown operator onnx infers none."""
    if value.type is None:
        value.type = ir.TensorType(ir.DataType.FLOAT)
    return value


def cell_grid(
    strides: Sequence[int], size: tuple[int, int]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return ``[A, 2]``, column and row of each candidate's cell, and ``[A, 1]``, the stride of its grid."""
    cells, steps = [], []
    for stride in strides:
        rows, columns = (ceil(extent / stride) for extent in size)
        y, x = np.mgrid[0:rows, 0:columns]
        cells.append(np.stack([x.ravel(), y.ravel()], axis=1))
        steps.append(np.full((rows * columns, 1), stride))
    return np.concatenate(cells).astype(np.float32), np.concatenate(steps).astype(np.float32)
