"""Sampling an image at computed points (spatial transformers), and the affine grid of such points."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.polynomial import Polynomial

from gagrad_edge.errors import UnsupportedOperatorError
from gagrad_export.differentiate.interpolation import affine_points
from gagrad_export.differentiate.registry import vjp
from gagrad_export.emit import attribute, constant_array, fixed_shape, operand

if TYPE_CHECKING:
    import onnx_ir as ir

    from gagrad_export.emit import Op

LARGEST = 1 << 26
"""Largest intermediate tensor allowed for one image, in elements."""


@vjp("AffineGrid", since=20)
def affine_grid(op: Op, node: ir.Node, dy: ir.Value) -> list[ir.Value]:
    """y = P·θᵀ at the points P of a regular grid, in homogeneous coordinates  ⟹  dθ = dyᵀ·P."""
    points = affine_points(node)
    rows = op.Reshape(dy, [0, len(points), -1])
    return [op.MatMul(op.Transpose(rows, perm=[0, 2, 1]), points)]


@vjp("GridSample", since=(16, 20, 22), limits="two spatial axes, up to 2²⁶ elements between")
def grid_sample(op: Op, node: ir.Node, dy: ir.Value) -> list[ir.Value]:
    """y[c, o] = Σ_hw v[o, h]·u[o, w]·x[c, h, w]  ⟹  dx[c, h, w] = Σ_o dy[c, o]·v[o, h]·u[o, w].

    v and u hold the weights of the rows and columns that point o reads, and 0 for all others. So the scatter
    is a matrix product; compilers refuse a scatter with a sum. If the grid is computed, it has a gradient:
    dgrid_x[o] = Σ_chw dy[c, o]·v[o, h]·u′[o, w]·x[c, h, w], and likewise along y.
    """
    x, grid = operand(node, 0), operand(node, 1)
    channels, *size = fixed_shape(x)
    points = math.prod(fixed_shape(dy)[1:])
    _check(node, size, channels * size[0] * points)
    (v, v_slope), (u, u_slope) = (_weights(op, node, grid, axis, size[axis]) for axis in (0, 1))
    cotangent = op.Reshape(dy, [0, channels, 1, points])
    by_row = op.Mul(cotangent, _turned(op, v))
    flat = [0, channels * size[0]]
    dx = op.Reshape(op.MatMul(op.Reshape(by_row, [*flat, points]), u), [0, channels, *size])
    if constant_array(grid) is not None:
        return [dx]
    rows = op.Reshape(x, [*flat, size[1]])

    def along(columns: ir.Value, cotangents: ir.Value) -> ir.Value:
        read = op.MatMul(rows, op.Transpose(columns, perm=[0, 2, 1]))
        terms = op.Mul(op.Reshape(read, [0, channels, size[0], points]), cotangents)
        return op.Reshape(op.ReduceSum(terms, [1, 2], keepdims=0), [0, *fixed_shape(grid)[:2], 1])

    along_x = along(u_slope, by_row)
    along_y = along(u, op.Mul(cotangent, _turned(op, v_slope)))
    return [dx, op.Concat(along_x, along_y, axis=-1)]


def _weights(op: Op, node: ir.Node, grid: ir.Value, axis: int, size: int) -> tuple[ir.Value, ir.Value]:
    """Return the weights ``[N, points, size]`` along a spatial axis, and their derivatives by the grid.

    Point p reads the pixels near ⌊p⌋, with weights that are polynomials in p − ⌊p⌋. ``padding_mode`` says
    which pixel is read outside the image. The grid's last axis is in the order (x, y), the image's axes are
    in the order (y, x).
    """
    half = (size - 1) / 2 if attribute(node, "align_corners", 0) else size / 2
    points = math.prod(fixed_shape(grid)[:-1])
    component = op.Reshape(op.Slice(grid, [1 - axis], [2 - axis], [3]), [0, points, 1])
    p = op.Add(op.Mul(component, half), (size - 1) / 2)
    taps = _taps(node)
    base = op.Round(p) if len(taps) == 1 else op.Floor(p)
    rest = op.Sub(p, base)
    pixels = np.arange(size, dtype=np.float64)
    total: list[ir.Value] = []
    for offset, weight in taps.items():
        place = _padded(op, node, op.Add(base, float(offset)), size)
        hit = op.CastLike(op.Equal(place, op.constant(pixels, like=p)), p)
        terms = [op.Mul(hit, _evaluated(op, curve, rest)) for curve in (weight, weight.deriv() * half)]
        total = [op.Add(a, b) for a, b in zip(total, terms, strict=True)] if total else terms
    return total[0], total[1]


def _taps(node: ir.Node) -> dict[int, Polynomial]:
    """Return offset from ⌊p⌋ → weight of that pixel, as a polynomial in r = p − ⌊p⌋."""
    mode = attribute(node, "mode", "linear")
    r = Polynomial([0.0, 1.0])
    if mode == "nearest":
        return {0: Polynomial([1.0])}
    if mode in ("linear", "bilinear"):
        return {0: 1 - r, 1: r}
    # Keys' cubic kernel with a = −3/4: ``near`` for distances below 1, ``far`` for distances from 1 to 2.
    near, far = Polynomial([1.0, 0.0, -2.25, 1.25]), Polynomial([3.0, -6.0, 3.75, -0.75])
    return {-1: far(1 + r), 0: near(r), 1: near(1 - r), 2: far(2 - r)}


def _padded(op: Op, node: ir.Node, place: ir.Value, size: int) -> ir.Value:
    """Return the index of the pixel that is read for index ``place``, which may lie outside the image."""
    mode = attribute(node, "padding_mode", "zeros")
    if mode == "zeros":
        return place
    if mode == "reflection" and attribute(node, "align_corners", 0):
        if size > 1:
            place = op.Mod(op.Abs(place), float(2 * (size - 1)), fmod=1)
            place = op.Sub(float(size - 1), op.Abs(op.Sub(place, float(size - 1))))
    elif mode == "reflection":
        place = op.Mod(op.Abs(op.Add(place, 0.5)), float(2 * size), fmod=1)
        place = op.Sub(size - 0.5, op.Abs(op.Sub(place, float(size))))
    return op.Clip(place, 0.0, float(size - 1))


def _evaluated(op: Op, curve: Polynomial, r: ir.Value) -> ir.Value:
    """Return the value of the polynomial ``curve`` at ``r``, by Horner's rule."""
    *lower, highest = (float(coefficient) for coefficient in curve.coef)
    value: ir.Value | float = highest
    for coefficient in reversed(lower):
        value = op.Add(op.Mul(r, value), coefficient)
    return op.constant(value, like=r)


def _turned(op: Op, weights: ir.Value) -> ir.Value:
    """Return ``[N, points, size]`` as ``[N, 1, size, points]``."""
    return op.Unsqueeze(op.Transpose(weights, perm=[0, 2, 1]), [1])


def _check(node: ir.Node, size: list[int], elements: int) -> None:
    if len(size) == 2 and elements <= LARGEST:
        return
    why = (
        f"its gradient would need a tensor of {elements} elements for each image"
        if len(size) == 2
        else f"it samples over {len(size)} spatial axes; 2 are supported"
    )
    raise UnsupportedOperatorError(
        f"operator GridSample cannot be differentiated here: {why}",
        where=f"node {node.name!r}",
        hint="explain an output in front of it with `output_name`, or sample a smaller image",
    )
