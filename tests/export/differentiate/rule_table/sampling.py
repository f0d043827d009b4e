"""Resize in all its modes, and sampling at computed points.

The tolerance of Resize is what the reference evaluator leaves: it computes the weights of the cubic mode
and of aligned corners in float32.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.export.differentiate.gradient_check import Row, linear
from tests.export.differentiate.rule_table.operands import IMAGE, ints

_SMALL = (2, 2, 4, 5)


def _scaled(mode: str, scales: tuple[float, ...], opset: int = 18, **attributes: Any) -> Row:
    operands = (_SMALL, None, np.array([1.0, 1.0, *scales], np.float32))
    return Row("Resize", operands, {"mode": mode, **attributes}, opset=opset, tolerance=5e-6)


def _sized(mode: str, sizes: tuple[int, ...], opset: int = 18, **attributes: Any) -> Row:
    operands = (_SMALL, None, None, ints(*sizes))
    return Row("Resize", operands, {"mode": mode, **attributes}, opset=opset, tolerance=5e-6)


def _sampled(mode: str, padding: str, align: int) -> Row:
    """Points a little beyond the image, where padding matters; the image too is drawn from ±1.4."""
    attributes = {"mode": mode, "padding_mode": padding, "align_corners": align}
    operands = ((2, 3, 5, 4), (2, 3, 6, 2))
    return Row("GridSample", operands, attributes, domain=(-1.4, 1.4), opset=20, engine="onnxruntime")


_NO_REGION = np.array([], np.float32)
"""The region of interest, which opset 11 demands even where it has no meaning."""
_CROP = {"coordinate_transformation_mode": "tf_crop_and_resize", "axes": [2, 3], "extrapolation_value": 3.0}
_POINTS = np.random.default_rng(3).uniform(-1.2, 1.2, (2, 4, 3, 2))
_COORDINATES = ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric")

ROWS = [
    *(
        _scaled(mode, (2.0, 0.6), coordinate_transformation_mode=c)
        for mode in ("nearest", "linear", "cubic")
        for c in _COORDINATES
    ),
    *(
        _scaled("nearest", (1.7, 0.6), coordinate_transformation_mode="asymmetric", nearest_mode=n)
        for n in ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
    ),
    *(
        _scaled(mode, (1.3, 0.7), opset=19, coordinate_transformation_mode="half_pixel_symmetric")
        for mode in ("nearest", "linear", "cubic")
    ),
    _scaled("nearest", (2.0, 3.0), coordinate_transformation_mode="asymmetric", nearest_mode="floor"),
    Row("Resize", (_SMALL, _NO_REGION, np.array([1, 1, 2, 2], np.float32)), {"mode": "nearest"}, opset=11),
    _scaled("linear", (2.0, 2.0), opset=13),
    _scaled("cubic", (1.6, 0.5), cubic_coeff_a=-0.5, exclude_outside=1),
    *(_scaled(mode, (0.5, 0.4), antialias=1) for mode in ("linear", "cubic")),
    _scaled("cubic", (0.6, 1.5), antialias=1, exclude_outside=1, opset=19),
    _sized("linear", (2, 2, 7, 3)),
    linear(
        "Resize",
        (_SMALL, None, None, ints(1, 5)),
        {"mode": "linear", "coordinate_transformation_mode": "pytorch_half_pixel", "axes": [2, -1]},
    ),
    _sized("linear", (1, 5), coordinate_transformation_mode="align_corners", axes=[2, 3]),
    _sized("nearest", (3, 4, 8, 10)),
    _sized("linear", (5, 3), axes=[3, 1]),
    *(
        _sized("linear", (7, 9), axes=[2, 3], keep_aspect_ratio_policy=p)
        for p in ("not_larger", "not_smaller")
    ),
    # No axis keeps its length: ONNX Runtime would then not crop it.
    *(
        linear("Resize", (_SMALL, np.array(region, np.float32), None, ints(7, 3)), {"mode": mode, **_CROP})
        for mode in ("nearest", "linear", "cubic")
        for region in ((0.2, 0.1, 0.9, 1.2), (0.9, 0.0, 0.3, 0.8))
    ),
    linear("Resize", (_SMALL, np.array([0, 1], np.float32), None, ints(1)), {**_CROP, "axes": [2]}),
    Row("Resize", ((2, 3, 6), None, np.array([1, 1, 2], np.float32)), {"mode": "nearest"}),
    Row("Resize", ((1, 2, 3, 4, 3), None, np.array([1, 1, 2, 1.5, 2], np.float32)), {"mode": "linear"}),
    *(
        _sampled(mode, padding, align)
        for mode in ("linear", "nearest", "cubic")
        for padding in ("zeros", "border", "reflection")
        for align in (0, 1)
    ),
    *(linear("GridSample", (IMAGE, _POINTS), {"mode": m}, opset=16) for m in ("bilinear", "bicubic")),
    linear("GridSample", (IMAGE, _POINTS), {}, opset=22),
    *(linear("AffineGrid", ((2, 2, 3), ints(2, 1, 4, 5)), {"align_corners": a}, opset=20) for a in (0, 1)),
    linear("AffineGrid", ((2, 3, 4), ints(2, 1, 2, 4, 3)), {}, opset=20),
]
