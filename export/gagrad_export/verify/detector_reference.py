"""A detector's layout in numpy, written apart from the nodes of ``arrange.decoding``: their reference."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

import numpy as np

from gagrad_export.load.autograd import NoAutogradError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from numpy.typing import NDArray

    from gagrad_export.arrange.layout import Columns, Layout
    from gagrad_export.load import Source
    from gagrad_export.load.onnx_file import Autograd

    Array = NDArray[np.float32]
    Double = NDArray[np.float64]

_SATURATED = 1e-5
"""Least p·(1 − p) of a probability whose logit's gradient can be told from it in float32."""


def read_probabilities(layout: Layout, outputs: Mapping[str, NDArray[Any]]) -> Double:
    """Return ``[A, K]`` of one image; ``outputs`` are the source's, with a batch of one in front."""
    scores = _table(layout.scores, outputs)
    if layout.logits and layout.activation == "softmax":
        scores = np.exp(scores - scores.max(axis=1, keepdims=True))
        scores = scores / scores.sum(axis=1, keepdims=True)
    elif layout.logits:
        scores = _sigmoid(scores)
    if layout.objectness is not None:
        whole = _table(layout.objectness, outputs)
        scores = scores * (_sigmoid(whole) if layout.logits else whole)
    return scores


def read_boxes(layout: Layout, outputs: Mapping[str, NDArray[Any]], size: tuple[int, int]) -> Double:
    """Return ``[A, 4]`` of one image: left, top, right, bottom in pixels of an image of ``size = (H, W)``."""
    a, b, c, d = _table(layout.boxes, outputs).T
    if layout.unit == "cells":
        row = 0
        for stride in layout.strides:
            for y in range(ceil(size[0] / stride)):
                for x in range(ceil(size[1] / stride)):
                    a[row], b[row] = (a[row] + x) * stride, (b[row] + y) * stride
                    c[row], d[row] = np.exp(c[row]) * stride, np.exp(d[row]) * stride
                    row += 1
    if layout.form == "yxyx":
        a, b, c, d = b, a, d, c
    if layout.unit == "normalised":
        a, b, c, d = a * size[1], b * size[0], c * size[1], d * size[0]
    if layout.angle is not None:
        turn = _table(layout.angle, outputs)[:, 0]
        wide = abs(c * np.cos(turn)) + abs(d * np.sin(turn))
        c, d = wide, abs(c * np.sin(turn)) + abs(d * np.cos(turn))
    if layout.form == "cxcywh":
        a, b, c, d = a - c / 2, b - d / 2, a + c / 2, b + d / 2
    elif layout.form == "xywh":
        c, d = a + c, b + d
    return np.stack([a, b, c, d], axis=1)


def class_autograd(source: Source, layout: Layout) -> Autograd | None:
    """Return autograd of class logits through a torch module, for a cotangent ``[1, K, A]``.

    The module returns probabilities, so each is weighted by 1 / (p · (1 − p)), the derivative of the logit.
    None where the module does not return what the layout reads, or where a softmax stands in front of it.
    """
    parts = [part for part in (layout.scores, layout.objectness) if part is not None]
    if any(part.value not in source.gradients or part.value not in source.answers for part in parts):
        return None
    if layout.activation == "softmax" and not layout.logits:
        return None

    def gradient(x: Array, cotangent: Array, *, double: bool) -> Array:
        outputs = {part.value: source.answers[part.value](x[:1]) for part in parts}
        weights = _source_weights(layout, outputs, cotangent[0].astype(np.float64).T)
        found = [
            source.gradients[name](x, value.astype(np.float32), double=double)
            for name, value in weights.items()
        ]
        total: Array = np.sum(found, axis=0)
        return total

    return gradient


def _source_weights(
    layout: Layout, outputs: Mapping[str, NDArray[Any]], weights: Double
) -> dict[str, Double]:
    """Return the weights over the source's outputs that amount to ``weights [A, K]`` over the logits."""
    found = {name: np.zeros(outputs[name].shape) for name in outputs}
    if layout.objectness is None and layout.logits:
        _add(found, layout.scores, weights)
        return found
    chance = read_probabilities(layout, outputs)
    slope = chance * (1 - chance)
    asked = weights != 0
    if (slope[asked] < _SATURATED).any():
        raise NoAutogradError("the probability is too close to 0 or 1 to tell the gradient of its logit")
    outer = np.divide(weights, slope, out=np.zeros_like(weights), where=asked)
    if layout.objectness is None:
        _add(found, layout.scores, outer)
        return found
    scores, whole = (_table(part, outputs) for part in (layout.scores, layout.objectness))
    if layout.logits:
        scores, whole = _sigmoid(scores), _sigmoid(whole)
        _add(found, layout.scores, outer * whole * scores * (1 - scores))
        outer = outer * whole * (1 - whole)
    else:
        _add(found, layout.scores, outer * whole)
    _add(found, layout.objectness, (outer * scores).sum(axis=1, keepdims=True))
    return found


def _table(columns: Columns, outputs: Mapping[str, NDArray[Any]]) -> Double:
    """Return ``[A, columns]`` of one image."""
    table: Double = _view(columns, outputs[columns.value].astype(np.float64)).copy()
    return table


def _add(found: dict[str, Double], columns: Columns, weights: Double) -> None:
    view = _view(columns, found[columns.value])
    view += weights


def _view(columns: Columns, value: NDArray[Any]) -> NDArray[Any]:
    """Return the view ``[A, columns]`` of a value with a batch of one."""
    rows = value.reshape(-1, columns.extent) if columns.axis == 1 else value.reshape(columns.extent, -1).T
    return rows[:, columns.first : columns.last]


def _sigmoid(values: Double) -> Double:
    result: Double = 1 / (1 + np.exp(-np.clip(values, -700, 700)))
    return result
