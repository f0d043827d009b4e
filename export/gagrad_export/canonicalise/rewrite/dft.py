"""DFT as one matrix product: TensorRT has no kernel for it.

Before: ``DFT(x [..., n, ..., 1 or 2])`` along an axis, the last real and imaginary part. After: that axis
beside the last, and both as one, multiplied with the constant matrix of ``y_k = Σ_j x_j·e^(−2πi·jk/n)``; the
inverse has the other sign and 1/n, and of half a spectrum (``onesided``) gives real numbers. For the few
dozen elements of a feature map that is also fast.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gagrad_export.canonicalise.fold.constants import evaluated
from gagrad_export.canonicalise.rewrite.writing import Rewriting, not_rewritten
from gagrad_export.emit import attribute, operand, static_shape

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir
    from numpy.typing import NDArray

    from gagrad_export.emit import Op


class ReplaceDFT(Rewriting):
    """Rewrites every DFT. Raises UnsupportedOperatorError where its length or axis is computed."""

    operators = ("DFT",)
    limits = "a constant length"

    def rewritten(self, op: Op, node: ir.Node) -> Sequence[ir.Value]:
        """Return the spectrum, or the signal for the inverse."""
        return [_product(op, node)]


def _product(op: Op, node: ir.Node) -> ir.Value:
    x = operand(node, 0)
    shape, target = static_shape(x), static_shape(node.outputs[0])
    axis, length = _settings(op, node)
    axis %= len(shape)
    size, results = shape[axis] or 0, target[axis] or 0
    # The inverse of half a spectrum is real, and as long as the signal was.
    to_real = target[-1] == 1
    length = length or (results if to_real else size)
    matrix = _matrix(node, size, shape[-1] or 1, length, results)
    if to_real:
        matrix = _from_half(matrix, size, length)[:, ::2]
    # The axis and the last but one change places: the permutation is its own inverse.
    places = list(range(len(shape)))
    places[axis], places[-2] = places[-2], places[axis]
    turned = op.Transpose(x, perm=places)
    front = static_shape(turned)[:-2]
    y = op.MatMul(op.Reshape(turned, [*front, -1]), matrix)
    return op.Transpose(op.Reshape(y, [*front, results, 1 if to_real else 2]), perm=places)


def _settings(op: Op, node: ir.Node) -> tuple[int, int | None]:
    """Return the axis and the length to which x is cut or filled up with zeros; None for that of x."""
    given = [node.inputs[index] if len(node.inputs) > index else None for index in (1, 2)]
    length, axis = (evaluated(value, op.opset) for value in given)
    if (length is None) != (given[0] is None) or (axis is None) != (given[1] is None):
        raise not_rewritten(node, "its length or axis is computed")
    default = attribute(node, "axis", 1) if op.opset < 20 else -2
    return int(default if axis is None else axis.item()), None if length is None else int(length.item())


def _matrix(node: ir.Node, size: int, parts: int, length: int, results: int) -> NDArray[np.float64]:
    """Return the matrix ``[size·parts, results·2]``: from real (and imaginary) parts to both."""
    inverse = attribute(node, "inverse", 0)
    j, k = np.arange(size)[:, None], np.arange(results)
    # jk modulo n: large multiples of 2π would lose digits.
    wave = np.exp((2j if inverse else -2j) * np.pi * (j * k % length) / length) / (length if inverse else 1)
    wave[length:] = 0
    real, imaginary = [wave.real, wave.imag], [-wave.imag, wave.real]
    rows = [np.stack(part, axis=-1).reshape(size, -1) for part in (real, imaginary)[:parts]]
    return np.stack(rows, axis=1).reshape(size * parts, -1)


def _from_half(matrix: NDArray[np.float64], size: int, length: int) -> NDArray[np.float64]:
    """Return the matrix with each row doubled whose frequency has a mirror image in the other half."""
    mirrored = [bool(frequency) and 2 * frequency < length for frequency in range(size)]
    weights = np.where(mirrored, 2.0, 1.0).repeat(len(matrix) // size)
    doubled: NDArray[np.float64] = matrix * weights[:, None]
    return doubled
