"""Pooling: overlap, padding, rounding, dilation.

Rows with ``ceil_mode`` run in ONNX Runtime: the reference evaluator puts half of what it reads behind the
image in front of it.
"""

from __future__ import annotations

from typing import Any

from tests.export.differentiate.gradient_check import Row, linear, selecting
from tests.export.differentiate.rule_table.operands import AWAY, IMAGE


def _average(size: tuple[int, ...], kernel: list[int], opset: int = 18, **attributes: Any) -> Row:
    return linear("AveragePool", (size,), {"kernel_shape": kernel, **attributes}, opset=opset)


def _max(size: tuple[int, ...], kernel: list[int], opset: int = 18, **attributes: Any) -> Row:
    return selecting("MaxPool", (size,), {"kernel_shape": kernel, **attributes}, opset=opset)


def _norm(size: tuple[int, ...], kernel: list[int], p: int, domain: tuple[float, float], **more: Any) -> Row:
    return Row("LpPool", (size,), {"kernel_shape": kernel, "p": p, **more}, domain=domain)


def _global_norm(p: int, domain: tuple[float, float]) -> Row:
    """Only ONNX Runtime runs it, in float32: a step of 1e-2 balances rounding and the cubic term at 1e-4."""
    return Row(
        "GlobalLpPool",
        (IMAGE,),
        {"p": p},
        domain=domain,
        step=1e-2,
        tolerance=1e-3,
        engine="onnxruntime",
        dtype="float32",
    )


_BELOW = (-2.0, -0.1)

ROWS = [
    Row("GlobalAveragePool", (IMAGE,)),
    Row("GlobalMaxPool", (IMAGE,)),
    *(_global_norm(p, d) for p in (1, 2, 3) for d in (AWAY, _BELOW)),
    Row("AveragePool", (IMAGE,), {"kernel_shape": [2, 2], "strides": [2, 2]}),
    Row("AveragePool", (IMAGE,), {"kernel_shape": [3, 2], "strides": [2, 1], "dilations": [2, 3]}, opset=19),
    *(
        _average(IMAGE, [3, 3], strides=[2, 2], pads=[1, 1, 1, 1], count_include_pad=include, ceil_mode=ceil)
        for include in (0, 1)
        for ceil in (0, 1)
    ),
    _average(IMAGE, [2, 3], 22, strides=[3, 2], pads=[0, 1, 1, 2], count_include_pad=1, ceil_mode=1),
    # The last window would start in the end padding, so it is left out.
    _average((2, 3, 7, 7), [2, 2], 22, strides=[2, 2], pads=[1, 1, 1, 1], ceil_mode=1, count_include_pad=1),
    _average((2, 3, 9), [4], strides=[3], pads=[2, 1]),
    _average((1, 2, 5, 6, 4), [2, 3, 2], strides=[2, 1, 1], pads=[0, 1, 0, 1, 1, 0]),
    *(_average(IMAGE, [3, 2], strides=[2, 3], auto_pad=p) for p in ("SAME_UPPER", "SAME_LOWER", "VALID")),
    *(_norm(IMAGE, [3, 2], p, d, strides=[2, 1]) for p in (1, 2, 3) for d in (AWAY, _BELOW)),
    _norm(IMAGE, [2, 2], 3, AWAY, dilations=[3, 2], pads=[1, 0, 0, 1]),
    _norm((2, 3, 9), [3], 2, AWAY, strides=[2]),
    _max(IMAGE, [2, 2], strides=[2, 2]),
    _max(IMAGE, [3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
    _max(IMAGE, [3, 3], strides=[1, 1], pads=[1, 1, 1, 1]),
    _max(IMAGE, [2, 3], strides=[3, 2], pads=[0, 1, 1, 0]),
    _max(IMAGE, [3, 3], strides=[2, 2], ceil_mode=1),
    _max((2, 3, 7, 7), [2, 2], 22, strides=[2, 2], pads=[1, 1, 1, 1], ceil_mode=1),
    _max(IMAGE, [2, 3], dilations=[3, 2], pads=[1, 2, 0, 1]),
    _max(IMAGE, [2, 2], dilations=[2, 3], strides=[2, 3]),
    *(_max(IMAGE, [3, 2], strides=[2, 1], auto_pad=p) for p in ("SAME_UPPER", "SAME_LOWER", "VALID")),
    _max((2, 3, 9), [3], strides=[2]),
    _max((1, 2, 5, 6, 4), [2, 3, 2], strides=[2, 1, 3]),
    # A window of 1 with a stride, between two that are longer.
    _max((1, 2, 4, 3, 4), [2, 1, 2], strides=[1, 2, 1]),
]
