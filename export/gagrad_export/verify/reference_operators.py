"""Operators in float64 for onnx's evaluator, whose own are computed per element or rounded to float32.

Operators over a window have every attribute written out, without defaults and ``auto_pad``. They take one
step of numpy for each tap of the window.
"""

from __future__ import annotations

import math
from functools import cache
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from onnx.reference.op_run import OpRun

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Index = tuple[Any, ...]
    """Of slices, behind an ellipsis for the axes in front."""

DOMAIN = "gagrad.double"


class _Windowed(OpRun):
    """An operator over a window, with every attribute written out."""

    op_domain = DOMAIN
    kernel: list[int]
    strides: list[int]
    dilations: list[int]
    begin: list[int]
    end: list[int]
    outputs: list[int]
    group: int

    def _taps(self, positions: Sequence[int]) -> Iterator[tuple[Index, Index]]:
        """Yield each tap of the window, and the elements under this tap at each of ``positions``."""
        for tap in product(*(range(size) for size in self.kernel)):
            places = zip(tap, self.strides, self.dilations, positions, strict=True)
            met = (slice(k * d, k * d + s * (n - 1) + 1, s) for k, s, d, n in places)
            yield (..., *tap), (..., *met)

    def _padded(self, x: Array, value: float) -> Array:
        pads = [(0, 0), (0, 0), *zip(self.begin, self.end, strict=True)]
        return np.pad(x, pads, constant_values=value)

    def _groups(self, x: Array) -> Array:
        """[N, C, …] → [N, G, C/G, pixels]."""
        return x.reshape(len(x), self.group, x.shape[1] // self.group, -1)


class Convolution(_Windowed):
    """y = w ∗ x + b."""

    def _run(self, x: Array, w: Array, b: Array | None = None, **_attributes: Any) -> tuple[Array]:
        padded, y = self._padded(x, 0.0), np.zeros(())
        for tap, place in self._taps(self.outputs):
            weights = w[tap].reshape(self.group, -1, w.shape[1])
            y = y + weights @ self._groups(padded[place])
        return (_biased(y.reshape(len(x), -1, *self.outputs), b),)


class TransposedConvolution(_Windowed):
    """y = wᵀ ∗ x + b: each tap's product is added where the convolution would read its input."""

    def _run(self, x: Array, w: Array, b: Array | None = None, **_attributes: Any) -> tuple[Array]:
        grouped, size = self._groups(x), x.shape[2:]
        across = self.group * w.shape[1]
        # Large enough for every tap; then cropped, or longer by what output padding adds.
        reach = [
            max(s * (n - 1) + d * (k - 1) + 1, begin + length)
            for s, n, d, k, begin, length in zip(
                self.strides, size, self.dilations, self.kernel, self.begin, self.outputs, strict=True
            )
        ]
        y = np.zeros((len(x), across, *reach))
        for tap, place in self._taps(size):
            weights = w[tap].reshape(self.group, -1, w.shape[1]).swapaxes(1, 2)
            y[place] += (weights @ grouped).reshape(len(x), across, *size)
        crop: Index = (
            ...,
            *(slice(first, first + n) for first, n in zip(self.begin, self.outputs, strict=True)),
        )
        return (_biased(y[crop], b),)


class Maximum(_Windowed):
    """y = the largest x of a window."""

    def _run(self, x: Array, **_attributes: Any) -> tuple[Array]:
        padded = self._padded(x, -np.inf)
        y = np.full((*x.shape[:2], *self.outputs), -np.inf)
        for _, place in self._taps(self.outputs):
            np.maximum(y, padded[place], out=y)
        return (y,)


class Average(_Windowed):
    """y = Σ x of a window, divided by the number of elements that count."""

    counts: Array

    def _run(self, x: Array, **_attributes: Any) -> tuple[Array]:
        padded = self._padded(x, 0.0)
        total = sum((padded[place] for _, place in self._taps(self.outputs)), np.zeros(()))
        return (total / self.counts,)


class LRN(OpRun):
    """y = x / (k + α/n·Σ x²)ᵝ over nearby channels; onnx's evaluator takes one channel for each image."""

    def _run(self, x: Array, alpha: float, beta: float, bias: float, size: int) -> tuple[Array]:
        squares = np.pad(x**2, [(0, 0), ((size - 1) // 2, size // 2), *[(0, 0)] * (x.ndim - 2)])
        total = np.lib.stride_tricks.sliding_window_view(squares, size, axis=1).sum(axis=-1)
        return (x / (bias + alpha / size * total) ** beta,)


class GatherElements(OpRun):
    """The elements at the indices along one axis; onnx's evaluator takes axes of up to 64 elements."""

    def _run(self, x: Array, indices: NDArray[np.int64], axis: int = 0) -> tuple[Array]:
        places = np.where(indices < 0, indices + x.shape[axis], indices).astype(np.int64)
        inside = tuple(slice(None) if i == axis % x.ndim else slice(n) for i, n in enumerate(places.shape))
        return (np.take_along_axis(x[inside], places, axis),)


class LpNormalization(OpRun):
    """y = x / ‖x‖; onnx's evaluator takes Σx for the norm of p = 1."""

    def _run(self, x: Array, axis: int = -1, p: int = 2) -> tuple[Array]:
        norm = np.linalg.norm(x, ord=p, axis=axis, keepdims=True)
        return (x / np.where(norm == 0, 1, norm),)


class Erf(OpRun):
    """The error function; onnx's evaluator rounds it to float32, and asks Python for each element."""

    def _run(self, x: Array) -> tuple[Array]:
        return (_erf(x),)


class Gelu(OpRun):
    """y = x·Φ(x), or its approximation by tanh; onnx's evaluator rounds as it does for Erf."""

    def _run(self, x: Array, approximate: str = "none") -> tuple[Array]:
        if approximate == "tanh":
            return (x / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),)
        return (x / 2 * (1 + _erf(x / math.sqrt(2))),)


_BOUND, _PER_UNIT = 6, 1024
"""Range of the table of ``_erf`` and its nodes per unit; at the bound 1 − erf is 2e-17."""


@cache
def _erf_table() -> tuple[Array, Array]:
    """Return erf and its slope, (2/√π)·exp(−x²), at nodes."""
    nodes = np.arange(-_BOUND * _PER_UNIT, _BOUND * _PER_UNIT + 1) / _PER_UNIT
    slopes = 2 / math.sqrt(math.pi) * np.exp(-(nodes**2))
    return np.array([math.erf(node) for node in nodes]), slopes / _PER_UNIT


def _erf(x: Array) -> Array:
    """Return erf to 1e-14: Hermite's cubic between the nodes."""
    values, slopes = _erf_table()
    place = (np.clip(x, -_BOUND, _BOUND) + _BOUND) * _PER_UNIT
    left = np.minimum(place.astype(np.int64), len(values) - 2)
    t = place - left
    y = (1 - t) ** 2 * ((1 + 2 * t) * values[left] + t * slopes[left])
    y += t**2 * ((3 - 2 * t) * values[left + 1] - (1 - t) * slopes[left + 1])
    result: Array = y.astype(x.dtype)
    return result


def _biased(y: Array, b: Array | None) -> Array:
    return y if b is None else y + b.reshape(-1, *[1] * (y.ndim - 2))
