"""Where a derivative jumps, or its formula divides by zero, the gradient is PyTorch's: finite, by rule."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from gagrad_edge.errors import UnsupportedOperatorError
from gagrad_export.emit import Op
from tests.export.differentiate.gradient_check import Row, gradient_at, worst_error

KINK = [-1.0, 0.0, 0.0, 2.0]
ZEROS = [[3.0, -2.0, 0.5], [3.0, 0.0, 0.5], [0.0, -2.0, 0.0], [0.0, 0.0, 0.0]]
FAR = [-1000.0, -50.0, -5.0, 0.0, 5.0, 50.0, 1000.0]


@dataclass(frozen=True)
class Case:
    """An operator at chosen inputs, and the PyTorch function with the same derivative."""

    op_type: str
    inputs: list[Any]
    function: Callable[..., torch.Tensor]
    attributes: dict[str, Any] = field(default_factory=dict)
    opset: int = 18
    constants: tuple[Any, ...] = ()
    dtype: str = "float64"

    def __str__(self) -> str:
        return "-".join([self.op_type, *(f"{k}={v}" for k, v in self.attributes.items())])


ROW_AXIS = (np.array([1]),)
CASES = [
    Case("Max", [[1.0, 2.0, 3.0], [1.0, 5.0, -1.0]], torch.maximum),
    Case("Min", [[1.0, 2.0, 3.0], [1.0, 5.0, -1.0]], torch.minimum),
    Case("Max", [[[1.0, 2.0, 3.0]], [[1.0], [2.0]]], torch.maximum),
    Case("Pow", [[0.0, 0.0, 0.0, 2.0, 3.0], [0.0, 1.0, 2.0, 0.0, -1.0]], torch.pow),
    Case("ReduceL2", [ZEROS], lambda x: torch.linalg.vector_norm(x, dim=1), {"keepdims": 0}, 18, ROW_AXIS),
    Case("ReduceL1", [ZEROS], lambda x: torch.linalg.vector_norm(x, 1, 1), {"keepdims": 0}, 18, ROW_AXIS),
    Case("ReduceProd", [ZEROS], lambda x: torch.prod(x, 1), {"keepdims": 0}, 18, ROW_AXIS),
    Case("ReduceMax", [ZEROS], lambda x: torch.amax(x, 1), {"keepdims": 0}, 18, ROW_AXIS),
    Case("PRelu", [KINK, [0.2]], functional.prelu),
    Case("Elu", [KINK], lambda x: functional.elu(x, 0.5), {"alpha": 0.5}),
    Case("Selu", [KINK], torch.selu),
    Case("Celu", [KINK], lambda x: functional.celu(x, 0.5), {"alpha": 0.5}, dtype="float32"),
    Case("ThresholdedRelu", [[1.0, 0.9, 1.1]], lambda x: functional.threshold(x, 1.0, 0.0)),
    Case("Shrink", [[-0.5, 0.5, 0.6, -0.6]], functional.hardshrink),
    Case("Shrink", [[-0.5, 0.5, 0.6, -0.6]], functional.softshrink, {"bias": 0.5}),
    *(
        Case(name, [FAR], function, attributes, opset)
        for name, function, attributes, opset in (
            ("Mish", functional.mish, {}, 18),
            ("Swish", functional.silu, {}, 24),
            ("Gelu", functional.gelu, {}, 20),
            ("Gelu", lambda x: functional.gelu(x, approximate="tanh"), {"approximate": "tanh"}, 20),
            ("Softsign", functional.softsign, {}, 18),
        )
    ),
]


def _row(case: Case, values: list[Any]) -> Row:
    shapes = tuple(value.shape for value in values)
    return Row(case.op_type, (*shapes, *case.constants), case.attributes, opset=case.opset, dtype=case.dtype)


# The reference evaluator computes branches that it then drops.
@pytest.mark.filterwarnings("ignore:(overflow|invalid value):RuntimeWarning")
@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_gradient_at_a_kink_is_torchs(case: Case) -> None:
    """The gradient at a kink is finite and the one that torch's autograd gives."""
    values = [np.array(value, case.dtype) for value in case.inputs]
    tensors = [torch.tensor(value, requires_grad=True) for value in values]
    y = case.function(*tensors)
    dy = np.random.default_rng(0).standard_normal(tuple(y.shape)).astype(case.dtype)
    y.backward(torch.tensor(dy))
    found = gradient_at(_row(case, values), [*values, *case.constants], dy)
    for dx, tensor in zip(found, tensors, strict=True):
        assert tensor.grad is not None
        # An ONNX attribute is a float32 and agrees with torch's constants no better.
        np.testing.assert_allclose(dx, tensor.grad.numpy(), rtol=1e-6, atol=1e-6)


def test_a_tie_of_three_is_shared_by_three() -> None:
    """Max over three equal inputs gives each a third of the gradient."""
    ones = [np.ones(1)] * 3
    found = gradient_at(Row("Max", ((1,),) * 3), ones, np.array([6.0]))
    np.testing.assert_allclose(found, [[2.0]] * 3)


@pytest.mark.parametrize("p", [1, 2])
def test_a_vector_of_zeros_that_is_normalised_has_no_gradient(p: int) -> None:
    """The operator is defined to give 0 there."""
    row = Row("LpNormalization", ((2, 3),), {"p": p}, engine="onnxruntime")
    (dx,) = gradient_at(row, [np.array([[0.0, 0.0, 0.0], [0.0, 3.0, 4.0]])], np.ones((2, 3)))
    assert not dx[0].any()
    assert np.isfinite(dx).all()


def test_a_selected_element_alone_gets_the_gradient() -> None:
    """Where passes the gradient to the selected input only."""
    condition = np.array([True, False])
    row = Row("Where", (condition, (2,), (2,)))
    da, db = gradient_at(row, [condition, np.zeros(2), np.zeros(2)], np.array([3.0, 5.0]))
    np.testing.assert_array_equal(da, [3.0, 0.0])
    np.testing.assert_array_equal(db, [0.0, 5.0])


def test_batch_normalization_in_training_mode_is_refused() -> None:
    """BatchNormalization in training mode is refused, with eval() as the hint."""
    statistics = tuple(np.ones(3) for _ in range(4))
    row = Row("BatchNormalization", ((2, 3, 4), *statistics), {"training_mode": 1}, outputs=3)
    with pytest.raises(UnsupportedOperatorError, match="training mode") as refusal:
        worst_error(row)
    assert refusal.value.hint is not None
    assert "eval()" in refusal.value.hint


def test_used_statistics_of_layer_normalization_are_refused() -> None:
    """LayerNormalization whose statistics are used elsewhere is refused."""
    with pytest.raises(UnsupportedOperatorError, match="inverse standard deviation"):
        worst_error(Row("LayerNormalization", ((2, 8), np.ones(8)), outputs=3))


def test_computed_axes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reducing over all axes instead would be a wrong gradient without a word."""
    emit = Op.emit

    def computed(op: Op, op_type: str, inputs: Any, attributes: Any, outputs: int = 1) -> Any:
        if op_type == "ReduceSum" and len(inputs) == 2:
            inputs = [inputs[0], emit(op, "Abs", [op.constant(inputs[1])], {})[0]]
        return emit(op, op_type, inputs, attributes, outputs)

    monkeypatch.setattr(Op, "emit", computed)
    with pytest.raises(UnsupportedOperatorError, match="axes of operator ReduceSum are computed"):
        worst_error(Row("ReduceSum", ((2, 3), np.array([1])), {"keepdims": 1}))
