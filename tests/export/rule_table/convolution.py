"""Convolutions: strides, padding, dilation, groups."""

from __future__ import annotations

import numpy as np

from tests.export.gradient_check import Row

_W = np.random.default_rng(1).standard_normal


def _conv(size: tuple[int, ...], weight: tuple[int, ...], **attributes: object) -> Row:
    return Row("Conv", ((2, *size), _W(weight), _W(weight[:1])), dict(attributes))


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
    _conv((3, 8, 7), (4, 3, 2, 2), pads=[3, 3, 3, 3]),
    *(
        _conv((3, 8, 7), (4, 3, 3, 4), auto_pad=p, strides=s)
        for p in ("SAME_UPPER", "SAME_LOWER")
        for s in ([1, 1], [2, 2])
    ),
    _conv((3, 8, 7), (4, 3, 3, 3), auto_pad="VALID"),
    _conv((3, 11), (4, 3, 3), pads=[1, 1], strides=[2]),
    Row(
        "ConvTranspose",
        ((2, 3, 5, 4), _W((3, 4, 3, 3))),
        {"strides": [2, 2], "pads": [1, 1, 1, 1], "output_padding": [1, 1]},
    ),
    Row("ConvTranspose", ((2, 3, 5, 4), _W((3, 4, 2, 2))), {"strides": [2, 2]}),
]
