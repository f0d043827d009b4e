"""Normalisation: subtract a mean, divide by a root mean square, scale and shift.

Most of these operators consist of two steps, and each step has one rule here: centring, c = x − mean x, which
is its own adjoint, and division by the root mean square. Both are recomputed from x. The normalised value
could be had from the output, as (y − β)/γ, but that fails for γ = 0 and saves nothing: σ has to be computed
from x, and that needs c. The operators' optional outputs for mean and 1/σ cannot be used: TensorRT refuses
them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gagrad_edge.errors import UnsupportedOperatorError
from gagrad_export.differentiate.registry import vjp
from gagrad_export.emit import as_float, attribute, constant_array, operand, static_shape

if TYPE_CHECKING:
    import onnx_ir as ir

    from gagrad_export.emit import Op


@vjp("BatchNormalization", since=(9, 14, 15), elementwise=True, limits="not in training mode")
def batch_normalization(op: Op, node: ir.Node, dy: ir.Value, *running: ir.Value | None) -> list[ir.Value]:
    """y = γ·(x − μ)/√(σ² + ε) + β with fixed μ, σ²  ⟹  dx = dy·γ/√(σ² + ε)."""
    if attribute(node, "training_mode", 0):
        raise UnsupportedOperatorError(
            "operator BatchNormalization is in training mode: each image's scores depend on the whole batch",
            where=f"node {node.name!r}",
            hint="export the model in evaluation mode (in PyTorch: model.eval())",
        )
    gamma, variance = operand(node, 1), operand(node, 4)
    epsilon = attribute(node, "epsilon", 1e-5)
    known = [constant_array(gamma), constant_array(variance)]
    if known[0] is not None and known[1] is not None:
        scale = op.constant(known[0] / np.sqrt(known[1] + np.float32(epsilon)))
    else:
        scale = op.Div(gamma, op.Sqrt(op.Add(variance, epsilon)))
    return [op.Mul(dy, _per_channel(op, scale, node))]


@vjp("LayerNormalization", since=17, limits="its mean and inverse deviation must not be used")
def layer_normalization(op: Op, node: ir.Node, dy: ir.Value, *statistics: ir.Value | None) -> list[ir.Value]:
    """y = γ·(x − μ)/√(σ² + ε) + β, μ and σ² over the last axes  ⟹  see ``_standardisation`` with γ·dy."""
    if any(statistics):
        raise UnsupportedOperatorError(
            "the mean or the inverse standard deviation that LayerNormalization returns is used",
            where=f"node {node.name!r}",
            hint="compute it with ReduceMean in the model, or explain another output with `output_name`",
        )
    x, gamma = operand(node, 0), operand(node, 1)
    return [_standardisation(op, x, op.Mul(dy, gamma), _last_axes(node), attribute(node, "epsilon", 1e-5))]


@vjp("RMSNormalization", since=23)
def rms_normalization(op: Op, node: ir.Node, dy: ir.Value) -> list[ir.Value]:
    """y = γ·x/√(mean x² + ε) over the last axes  ⟹  see ``_division_by_rms`` with γ·dy."""
    x, gamma = operand(node, 0), operand(node, 1)
    return [_division_by_rms(op, x, op.Mul(dy, gamma), _last_axes(node), attribute(node, "epsilon", 1e-5))]


@vjp("InstanceNormalization", since=(6, 22))
def instance_normalization(op: Op, node: ir.Node, dy: ir.Value) -> list[ir.Value]:
    """y = γ·(x − μ)/√(σ² + ε) + β, μ and σ² over each channel  ⟹  see ``_standardisation`` with γ·dy."""
    x = operand(node, 0)
    g = op.Mul(dy, _per_channel(op, operand(node, 1), node))
    axes = list(range(2, len(static_shape(x))))
    return [_standardisation(op, x, g, axes, attribute(node, "epsilon", 1e-5))]


@vjp("MeanVarianceNormalization", since=(9, 13))
def mean_variance_normalization(op: Op, node: ir.Node, dy: ir.Value) -> ir.Value:
    """y = (x − μ)/(σ + 10⁻⁹)  ⟹  see ``_standardisation``.

    The divisor is written √(σ² + 10⁻¹⁸). It equals σ + 10⁻⁹ at σ = 0, and in float32 wherever σ ≫ 10⁻⁹.
    """
    return _standardisation(op, operand(node, 0), dy, attribute(node, "axes", [0, 2, 3]), 1e-18)


@vjp("LpNormalization", since=(1, 22))
def lp_normalization(op: Op, node: ir.Node, dy: ir.Value) -> ir.Value:
    """y = x/‖x‖  ⟹  dx = (dy − d·Σ dy·y)/‖x‖ with d = ∂‖x‖/∂x: y for p = 2, sign x for p = 1.

    Where the norm is 0 the operator gives the constant 0, so the gradient is 0.
    """
    x, y, axis = operand(node, 0), node.outputs[0], attribute(node, "axis", -1)
    absolute = attribute(node, "p", 2) == 1
    norm = (op.ReduceL1 if absolute else op.ReduceL2)(x, [axis], keepdims=1)
    zero = as_float(op, op.Equal(norm, 0.0), norm)
    inverse = op.Div(op.Sub(1.0, zero), op.Add(norm, zero))
    along = op.ReduceSum(op.Mul(dy, y), [axis], keepdims=1)
    return op.Mul(op.Sub(dy, op.Mul(op.Sign(x) if absolute else y, along)), inverse)


@vjp("LRN", since=(1, 13))
def local_response_normalization(op: Op, node: ir.Node, dy: ir.Value) -> ir.Value:
    """y = x·S⁻ᵝ, S = k + α·A(x²)  ⟹  dx = dy·S⁻ᵝ − 2αβ·x·Aᵀ(dy·y/S), A the mean over nearby channels."""
    x, y, size = operand(node, 0), node.outputs[0], attribute(node, "size")
    alpha, beta = attribute(node, "alpha", 1e-4), attribute(node, "beta", 0.75)
    before, after = (size - 1) // 2, size // 2
    squares = _channel_mean(op, op.Mul(x, x), before, after)
    s = op.Add(op.Mul(squares, alpha), attribute(node, "bias", 1.0))
    direct = op.Mul(dy, op.Pow(s, -beta))
    around = _channel_mean(op, op.Div(op.Mul(dy, y), s), after, before)
    return op.Sub(direct, op.Mul(op.Mul(x, 2 * alpha * beta), around))


def _standardisation(op: Op, x: ir.Value, dy: ir.Value, axes: list[int], epsilon: float) -> ir.Value:
    """y = c/√(mean c² + ε), c = x − mean x, over ``axes``  ⟹  dx = dc − mean dc."""
    return _centred(op, _division_by_rms(op, _centred(op, x, axes), dy, axes, epsilon), axes)


def _division_by_rms(op: Op, c: ir.Value, dy: ir.Value, axes: list[int], epsilon: float) -> ir.Value:
    """y = c/√v, v = mean c² + ε over ``axes``  ⟹  dc = (dy − c·mean(dy·c)/v)/√v."""
    v = op.Add(op.ReduceMean(op.Mul(c, c), axes, keepdims=1), epsilon)
    along = op.Div(op.ReduceMean(op.Mul(dy, c), axes, keepdims=1), v)
    return op.Mul(op.Sub(dy, op.Mul(c, along)), op.Reciprocal(op.Sqrt(v)))


def _centred(op: Op, x: ir.Value, axes: list[int]) -> ir.Value:
    return op.Sub(x, op.ReduceMean(x, axes, keepdims=1))


def _last_axes(node: ir.Node) -> list[int]:
    """Return the axes from the attribute ``axis`` to the last."""
    rank = len(static_shape(operand(node, 0)))
    return list(range(attribute(node, "axis", -1) % rank, rank))


def _per_channel(op: Op, value: ir.Value, node: ir.Node) -> ir.Value:
    """Return ``value [C]`` reshaped to broadcast along the channel axis of the input of ``node``."""
    return op.Reshape(value, [-1] + [1] * (len(static_shape(operand(node, 0))) - 2))


def _channel_mean(op: Op, x: ir.Value, before: int, after: int) -> ir.Value:
    """Return the mean over channels c − ``before`` … c + ``after``; channels beyond the ends count as 0."""
    channels = static_shape(x)[1]
    assert channels is not None  # noqa: S101 - only the batch may be unknown
    plane = op.Reshape(x, [0, 1, channels, -1])
    kernel, pads = [before + after + 1, 1], [before, 0, after, 0]
    return op.reshape_like(op.AveragePool(plane, kernel_shape=kernel, pads=pads, count_include_pad=1), x)
