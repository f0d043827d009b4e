"""Lowerings where rounding or ties decide: exact at the bound, first of equal maxima, as in PyTorch."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest
import torch

from gagrad_edge.manifest import GraphTarget
from gagrad_export.assemble.graph import add_input, finish, new_graph
from gagrad_export.differentiate import gradients
from gagrad_export.emit import Op
from gagrad_export.lower import lower
from tests.export.networks import tensorrt_refuses


def gradient_graph(op: Op, x: ir.Value, y: ir.Value, target: GraphTarget = "portable") -> bytes:
    """Return ``(x, dy) → dx`` as ONNX bytes, lowered."""
    dy = add_input(op, "dy", [dim if isinstance(dim, int) else str(dim) for dim in y.shape or []])
    (dx,) = gradients(op, {y: dy}, [x])
    assert dx is not None
    lowered = {"dx": op.Identity(dx)}
    lower(op, target)
    return finish(op, lowered).complete()


def run(graph: bytes, **feeds: np.ndarray) -> np.ndarray:
    result: np.ndarray = onnxruntime.InferenceSession(graph).run(None, feeds)[0]
    return result


TARGETS: tuple[GraphTarget, ...] = ("portable", "tensorrt")
POOLS = [
    # kernel, stride, pad, dilation, size
    (2, 2, 0, 1, (8, 6)),
    (3, 2, 1, 1, (9, 8)),
    (3, 2, 0, 1, (9, 8)),
    (3, 1, 1, 1, (5, 7)),
    (3, 3, 1, 1, (10, 8)),
    (5, 1, 2, 1, (6, 6)),
    (2, 1, 0, 1, (4, 4)),
    (2, 3, 1, 1, (7, 7)),
    (3, 1, 1, 2, (8, 9)),
    (3, 2, 1, 1, (112, 112)),
]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("behind_relu", [False, True])
@pytest.mark.parametrize(("kernel", "stride", "pad", "dilation", "size"), POOLS)
def test_max_pool_ties_go_to_the_first(
    kernel: int,
    stride: int,
    pad: int,
    dilation: int,
    size: tuple[int, int],
    behind_relu: bool,
    target: GraphTarget,
) -> None:
    """Small whole numbers, so that most windows have several maxima, zeros and negative ones among them."""
    rng = np.random.default_rng(0)
    x = rng.integers(-2, 3, (2, 8, *size)).astype(np.float32)
    op = new_graph("pool")
    value = add_input(op, "x", ["N", 8, *size])
    inner = op.Relu(value) if behind_relu else value
    shape = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "dilations": [dilation] * 2}
    y = op.MaxPool(inner, pads=[pad] * 4, **shape)
    graph = gradient_graph(op, value, y, target)
    leaf = torch.from_numpy(x).requires_grad_()
    source = leaf.relu() if behind_relu else leaf
    expected = torch.nn.functional.max_pool2d(source, kernel, stride, pad, dilation)
    dy = rng.standard_normal(expected.shape).astype(np.float32)
    expected.backward(torch.from_numpy(dy))
    assert leaf.grad is not None
    np.testing.assert_allclose(run(graph, x=x, dy=dy), leaf.grad.numpy(), rtol=0, atol=1e-6)


def test_a_pixel_that_no_window_chose_gets_exactly_nothing() -> None:
    """The differences behind the placing cancel exactly; 1e-8 would tint the whole map."""
    rng = np.random.default_rng(3)
    op = new_graph("pool")
    value = add_input(op, "x", ["N", 8, 56, 56])
    y = op.MaxPool(op.Relu(value), kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    graph = gradient_graph(op, value, y)
    x = rng.standard_normal((4, 8, 56, 56)).astype(np.float32)
    dy = rng.standard_normal((4, 8, 28, 28)).astype(np.float32) * 1e3
    leaf = torch.from_numpy(x).requires_grad_()
    torch.nn.functional.max_pool2d(leaf.relu(), 3, 2, 1).backward(torch.from_numpy(dy))
    assert leaf.grad is not None
    np.testing.assert_array_equal(run(graph, x=x, dy=dy) == 0, leaf.grad.numpy() == 0)


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(("lower_bound", "upper_bound"), [(0.0, 6.0), (-1.0, 1.0), (0.1, 0.7), (-3e9, 3e9)])
def test_a_gate_is_closed_at_its_bounds_and_open_beside_them(
    lower_bound: float, upper_bound: float, target: GraphTarget
) -> None:
    """At the bound itself 0; at the next float32 inside, all of the cotangent."""
    low, high = np.float32(lower_bound), np.float32(upper_bound)
    inside = [np.nextafter(low, high), np.float32(0.3), np.nextafter(high, low)]
    if low == 0:
        inside[0] = np.float32(1e-30)  # documented: within 2⁻¹⁰⁰ of a bound at 0 the step is a ramp
    outside = [low, high, np.nextafter(low, -np.inf, dtype=np.float32), high * 2]
    x = np.array([[*inside, *outside]], np.float32)
    op = new_graph("gate")
    value = add_input(op, "x", ["N", x.shape[1]])
    graph = gradient_graph(op, value, op.Clip(value, float(low), float(high)), target)
    dy = np.arange(1, x.shape[1] + 1, dtype=np.float32)[None]
    expected = np.where(np.arange(x.shape[1]) < len(inside), dy, 0)
    np.testing.assert_array_equal(run(graph, x=x, dy=dy), expected)
    assert tensorrt_refuses(graph) == ""


def test_no_hard_sigmoid_has_an_attribute_of_0() -> None:
    """OpenVINO takes 0 for absent, and so for the default: gates would let half of the cotangent pass."""
    op = new_graph("attributes")
    value = add_input(op, "x", ["N", 8])
    gradient_graph(op, value, op.HardSwish(op.Clip(op.Relu(value), -1.0, 0.0)))
    steps = [node for node in op.graph if node.op_type == "HardSigmoid"]
    assert len(steps) > 4
    assert all(node.attributes[name].as_float() != 0 for node in steps for name in node.attributes)
