"""Operators that move or select elements: with a free batch, in TensorRT-RTX, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest

from gagrad_edge.errors import UnsupportedOperatorError
from gagrad_export.assemble.graph import finish, new_graph
from gagrad_export.differentiate import gradients
from gagrad_export.lower import lower
from tests.export.differentiate.gradient_check import Row
from tests.export.differentiate.rule_table import einsum, indexing, padding, rearrangement, reshaping, scatter
from tests.export.differentiate.rule_table.operands import IMAGE, ints
from tests.export.networks import tensorrt_refuses

FAMILIES = (einsum, indexing, padding, rearrangement, reshaping, scatter)
LINES = np.random.default_rng(0).integers(-6, 6, (2, 3, 4, 7))


@dataclass(frozen=True)
class Free:
    """A row with sizes that the graph does not know: axes by input."""

    row: Row
    axes: Mapping[int, tuple[int, ...]] = field(default_factory=lambda: {0: (0,)})

    def __str__(self) -> str:
        return f"{self.row}-" + "-".join(f"x{i}" + "".join(map(str, axes)) for i, axes in self.axes.items())


def _row(op_type: str, *inputs: Any, fed: tuple[int, ...] = (), outputs: int = 1, **attributes: Any) -> Row:
    opset = 19 if attributes.get("mode") == "wrap" else 18
    return Row(op_type, inputs, attributes, fed=fed, outputs=outputs, opset=opset)


BOTH: Mapping[int, tuple[int, ...]] = {0: (0,), 1: (0,)}
FREE = [
    Free(_row("Slice", IMAGE, ints(0, 1, 0), ints(2**63 - 1, 5, 7), ints(0, -2, -1), ints(1, 1, 2))),
    *(
        Free(_row("Gather", IMAGE, indices, fed=fed, axis=-2))
        for indices in (np.array(2), ints(4, 0, 1), ints(2, 0, 1, 3, 5, 4), np.array([[0, 0], [1, -1]]))
        for fed in ((), (1,))
    ),
    # Queries, keys and values in front of the batch.
    Free(_row("Gather", (3, 2, 4, 5), np.array(1), axis=0), {0: (1,)}),
    Free(_row("GatherElements", IMAGE, LINES, fed=(1,), axis=2), BOTH),
    Free(_row("GatherND", (2, 5, 3), ints(1, -1, 1, 0).reshape(2, 2, 1), fed=(1,), batch_dims=1), BOTH),
    Free(_row("TopK", IMAGE, ints(3), outputs=2)),
    Free(_row("TopK", IMAGE, ints(2), outputs=2, axis=1)),
    Free(_row("Trilu", (2, 4, 5))),
    Free(_row("ReverseSequence", (2, 5, 3), ints(4, 1), fed=(1,), batch_axis=0, time_axis=1), BOTH),
    Free(_row("ScatterElements", IMAGE, LINES % 6, LINES.shape, fed=(1,), axis=2), {**BOTH, 2: (0,)}),
    Free(_row("ScatterND", (2, 4, 3), ints(0, 0, 1, 2).reshape(2, 2), (2, 3), fed=(1,))),
    *(Free(_row("Pad", IMAGE, ints(0, 0, 1, 0, 0, 0, 2, 1), mode=mode)) for mode in ("constant", "wrap")),
    *(Free(_row("Pad", IMAGE, ints(2, 1), None, ints(-1), mode=mode)) for mode in ("edge", "reflect")),
    Free(_row("Einsum", (2, 3, 4), (2, 5, 4), equation="bqc,bkc->bqk"), BOTH),
    Free(_row("Einsum", (2, 3, 4), (4, 5), equation="...c,cd->...d")),
    Free(_row("Einsum", (2, 3, 4), equation="bqc->bc")),
    *(Free(_row("DepthToSpace", (2, 8, 3, 4), blocksize=2, mode=mode)) for mode in ("DCR", "CRD")),
    Free(_row("SpaceToDepth", (2, 3, 6, 4), blocksize=2)),
    Free(_row("Reshape", IMAGE, ints(0, 3, -1))),
    Free(_row("Reshape", (2, 3, 5, 4), ints(0, 0, 20)), {0: (0, 1)}),
    Free(_row("Flatten", IMAGE)),
    Free(_row("Flatten", (2, 3, 4)), {0: (0, 1)}),
    Free(_row("Squeeze", (2, 1, 3, 1), ints(1, 3)), {0: (0, 2)}),
    Free(_row("Unsqueeze", (2, 3), ints(0, 2)), {0: (0, 1)}),
    Free(_row("Expand", (2, 1, 4), ints(1, 3, 4))),
    Free(_row("Tile", (2, 3, 1), ints(1, 2, 4))),
    Free(_row("Concat", (2, 3), (2, 4), axis=-1), BOTH),
    Free(_row("Concat", (1, 3), (2, 3), (2, 3), axis=0), {1: (0,)}),
    Free(_row("Split", (2, 6), ints(1, 2, 3), outputs=3, axis=-1)),
]


def gradient_graph(row: Row, axes: Mapping[int, tuple[int, ...]]) -> bytes:
    """Return operator and gradient of its first output in float32, the output being its own cotangent."""
    op = new_graph("check", row.opset)
    operands: list[Any] = []
    for index, item in enumerate(row.inputs):
        is_input = isinstance(item, tuple) or index in row.fed
        dtype = np.dtype(np.float32) if isinstance(item, tuple) else getattr(item, "dtype", None)
        if is_input and dtype is not None:
            shape: list[int | str] = list(item if isinstance(item, tuple) else item.shape)
            for axis in axes.get(index, ()):
                shape[axis] = "NMKL"[axis]
            tensor_type = ir.TensorType(ir.DataType.from_numpy(dtype))
            item = ir.Value(name=f"x{index}", shape=ir.Shape(shape), type=tensor_type)  # noqa: PLW2901
            op.graph.inputs.append(item)
        operands.append(item)
    y = op.emit(row.op_type, operands, row.attributes, row.outputs)[0]
    active = [i for i, item in enumerate(row.inputs) if isinstance(item, tuple)]
    dxs = gradients(op, {y: y}, [operands[i] for i in active])
    lower(op)
    return finish(
        op, {"y": y, **{f"dx{i}": dx for i, dx in zip(active, dxs, strict=True) if dx is not None}}
    ).complete()


def is_refused_forward(row: Row) -> bool:
    """Tell whether TensorRT refuses the operator itself, or it takes a shape at run time."""
    if row.op_type in ("Expand", "Tile"):
        return bool(row.fed)
    return row.op_type == "Compress" or row.attributes.get("reduction", "none") != "none"


BUILT = {str(row): row for family in FAMILIES for row in family.ROWS if not is_refused_forward(row)}


@pytest.mark.slow
@pytest.mark.parametrize("row", BUILT.values(), ids=str)
def test_operator_and_gradient_build_in_tensorrt(row: Row) -> None:
    """TensorRT-RTX builds each operator that moves elements, with its gradient."""
    assert tensorrt_refuses(gradient_graph(row, {})) == ""


@pytest.mark.slow
def test_what_tensorrt_refuses_forward_is_still_refused() -> None:
    """When this fails an exception above has become needless."""
    rows = [row for family in (indexing, scatter) for row in family.ROWS if is_refused_forward(row)]
    assert all("UNSUPPORTED" in tensorrt_refuses(gradient_graph(row, {})) for row in rows[::5])


@pytest.mark.slow
@pytest.mark.parametrize("free", FREE, ids=str)
def test_unknown_sizes_change_nothing(free: Free) -> None:
    """The gradient of a graph that does not know a size is that of one that does, which the table tests."""
    row, generator = free.row, np.random.default_rng(0)
    graphs = [gradient_graph(row, axes) for axes in ({}, free.axes)]
    sessions = [onnxruntime.InferenceSession(graph) for graph in graphs]
    feeds: dict[str, Any] = {}
    for index, item in enumerate(row.inputs):
        if isinstance(item, tuple):
            feeds[f"x{index}"] = generator.standard_normal(item).astype(np.float32)
        elif index in row.fed:
            feeds[f"x{index}"] = item
    expected, found = (session.run(None, feeds) for session in sessions)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    assert tensorrt_refuses(graphs[1], batch=row.inputs[0][0]) == ""


def test_constant_indices_need_no_scatter() -> None:
    """Nor a matrix of zeros and ones, unless one element is taken far more often than the others."""
    expected = {
        (1, 2, 3): {"Pad"},
        (5, 3, 1): {"Slice", "Pad", "Unsqueeze", "Reshape"},
        tuple(np.random.default_rng(0).permutation(20).tolist()): {"Gather"},
        (2, 0, 1): {"Pad", "Gather"},
        (*range(20), *range(1, 20, 2), *range(20)): {"Pad", "Gather", "ReduceSum"},
        (0,) * 9 + (1, 2, 3): {"MatMul", "Reshape"},
    }
    for indices, operators in expected.items():
        row = _row("Gather", (2, 20, 4), ints(*indices), axis=1)
        model = onnx.load_model_from_string(gradient_graph(row, {}))
        backward = [node.op_type for node in model.graph.node if node.output[0].startswith("gagrad")][1:]
        assert set(backward) - {"Identity"} <= operators, indices


REFUSED = [
    (Free(_row("Gather", (2, 3), ints(0), axis=0)), "axis 0 has no fixed size"),
    (Free(_row("Slice", (2, 3), ints(0), ints(1), ints(0))), "axis 0 has no fixed size"),
    (Free(_row("Slice", (2, 3), ints(0), ints(1), ints(1), fed=(1,)), {}), "the bounds are computed"),
    (Free(_row("Concat", (2, 3), (2, 3), axis=0), BOTH), "more than one input has no fixed size"),
    (Free(_row("Pad", (2, 3), ints(0, -1, 0, 0), mode="edge"), {}), "by \\(-1, 0\\) in mode 'edge'"),
    (Free(_row("Pad", (2, 3), ints(0, 1, 0, 0), fed=(1,)), {}), "the padding is computed"),
    (Free(_row("Unique", (6,)), {}), "has no differentiation rule"),
    (
        Free(_row("Gather", (1, 1 << 16), np.zeros(512, np.int64), fed=(1,), axis=1), {}),
        "512 computed indices into 65536 elements",
    ),
    *(
        (
            Free(_row("ScatterND", (4,), ints(0, 0).reshape(2, 1), (2,), fed=fed, reduction="mul"), {}),
            "indices that repeat, or are computed",
        )
        for fed in ((), (1,))
    ),
]


@pytest.mark.parametrize(("free", "why"), REFUSED, ids=str)
def test_what_cannot_be_differentiated_is_refused_with_a_reason(free: Free, why: str) -> None:
    """A form without a gradient raises UnsupportedOperatorError with reason and hint."""
    with pytest.raises(UnsupportedOperatorError, match=why) as refusal:
        gradient_graph(free.row, free.axes)
    assert refusal.value.hint
