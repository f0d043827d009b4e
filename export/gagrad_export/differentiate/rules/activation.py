"""Activation functions. A rule reads the output y where the derivative is a function of y."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from gagrad_export.differentiate.registry import vjp
from gagrad_export.emit import as_float, attribute, constant_array, operand

if TYPE_CHECKING:
    import onnx_ir as ir

    from gagrad_export.emit import Op

_UNLIMITED = 3.4e38
"""A bound of this magnitude (float32's largest value) is treated as absent."""


@vjp("Relu", since=(6, 13, 14), elementwise=True)
def relu(op: Op, node: ir.Node, dy: ir.Value) -> ir.Value:
    """y = max(x, 0)  ⟹  dx = dy·[y > 0]; 0 at the kink, as in PyTorch."""
    return gate(op, dy, node.outputs[0], lower=0.0)


@vjp("LeakyRelu", since=(6, 16), elementwise=True)
def leaky_relu(op: Op, node: ir.Node, dy: ir.Value) -> ir.Value:
    """y = x if x > 0 else αx  ⟹  dx = dy·(α + (1 − α)·[x > 0])."""
    alpha = attribute(node, "alpha", 0.01)
    slope = op.Add(op.Mul(positive(op, operand(node, 0)), 1 - alpha), alpha)
    return op.Mul(dy, slope)


@vjp("PRelu", since=(7, 9, 16))
def prelu(op: Op, node: ir.Node, dy: ir.Value) -> tuple[ir.Value, ir.Value]:
    """y = x if x > 0 else s·x  ⟹  dx = dy·(s + (1 − s)·[x > 0]), ds = dy·min(x, 0)."""
    x, slope = operand(node, 0), operand(node, 1)
    dx = op.Mul(dy, op.Add(op.Mul(positive(op, x), op.Sub(1.0, slope)), slope))
    return dx, op.Mul(dy, op.Min(x, 0.0))


@vjp("ThresholdedRelu", since=(10, 22), elementwise=True)
def thresholded_relu(op: Op, node: ir.Node, dy: ir.Value) -> ir.Value:
    """y = x if x > α else 0  ⟹  dx = dy·[x > α]."""
    x = operand(node, 0)
    return op.Mul(dy, as_float(op, op.Greater(x, attribute(node, "alpha", 1.0)), x))


@vjp("Shrink", since=9, elementwise=True)
def shrink(op: Op, node: ir.Node, dy: ir.Value) -> ir.Value:
    """y = x + b for x < −λ, x − b for x > λ, 0 between  ⟹  dx = dy·[|x| > λ]."""
    x = operand(node, 0)
    return op.Mul(dy, as_float(op, op.Greater(op.Abs(x), attribute(node, "lambd", 0.5)), x))


@vjp("Clip", since=(6, 11, 12, 13), elementwise=True)
def clip(op: Op, node: ir.Node, dy: ir.Value) -> list[ir.Value]:
    """y = min(max(x, lo), hi)  ⟹  dx = dy·[lo < y < hi].

    The mask is computed from the output y, which equals x strictly between the bounds. A bound that is an
    input of the node is taken as constant. At the bounds dx is 0, as for PyTorch's hardtanh and ReLU6.
    """
    y = node.outputs[0]
    bounds = [attribute(node, "min"), attribute(node, "max")]
    for index, value in enumerate(node.inputs[1:]):
        bounds[index] = value
    for name, bound in zip(("lower", "upper"), bounds, strict=True):
        number = _number(bound)
        if number is not None and abs(number) < _UNLIMITED:
            dy = gate(op, dy, y, **{name: number})
        elif number is None and bound is not None:
            inside = op.Greater(y, bound) if name == "lower" else op.Less(y, bound)
            dy = op.Mul(dy, as_float(op, inside, y))
    return [dy]


@vjp("Sigmoid", since=(6, 13), elementwise=True)
def sigmoid(op: Op, node: ir.Node, dy: ir.Value) -> ir.Value:
    """y = 1/(1 + e⁻ˣ)  ⟹  dx = dy·y·(1 − y).

    1 − y is written as HardSigmoid, clip(−y + 1, 0, 1), which is equal for y in 0..1. Unlike Sub, HardSigmoid
    keeps the blocked layout of the surrounding convolutions in ONNX Runtime.
    """
    y = node.outputs[0]
    return op.Mul(dy, op.Mul(y, op.HardSigmoid(y, alpha=-1.0, beta=1.0)))


@vjp("Tanh", since=(6, 13), elementwise=True)
def tanh(op: Op, node: ir.Node, dy: ir.Value) -> ir.Value:
    """y = tanh x  ⟹  dx = dy·(1 − y²)."""
    y = node.outputs[0]
    return op.Mul(dy, op.Sub(1.0, op.Mul(y, y)))


@vjp("HardSigmoid", since=(6, 22), elementwise=True)
def hard_sigmoid(op: Op, node: ir.Node, dy: ir.Value) -> ir.Value:
    """y = clip(αx + β, 0, 1)  ⟹  dx = dy·α·[0 < y < 1]."""
    return op.Mul(gate(op, dy, node.outputs[0], lower=0.0, upper=1.0), attribute(node, "alpha", 0.2))


@vjp("HardSwish", since=(14, 22), elementwise=True)
def hard_swish(op: Op, node: ir.Node, dy: ir.Value) -> ir.Value:
    """y = x·h(x), h = clip(x/6 + ½, 0, 1)  ⟹  dx = dy·(h(x) + x/6·[−3 < x < 3]).

    The constant 1/6 is a HardSigmoid of slope 0, which keeps the blocked layout as in ``sigmoid``.
    """
    x = operand(node, 0)
    # OpenVINO reads a slope of 0 as a missing attribute and takes the default, so the slope is 2⁻¹²⁶.
    sixth = op.HardSigmoid(x, alpha=2.0**-126, beta=1 / 6)
    ramp = gate(op, op.Mul(x, sixth), x, lower=-3.0, upper=3.0)
    return op.Mul(dy, op.Add(op.HardSigmoid(x, alpha=1 / 6, beta=0.5), ramp))


@vjp("Elu", since=(6, 22), elementwise=True)
def elu(op: Op, node: ir.Node, dy: ir.Value) -> ir.Value:
    """y = x if x > 0 else α(eˣ − 1)  ⟹  dx = dy·(1 if x > 0 else y + α)."""
    alpha = attribute(node, "alpha", 1.0)
    return op.Mul(dy, _exponential_slope(op, node.outputs[0], alpha, 1.0))


@vjp("Selu", since=(6, 22), elementwise=True)
def selu(op: Op, node: ir.Node, dy: ir.Value) -> ir.Value:
    """y = γx if x > 0 else γα(eˣ − 1)  ⟹  dx = dy·(γ if x > 0 else y + γα)."""
    alpha = attribute(node, "alpha", 1.67326319217681884765625)
    gamma = attribute(node, "gamma", 1.05070102214813232421875)
    return op.Mul(dy, _exponential_slope(op, node.outputs[0], gamma * alpha, gamma))


@vjp("Celu", since=12, elementwise=True)
def celu(op: Op, node: ir.Node, dy: ir.Value) -> ir.Value:
    """y = x if x > 0 else α(exp(x/α) − 1)  ⟹  dx = dy·(1 if x > 0 else y/α + 1) = dy·(min(y, 0)/α + 1)."""
    below = op.Min(node.outputs[0], 0.0)
    return op.Mul(dy, op.Add(op.Mul(below, 1 / attribute(node, "alpha", 1.0)), 1.0))


@vjp("Gelu", since=20, elementwise=True)
def gelu(op: Op, node: ir.Node, dy: ir.Value) -> ir.Value:
    """y = x·Φ(x)  ⟹  dx = dy·(Φ(x) + x·φ(x)), φ the density of the normal distribution Φ.

    With ``approximate="tanh"``: Φ(x) = s = ½(1 + tanh u) = sigmoid(2u) with 2u = √(8/π)·(x + 0.044715x³), so
    that x·ds/dx = x·s·(1 − s)·(2u)′ = y·(1 − s)·(2u)′.
    """
    x, y = operand(node, 0), node.outputs[0]
    square = op.Mul(x, x)
    if attribute(node, "approximate", "none") == "tanh":
        scale, cubic = math.sqrt(8 / math.pi), 0.044715
        s = op.Sigmoid(op.Mul(x, op.Add(op.Mul(square, scale * cubic), scale)))
        slope = op.Add(op.Mul(square, 3 * scale * cubic), scale)
        return op.Mul(dy, op.Add(s, op.Mul(op.Mul(y, op.Sub(1.0, s)), slope)))
    cumulative = op.Add(op.Mul(op.Erf(op.Mul(x, math.sqrt(0.5))), 0.5), 0.5)
    density = op.Mul(op.Exp(op.Mul(square, -0.5)), 1 / math.sqrt(2 * math.pi))
    return op.Mul(dy, op.Add(cumulative, op.Mul(x, density)))


@vjp("Swish", since=24, elementwise=True)
def swish(op: Op, node: ir.Node, dy: ir.Value) -> ir.Value:
    """y = x·s, s = sigmoid(αx)  ⟹  dx = dy·(s + α·y·(1 − s))."""
    x, alpha = operand(node, 0), attribute(node, "alpha", 1.0)
    s = op.Sigmoid(x if alpha == 1.0 else op.Mul(x, alpha))
    scaled = node.outputs[0] if alpha == 1.0 else op.Mul(node.outputs[0], alpha)
    return op.Mul(dy, op.Add(s, op.Mul(scaled, op.Sub(1.0, s))))


@vjp("Mish", since=(18, 22), elementwise=True)
def mish(op: Op, node: ir.Node, dy: ir.Value) -> ir.Value:
    """y = x·t, t = tanh(softplus x)  ⟹  dx = dy·(t + (x − y·t)·sigmoid x), as x·(1 − t²) = x − y·t."""
    x, y = operand(node, 0), node.outputs[0]
    t = op.Tanh(op.Softplus(x))
    return op.Mul(dy, op.Add(t, op.Mul(op.Sub(x, op.Mul(y, t)), op.Sigmoid(x))))


@vjp("Softsign", since=(1, 22), elementwise=True)
def softsign(op: Op, node: ir.Node, dy: ir.Value) -> ir.Value:
    """y = x/(1 + |x|)  ⟹  dx = dy/(1 + |x|)²."""
    root = op.Add(op.Abs(operand(node, 0)), 1.0)
    return op.Div(dy, op.Mul(root, root))


@vjp("Softplus", since=(1, 22), elementwise=True)
def softplus(op: Op, node: ir.Node, dy: ir.Value) -> ir.Value:
    """y = ln(1 + eˣ)  ⟹  dx = dy·sigmoid(x)."""
    return op.Mul(dy, op.Sigmoid(operand(node, 0)))


@vjp("Erf", since=(9, 13), elementwise=True)
def erf(op: Op, node: ir.Node, dy: ir.Value) -> ir.Value:
    """y = erf x  ⟹  dx = dy·(2/√π)·exp(−x²)."""
    x = operand(node, 0)
    return op.Mul(dy, op.Mul(op.Exp(op.Neg(op.Mul(x, x))), 2 / math.sqrt(math.pi)))


@vjp("Softmax", since=13)
def softmax(op: Op, node: ir.Node, dy: ir.Value) -> ir.Value:
    """y = softmax x  ⟹  dx = y·(dy − Σ dy·y), the sum along the softmax axis."""
    y, axis = node.outputs[0], attribute(node, "axis", -1)
    weighted = op.Mul(dy, y)
    return op.Sub(weighted, op.Mul(y, op.ReduceSum(weighted, [axis], keepdims=1)))


@vjp("LogSoftmax", since=13)
def log_softmax(op: Op, node: ir.Node, dy: ir.Value) -> ir.Value:
    """y = log softmax x  ⟹  dx = dy − eʸ·Σ dy, the sum along the softmax axis."""
    axis = attribute(node, "axis", -1)
    total = op.ReduceSum(dy, [axis], keepdims=1)
    return op.Sub(dy, op.Mul(op.Exp(node.outputs[0]), total))


def positive(op: Op, x: ir.Value) -> ir.Value:
    """Return the mask [x > 0] as 0 and 1 in the dtype of ``x``."""
    return as_float(op, op.Greater(x, 0.0), x)


def gate(op: Op, dy: ir.Value, y: ir.Value, **bounds: float) -> ir.Value:
    """Return ``dy`` where lower < y < upper and 0 elsewhere; see ``lower/gate.py``."""
    return op.internal("Gate", [dy, y], like=y, **bounds)


def _exponential_slope(op: Op, y: ir.Value, left: float, right: float) -> ir.Value:
    """Return y + ``left`` where y ≤ 0 and ``right`` elsewhere: min(y, 0) + left + (right − left)·[y > 0]."""
    slope = op.Add(op.Min(y, 0.0), left)
    return slope if left == right else op.Add(slope, op.Mul(positive(op, y), right - left))


def _number(bound: ir.Value | float | None) -> float | None:
    """Return the bound as a number; None if there is no bound or the graph computes it."""
    if bound is None or isinstance(bound, (int, float)):
        return bound
    known = constant_array(bound)
    return None if known is None else float(known)
