"""Convolutions: strides, padding, dilation, groups, computed weights."""

from __future__ import annotations

import numpy as np

from tests.export.differentiate.gradient_check import Row, linear

_W = np.random.default_rng(1).standard_normal


def _conv(size: tuple[int, ...], weight: tuple[int, ...], **attributes: object) -> Row:
    return Row("Conv", ((2, *size), _W(weight), _W(weight[:1])), dict(attributes))


def _transposed(size: tuple[int, ...], weight: tuple[int, ...], **attributes: object) -> Row:
    return Row("ConvTranspose", ((2, *size), _W(weight)), dict(attributes))


def _grouped(size: tuple[int, ...], weight: tuple[int, ...], **attributes: object) -> Row:
    """Run in ONNX Runtime: the reference evaluator mixes up the groups of a ConvTranspose."""
    return linear("ConvTranspose", ((2, *size), _W(weight)), dict(attributes))


ROWS = [
    _conv((3, 8, 7), (4, 3, 3, 3), pads=[1, 1, 1, 1]),
    _conv((3, 8, 7), (4, 3, 1, 1)),
    _conv((3, 8, 7), (4, 3, 3, 2), pads=[0, 1, 2, 0]),
    _conv((3, 8, 7), (4, 3, 3, 3), pads=[1, 1, 1, 1], strides=[2, 2]),
    _conv((3, 9, 8), (4, 3, 3, 3), strides=[2, 3], pads=[1, 0, 0, 1]),
    _conv((3, 8, 8), (4, 3, 1, 1), strides=[2, 2]),
    _conv((4, 8, 7), (6, 2, 3, 3), group=2, pads=[1, 1, 1, 1]),
    _conv((4, 8, 7), (4, 1, 3, 3), group=4, pads=[1, 1, 1, 1], strides=[2, 2]),
    _conv((4, 8, 7), (8, 1, 5, 5), group=4, pads=[2, 2, 2, 2]),
    _conv((3, 9, 9), (4, 3, 3, 3), dilations=[2, 2], pads=[2, 2, 2, 2]),
    _conv((3, 9, 9), (4, 3, 3, 3), dilations=[2, 1], strides=[1, 2]),
    _conv((4, 9, 9), (6, 2, 3, 2), dilations=[2, 3], strides=[2, 3], pads=[1, 0, 2, 3], group=2),
    _conv((3, 8, 7), (4, 3, 2, 2), pads=[3, 3, 3, 3]),
    _conv((3, 8, 7), (4, 3, 1, 2), pads=[2, 0, 1, 4], strides=[2, 3]),
    _conv((3, 2, 3), (4, 3, 5, 5), pads=[2, 2, 2, 2]),
    *(
        _conv((3, 8, 7), (4, 3, 3, 4), auto_pad=p, strides=s)
        for p in ("SAME_UPPER", "SAME_LOWER")
        for s in ([1, 1], [2, 2])
    ),
    _conv((3, 8, 7), (4, 3, 3, 3), auto_pad="VALID"),
    _conv((3, 11), (4, 3, 3), pads=[1, 1], strides=[2]),
    _conv((3, 5, 6, 4), (2, 3, 3, 2, 3), pads=[1, 0, 1, 1, 0, 1], strides=[2, 1, 1]),
    _conv((3, 5, 6, 4), (2, 3, 2, 2, 2), dilations=[2, 1, 1], strides=[1, 2, 1]),
    Row("Conv", ((2, 3, 6, 6), _W((4, 3, 3, 3))), {"strides": [2, 2]}, opset=22),
    # Weights that are computed from the image: gradients with respect to all three inputs.
    Row("Conv", ((2, 3, 8, 7), (4, 3, 3, 2), (4,)), {"pads": [1, 0, 2, 1]}),
    linear("Conv", (_W((1, 4, 8, 9)), (6, 2, 3, 3)), {"group": 2, "strides": [2, 3], "pads": [1, 1, 1, 1]}),
    linear("Conv", (_W((2, 4, 9, 9)), (8, 1, 2, 3)), {"group": 4, "strides": [2, 2], "dilations": [3, 1]}),
    linear("ConvTranspose", (_W((2, 4, 5, 4)), (4, 3, 3, 2)), {"group": 2, "strides": [2, 3]}),
    Row("ConvTranspose", ((2, 3, 5, 4), (3, 4, 3, 2), (4,)), {"strides": [2, 1], "output_padding": [1, 0]}),
    _transposed((3, 5, 4), (3, 4, 3, 3), strides=[2, 2], pads=[1, 1, 1, 1], output_padding=[1, 1]),
    _transposed((3, 5, 4), (3, 4, 2, 2), strides=[2, 2]),
    _transposed((3, 5, 4), (3, 4, 3, 3), strides=[2, 3], dilations=[2, 2], pads=[0, 2, 1, 0]),
    _transposed((3, 5, 4), (3, 4, 3, 4), auto_pad="SAME_UPPER", strides=[2, 2]),
    _transposed((3, 5, 4), (3, 4, 3, 4), auto_pad="SAME_LOWER", strides=[2, 1]),
    _grouped((4, 5, 4), (4, 3, 3, 3), strides=[2, 2], group=2, output_shape=[10, 9]),
    _grouped((4, 7), (4, 1, 3), strides=[2], group=4, pads=[0, 1]),
    _grouped((2, 3, 4, 3), (2, 2, 2, 2, 2), strides=[2, 1, 2]),
    _grouped((2, 3, 4), (2, 2, 2, 2), strides=[2, 1]),
]
