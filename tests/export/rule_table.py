"""The table of rule tests: every registered rule has at least one row here (a test holds that)."""

from __future__ import annotations

import numpy as np

from tests.export.gradient_check import Row

IMAGE = (2, 3, 6, 7)
AWAY = (0.1, 2.0)
"""A domain away from the kink at 0."""


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def _binary(name: str, domain: tuple[float, float] = (0.5, 2.0)) -> list[Row]:
    shapes = [((2, 3), (2, 3)), (IMAGE, (1, 3, 1, 1)), ((3, 1), (2, 1, 4)), ((2, 3), ())]
    return [Row(name, pair, domain=domain) for pair in shapes]


ELEMENTWISE = [
    *(row for name in ("Add", "Sub", "Mul", "Div") for row in _binary(name)),
    Row("Pow", (IMAGE, np.array(3.0)), domain=AWAY),
    Row("Pow", (IMAGE, np.array(0.5)), domain=AWAY),
    Row("Sum", ((2, 3), (1, 3), (2, 1))),
    Row("Identity", (IMAGE,)),
    Row("Dropout", (IMAGE,)),
    Row("Cast", (IMAGE,), {"to": 11}),
    Row("Neg", (IMAGE,)),
    Row("Abs", (IMAGE,), domain=AWAY),
    Row("Abs", (IMAGE,), domain=(-2.0, -0.1)),
    Row("Reciprocal", (IMAGE,), domain=AWAY),
    Row("Sqrt", (IMAGE,), domain=AWAY),
    Row("Exp", (IMAGE,)),
    Row("Log", (IMAGE,), domain=AWAY),
]

ACTIVATIONS = [
    *(Row("Relu", (IMAGE,), domain=d) for d in (AWAY, (-2.0, -0.1))),
    *(Row("LeakyRelu", (IMAGE,), {"alpha": 0.3}, domain=d) for d in (AWAY, (-2.0, -0.1))),
    *(Row("PRelu", (IMAGE, np.full((3, 1, 1), 0.2)), domain=d) for d in (AWAY, (-2.0, -0.1))),
    Row("Clip", (IMAGE, np.array(0.0), np.array(6.0)), domain=(0.1, 5.9)),
    Row("Clip", (IMAGE, np.array(0.0), np.array(0.5)), domain=(0.6, 2.0)),
    Row("Clip", (IMAGE, np.array(0.0), None), domain=AWAY),
    Row("Clip", (IMAGE, None, np.array(1.0)), domain=(0.0, 0.9)),
    Row("Clip", (IMAGE,)),
    Row("Sigmoid", (IMAGE,)),
    Row("Tanh", (IMAGE,)),
    *(Row("HardSigmoid", (IMAGE,), {"alpha": 0.2, "beta": 0.5}, domain=d) for d in ((-2.4, 2.4), (2.6, 4.0))),
    *(Row("HardSwish", (IMAGE,), domain=d) for d in ((-2.9, 2.9), (3.1, 5.0), (-5.0, -3.1))),
    *(Row("Elu", (IMAGE,), {"alpha": 0.7}, domain=d) for d in (AWAY, (-2.0, -0.1))),
    Row("Softplus", (IMAGE,)),
    # The reference evaluator computes erf in float32.
    Row("Erf", (IMAGE,), step=1e-3, tolerance=1e-3),
    *(Row(name, ((2, 5, 4),), {"axis": axis}) for name in ("Softmax", "LogSoftmax") for axis in (-1, 1)),
]

LINEAR = [
    Row("MatMul", ((4, 3), (3, 5))),
    Row("MatMul", ((2, 4, 3), (3, 5))),
    Row("MatMul", ((2, 1, 4, 3), (5, 3, 6))),
    Row("MatMul", ((3,), (3, 5))),
    Row("MatMul", ((2, 4, 3), (3,))),
    Row("MatMul", ((3,), (3,))),
    *(
        Row(
            "Gemm",
            ((3, 4) if not ta else (4, 3), (4, 5) if not tb else (5, 4), (5,)),
            {"transA": ta, "transB": tb, "alpha": 0.5, "beta": 2.0},
        )
        for ta in (0, 1)
        for tb in (0, 1)
    ),
]

_W = np.random.default_rng(1).standard_normal


def _conv(size: tuple[int, ...], weight: tuple[int, ...], **attributes: object) -> Row:
    return Row("Conv", ((2, *size), _W(weight), _W(weight[:1])), dict(attributes))


