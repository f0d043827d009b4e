"""Perturbations of an inspection line, as a differentiable part of ``accumulate``.

In the order of the camera: what lies before it (flip, rotation, shift), its lens (defocus), its exposure, its
sensor. All are applied to the model input: they commute with the normalisation, or their constants are
written for it, so that the identity row changes nothing but the last bit.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from gagrad_edge.method.perturbation import COLUMNS, MAX_ANGLE, MAX_BLUR
from gagrad_export.differentiate.rules.shift import shift

if TYPE_CHECKING:
    import onnx_ir as ir
    from numpy.typing import NDArray

    from gagrad_edge.input import InputSpec
    from gagrad_export.emit import Op

_TINY = 1e-20
"""Least value under the square root, whose derivative at zero noise would be infinite."""


def perturbed(
    op: Op, x: ir.Value, noise: ir.Value, deviation: ir.Value, perturbation: ir.Value, spec: InputSpec
) -> tuple[ir.Value, ir.Value]:
    """Return x ``[1, C, H, W]`` once per sample, and the samples made from it: ``[B, C, H, W]`` both.

    ``noise [B, C, H, W]`` is standard-normal, ``deviation []`` that of the method's noise, ``perturbation
    [B, P]`` as in ``gagrad_edge.method.perturbation``. Differentiate to the first result: the *original* x,
    where the gradient has been through the adjoint of each perturbation. Pixels from outside the image have
    the image's mean, which counts as a constant.
    """
    given = {
        name: op.Reshape(op.Slice(perturbation, [i], [i + 1], [1]), [0, 1, 1, 1])
        for i, name in enumerate(COLUMNS)
    }
    originals = op.Add(x, op.Mul(given["gain"], 0.0))
    outside = op.ReduceMean(x, [2, 3], keepdims=1)
    values = op.Sub(originals, outside)
    values = _flipped(op, values, given["flip"])
    values = _moved(op, values, given["angle"], given["shift_y"], given["shift_x"])
    values = op.Add(_blurred(op, values, given["blur"]), outside)
    mean, std = _per_channel(spec.mean), _per_channel(spec.std)
    values = _exposed(op, values, given["gain"], given["offset"], mean, std)
    level = _noise_level(op, values, deviation, given["read_noise"], given["shot_noise"], mean, std)
    return originals, op.Add(values, op.Mul(noise, level))


def _flipped(op: Op, x: ir.Value, flip: ir.Value) -> ir.Value:
    """x + flip·(mirror(x) − x)."""
    width = _size(x, 3)
    mirror = op.Slice(x, [width - 1], [-width - 1], [3], [-1])
    return op.Add(x, op.Mul(flip, op.Sub(mirror, x)))


def _moved(op: Op, x: ir.Value, angle: ir.Value, down: ir.Value, right: ir.Value) -> ir.Value:
    """Rotate about the centre and shift, by three shears (Paeth, Graphics Interface 1986).

    With a = −tan(angle / 2) and b = sin(angle), the sample at (X, Y), from the centre, is x at X₂, Y₁:
    X₁ = X − right + a·(Y − down);  Y₁ = Y − down + b·X₁;  X₂ = X₁ + a·Y₁. Each step moves whole rows or
    columns, so its adjoint moves them back; and as the middle picture is wider, no pixel is lost in between.
    """
    height, width = _size(x, 2), _size(x, 3)
    margin = math.ceil(math.tan(MAX_ANGLE / 2) * (height - 1) / 2) + 1
    rows = _line(np.arange(height) - (height - 1) / 2, 2)
    columns = _line(np.arange(-margin, width + margin) - (width - 1) / 2, 3)
    sine = op.Sin(angle)
    slope = op.Neg(op.Div(sine, op.Add(op.Cos(angle), 1.0)))
    x = shift(op, x, op.Mul(slope, rows), axis=3, size=width + 2 * margin, start=-margin)
    x = shift(op, x, op.Sub(op.Mul(sine, columns), down), axis=2, size=height)
    by = op.Sub(op.Mul(slope, op.Sub(op.constant(rows), down)), right)
    return shift(op, x, by, axis=3, size=width, start=margin)


def _blurred(op: Op, x: ir.Value, radius: ir.Value) -> ir.Value:
    """Blur by a mix of the two discs of integer radius around ``radius``; radius 0 gives x itself."""
    channels = _size(x, 1)
    radius = op.Clip(radius, 0.0, float(MAX_BLUR))
    total = op.Mul(x, op.Relu(op.Sub(1.0, radius)))
    for whole in range(1, MAX_BLUR + 1):
        kernel = np.tile(disc(whole), (channels, 1, 1, 1))
        share = op.Relu(op.Sub(1.0, op.Abs(op.Sub(radius, float(whole)))))
        blurred = op.Conv(x, kernel, None, pads=[whole] * 4, group=channels)
        total = op.Add(total, op.Mul(share, blurred))
    return total


def disc(radius: int) -> NDArray[np.float32]:
    """Return the point spread of defocus, ``[2r + 1, 2r + 1]``: a disc's area in each pixel, of sum 1."""
    fine = 32
    places = (np.arange((2 * radius + 1) * fine) + 0.5) / fine - radius - 0.5
    inside = (places[:, None] ** 2 + places[None, :] ** 2 <= radius**2).astype(np.float64)
    areas = inside.reshape(2 * radius + 1, fine, 2 * radius + 1, fine).sum(axis=(1, 3))
    shares: NDArray[np.float32] = (areas / areas.sum()).astype(np.float32)
    return shares


def _exposed(
    op: Op,
    x: ir.Value,
    gain: ir.Value,
    offset: ir.Value,
    mean: NDArray[np.float32],
    std: NDArray[np.float32],
) -> ir.Value:
    """gain·I + offset of pixel values I = x·std + mean is gain·x + ((gain − 1)·mean + offset) / std of x.

    Not clipped to 0..1, because a saturated pixel would have no gradient.
    """
    constant = op.Div(op.Add(op.Mul(op.Sub(gain, 1.0), mean), offset), std)
    return op.Add(op.Mul(gain, x), constant)


def _noise_level(
    op: Op,
    x: ir.Value,
    deviation: ir.Value,
    read: ir.Value,
    shot: ir.Value,
    mean: NDArray[np.float32],
    std: NDArray[np.float32],
) -> ir.Value:
    """√(deviation² + (read² + shot·I) / std²): independent variances add, so one draw is enough.

    The signal I is not less than 0.
    """
    signal = op.Relu(op.Add(op.Mul(x, std), mean))
    sensor = op.Div(op.Add(op.Mul(read, read), op.Mul(shot, signal)), std * std)
    return op.Sqrt(op.Max(op.Add(sensor, op.Mul(deviation, deviation)), _TINY))


def _per_channel(values: list[float]) -> NDArray[np.float32]:
    return np.asarray(values, np.float32).reshape(1, -1, 1, 1)


def _line(values: NDArray[np.floating[Any]], axis: int) -> NDArray[np.float32]:
    shape = [1, 1, 1, 1]
    shape[axis] = -1
    return values.reshape(shape).astype(np.float32)


def _size(x: ir.Value, axis: int) -> int:
    size = None if x.shape is None else x.shape[axis]
    assert isinstance(size, int)  # noqa: S101 - the image's own
    return size
