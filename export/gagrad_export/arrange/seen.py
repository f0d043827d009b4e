"""A value as candidates × columns: what it held on the frames, and what stands behind a sigmoid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from gagrad_export.arrange.layout import squeezed
from gagrad_export.arrange.logits import without_sigmoids
from gagrad_export.emit import Op

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import onnx
    from numpy.typing import NDArray

    from gagrad_export.arrange.arranged import Probe

    Array = NDArray[np.float32]

_RAW = "gagrad-raw:"
"""Begins the name of an output that holds a value without its sigmoids."""
_ALIKE = 1e-4


@dataclass(frozen=True)
class Seen:
    """A value that may hold what a detector says of its candidates."""

    name: str
    shape: tuple[int, ...]
    """The row's shape as it is, without the batch."""
    values: Array
    """[F, P, Q] on F frames: either axis may be that of the candidates."""
    sigmoid: NDArray[np.bool_]
    """[P, Q]: whether the element is the output of a sigmoid, moved at most."""

    def columns_last(self, axis: int) -> tuple[Array, NDArray[np.bool_]]:
        """Return ``[F, A, C]`` for columns on ``axis``, and whether each column is a sigmoid's."""
        values: Array = self.values if axis == 1 else self.values.transpose(0, 2, 1)
        flags: NDArray[np.bool_] = np.all(self.sigmoid, axis=1 - axis)
        return values, flags


def looked_at(probe: Probe, names: Iterable[str]) -> dict[str, Seen]:
    """Return what the values ``names`` hold, of those that are candidates × columns on every frame."""
    wanted = list(names)
    if all(name in probe.outputs and not _is_table(probe.outputs[name]) for name in wanted):
        return {}
    proto = with_outputs(probe.model, wanted)
    copy = ir.serde.deserialize_model(proto)
    graph = copy.graph
    op = Op(graph, "look", infer=False)
    for value in [value for value in graph.outputs if value.name in wanted]:
        inner = without_sigmoids(op, value)
        if inner is not None:
            raw = op.Identity(inner)
            raw.name, raw.type = f"{_RAW}{value.name}", value.type
            graph.outputs.append(raw)
    outputs = {
        name: rows
        for name, values in probe.run(ir.serde.serialize_model(copy)).items()
        if (rows := _rows(values, probe.batch)) is not None
    }
    return {name: _seen(name, outputs) for name in wanted if name in outputs and _is_table(outputs[name])}


def with_outputs(model: onnx.ModelProto, names: Iterable[str]) -> onnx.ModelProto:
    """Return ``model`` with the values ``names`` among its outputs."""
    have = {value.name for value in model.graph.output}
    missing = [name for name in names if name not in have]
    if not missing:
        return model
    copy = ir.serde.deserialize_model(model)
    values = {value.name: value for node in copy.graph for value in node.outputs}
    copy.graph.outputs.extend(values[name] for name in missing if name in values)
    return ir.serde.serialize_model(copy)


def _rows(values: Array, batch: int) -> Array | None:
    """Return what ``values [F, …]`` hold of one image of each frame; None where it cannot be told apart.

    Of a batch of one, a value may have no axis for the batch: a model that selects does so image by image.
    """
    if values.shape[1] == batch:
        return values[:, 0]
    return values if batch == 1 else None


def _is_table(values: Array) -> bool:
    """Whether the rows are candidates × columns, of numbers that are finite."""
    shape = values.shape[1:]
    known = len(shape) >= 2 and len(squeezed(shape)) == 2 and values.dtype.kind == "f"
    return known and bool(np.isfinite(values).all())


def _seen(name: str, outputs: Mapping[str, Array]) -> Seen:
    values = outputs[name]
    shape = tuple(int(extent) for extent in values.shape[1:])
    table = values.reshape(len(values), *squeezed(shape)).astype(np.float32)
    raw = outputs.get(_RAW + name)
    if raw is None or raw.shape != values.shape:
        sigmoid = np.zeros(table.shape[1:], bool)
    else:
        inner = raw.reshape(table.shape).astype(np.float64)
        expected = 1 / (1 + np.exp(-np.clip(inner, -700, 700)))
        alike = (np.abs(expected - table) <= _ALIKE) & (inner != table)
        sigmoid = alike.all(axis=0)
    return Seen(name, shape, table, sigmoid)