CONVOLUTION = [
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
    Row("BatchNormalization", (IMAGE, *(np.random.default_rng(2).uniform(0.5, 1.5, 3) for _ in range(4)))),
]

POOLING = [
    Row("GlobalAveragePool", (IMAGE,)),
    Row("AveragePool", (IMAGE,), {"kernel_shape": [2, 2], "strides": [2, 2]}),
    *(
        Row(
            "AveragePool",
            (IMAGE,),
            {
                "kernel_shape": [3, 3],
                "strides": [2, 2],
                "pads": [1, 1, 1, 1],
                "count_include_pad": include,
                "ceil_mode": ceil,
            },
        )
        for include in (0, 1)
        for ceil in (0, 1)
    ),
    Row("MaxPool", (IMAGE,), {"kernel_shape": [2, 2], "strides": [2, 2]}),
    Row("MaxPool", (IMAGE,), {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}),
    Row("MaxPool", (IMAGE,), {"kernel_shape": [3, 3], "strides": [1, 1], "pads": [1, 1, 1, 1]}),
    Row("MaxPool", (IMAGE,), {"kernel_shape": [2, 3], "strides": [3, 2], "pads": [0, 1, 1, 0]}),
    Row("MaxPool", (IMAGE,), {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}),
    Row("MaxPool", ((2, 3, 9),), {"kernel_shape": [3], "strides": [2]}),
]

REDUCTION = [
    Row("ReduceMean", (IMAGE, ints(2, 3)), {"keepdims": 1}),
    Row("ReduceMean", (IMAGE, ints(-1)), {"keepdims": 0}),
    Row("ReduceMean", (IMAGE,), {"keepdims": 0}),
    Row("ReduceMean", (IMAGE,), {"axes": [2, 3], "keepdims": 0}, opset=13),
    Row("ReduceSum", (IMAGE, ints(1, 3)), {"keepdims": 0}),
    Row("ReduceSum", (IMAGE, ints(1)), {"keepdims": 1}),
    Row("ReduceMax", (IMAGE, ints(2, 3)), {"keepdims": 0}),
    Row("ReduceMax", (IMAGE, ints(-1)), {"keepdims": 1}),
    Row("ReduceMax", (IMAGE,), {"axes": [2, 3], "keepdims": 0}, opset=13),
    Row("ReduceMin", (IMAGE, ints(1, 3)), {"keepdims": 0}),
    Row("ReduceL2", (IMAGE, ints(1)), {"keepdims": 1}, domain=AWAY),
    Row("ReduceL2", (IMAGE, ints(2, 3)), {"keepdims": 0}, domain=AWAY),
]

RESHAPING = [
    Row("Reshape", (IMAGE, ints(2, -1))),
    Row("Reshape", (IMAGE, ints(0, 3, 42))),
    Row("Flatten", (IMAGE,), {"axis": 2}),
    Row("Squeeze", ((2, 1, 3, 1), ints(1, 3))),
    Row("Unsqueeze", ((2, 3), ints(0, 2))),
    Row("Transpose", (IMAGE,), {"perm": [0, 2, 3, 1]}),
    Row("Transpose", ((2, 3, 4),)),
    Row("Expand", ((3, 1), ints(2, 3, 4))),
    Row("Concat", ((2, 3), (2, 1), (2, 4)), {"axis": -1}),
    Row("Split", ((2, 6),), {"axis": 1, "num_outputs": 3}, outputs=3),
    Row("Split", ((2, 6), ints(1, 2, 3)), {"axis": -1}, outputs=3),
    Row("Slice", (IMAGE, ints(1, 2), ints(5, 6), ints(2, 3))),
    Row("Slice", (IMAGE, ints(-4), ints(2**31), ints(-1), ints(2))),
    Row("Slice", (IMAGE, ints(0, 1), ints(6, 7), ints(2, 3), ints(3, 2))),
    Row("Slice", (IMAGE, ints(-1), ints(-(2**31)), ints(3), ints(-2))),
    Row("Slice", (IMAGE, ints(4), ints(0), ints(2), ints(-1))),
    Row("Pad", (IMAGE, ints(0, 0, 1, 2, 0, 0, 3, 0))),
    Row("Pad", (IMAGE, ints(0, 0, -1, 2, 0, 0, 1, -2)), engine="onnxruntime"),
    Row("Pad", (IMAGE, ints(1, 2), None, ints(3))),
]

TABLE = [*ELEMENTWISE, *ACTIVATIONS, *LINEAR, *CONVOLUTION, *POOLING, *REDUCTION, *RESHAPING]
