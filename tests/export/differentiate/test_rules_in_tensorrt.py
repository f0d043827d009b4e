"""Gradients of elementwise, reducing and normalising operators build in TensorRT-RTX, in float32."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from gagrad_export.assemble.graph import add_input, finish, new_graph
from gagrad_export.differentiate import gradients
from gagrad_export.lower import lower
from tests.export.differentiate.gradient_check import Row
from tests.export.differentiate.rule_table import (
    activation,
    elementwise,
    normalisation,
    reduction,
    selection,
    trigonometry,
)
from tests.export.networks import tensorrt_refuses

FAMILIES = (activation, elementwise, normalisation, reduction, selection, trigonometry)


def distinct(rows: list[Row]) -> list[Row]:
    """Keep one row of those that differ only in the numbers drawn, and none of an opset no export has."""
    found = {str(row): row for row in rows if row.opset >= 18 and not forward_is_refused(row)}
    return list(found.values())


def forward_is_refused(row: Row) -> bool:
    """Tell whether TensorRT refuses the operator itself: LRN over an even number of channels."""
    return row.op_type == "LRN" and row.attributes["size"] % 2 == 0


def gradient_graph(row: Row) -> bytes:
    """Return operator and gradient in one graph; a leading axis as long as a row's batch (2, 5) is free."""
    op = new_graph("check", row.opset)
    operands: list[Any] = []
    active: list[ir.Value] = []
    for index, item in enumerate(row.inputs):
        if not isinstance(item, tuple):
            operands.append(np.float32(item) if _is_float(item) else item)
            continue
        shape = ["N", *item[1:]] if len(item) > 1 and item[0] in (2, 5) else item
        active.append(add_input(op, f"x{index}", shape))
        operands.append(active[-1])
    (y,) = op.emit(row.op_type, operands, row.attributes)
    if y.shape is None:
        y.shape = active[0].shape
    dy = add_input(op, "dy", [dim if isinstance(dim, int) else str(dim) for dim in y.shape])
    dxs = gradients(op, {y: dy}, active)
    outputs = {f"dx{i}": op.Identity(dx) for i, dx in enumerate(dxs) if dx is not None}
    outputs["y"] = op.Identity(y)
    lower(op)
    return finish(op, outputs).complete()


def _is_float(item: Any) -> bool:
    return isinstance(item, np.ndarray) and item.dtype.kind == "f"


@pytest.mark.slow
def test_what_tensorrt_refuses_forward_is_still_refused() -> None:
    """When this fails the exception above has become needless."""
    refused = [row for row in normalisation.ROWS if forward_is_refused(row)]
    assert refused
    assert all("WINDOW" in tensorrt_refuses(gradient_graph(row)) for row in refused)


@pytest.mark.slow
@pytest.mark.parametrize("row", distinct([row for family in FAMILIES for row in family.ROWS]), ids=str)
def test_operator_and_gradient_build(row: Row) -> None:
    """TensorRT-RTX builds each operator of these families, with its gradient."""
    assert tensorrt_refuses(gradient_graph(row)) == ""
