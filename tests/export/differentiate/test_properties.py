"""Random shapes and attributes: the rules of the spatial operators agree with finite differences.

What an operator cannot have (a window larger than the padded image, say) is not drawn. Slice and Pad are
computed in float64; the others run in ONNX Runtime in float32, where they are linear in what is changed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.export.differentiate.gradient_check import Row, linear, selecting, worst_error

Draw = st.DrawFn
drawn = settings(derandomize=True, deadline=None, max_examples=40)


def holds(row: Row) -> bool:
    return worst_error(row, directions=2) < row.tolerance


def integers(draw: Draw, count: int, low: int, high: int) -> list[int]:
    return draw(st.lists(st.integers(low, high), min_size=count, max_size=count))


@st.composite
def windows(draw: Draw, beyond: int = 0) -> tuple[list[int], dict[str, Any]]:
    """Return a spatial size and the attributes of a window that fits it.

    Padding is smaller than the window, or larger by up to ``beyond`` elements.
    """
    rank = draw(st.integers(1, 3))
    kernel = integers(draw, rank, 1, 4 if rank < 3 else 2)
    strides, dilations, pads = integers(draw, rank, 1, 3), [1] * rank, [0] * 2 * rank
    attributes: dict[str, Any] = {"kernel_shape": kernel, "strides": strides}
    auto = draw(st.sampled_from(["NOTSET", "NOTSET", "NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"]))
    if auto == "NOTSET":
        pads = [draw(st.integers(0, k - 1 + beyond)) for k in [*kernel, *kernel]]
        dilations = integers(draw, rank, 1, 3)
        attributes |= {"pads": pads, "dilations": dilations}
    else:
        # ONNX Runtime refuses dilation beside auto_pad or forgets it, and has no negative padding.
        attributes |= {"auto_pad": auto, "strides": [min(s, k) for s, k in zip(strides, kernel, strict=True)]}
    reach = [d * (k - 1) + 1 for d, k in zip(dilations, kernel, strict=True)]
    least = [max(reach[i] - pads[i] - pads[rank + i], 1) for i in range(rank)]
    return [size + draw(st.integers(0, 5)) for size in least], attributes


@pytest.mark.slow
@drawn
@given(st.data())
def test_conv(data: st.DataObject) -> None:
    """With groups, multipliers, dilation and stride."""
    size, attributes = data.draw(windows(beyond=2))
    group, inputs, outputs = data.draw(st.tuples(st.integers(1, 3), st.integers(1, 2), st.integers(1, 2)))
    w = np.random.default_rng(0).standard_normal((group * outputs, inputs, *attributes["kernel_shape"]))
    assert holds(linear("Conv", ((2, group * inputs, *size), w), {**attributes, "group": group}))


@pytest.mark.slow
@drawn
@given(st.data())
def test_conv_transpose(data: st.DataObject) -> None:
    """With output padding below the stride."""
    _, attributes = data.draw(windows())
    kernel, strides = attributes["kernel_shape"], attributes["strides"]
    rank = len(kernel)
    size = integers(data.draw, rank, 1, 5)
    if "pads" in attributes:
        extra = [data.draw(st.integers(0, stride - 1)) for stride in strides]
        attributes["output_padding"] = extra
        pads, dilations = attributes["pads"], attributes["dilations"]
        for i in range(rank):
            length = strides[i] * (size[i] - 1) + extra[i] + dilations[i] * (kernel[i] - 1) + 1
            pads[i] = min(pads[i], length - 1)
            pads[rank + i] = min(pads[rank + i], length - 1 - pads[i])
    group, inputs, outputs = data.draw(st.tuples(st.integers(1, 3), st.integers(1, 2), st.integers(1, 2)))
    w = np.random.default_rng(0).standard_normal((group * inputs, outputs, *kernel))
    assert holds(linear("ConvTranspose", ((2, group * inputs, *size), w), {**attributes, "group": group}))


@pytest.mark.slow
@drawn
@given(windows(), st.integers(0, 1))
def test_max_pool(window: tuple[list[int], dict[str, Any]], ceil: int) -> None:
    """The gradient of MaxPool is right for any window, stride, dilation, padding and rounding."""
    size, attributes = window
    attributes["ceil_mode"] = ceil
    assert holds(selecting("MaxPool", ((1, 2, *size),), attributes, opset=22))


@pytest.mark.slow
@drawn
@given(windows(), st.integers(0, 1), st.integers(0, 1))
def test_average_pool(window: tuple[list[int], dict[str, Any]], ceil: int, include: int) -> None:
    """The gradient of AveragePool is right for any window, padding and rounding."""
    size, attributes = window
    attributes |= {"ceil_mode": ceil, "count_include_pad": include}
    assert holds(linear("AveragePool", ((2, 2, *size),), attributes, opset=22))


@pytest.mark.slow
@drawn
@given(
    st.tuples(st.integers(1, 7), st.integers(1, 7)),
    st.tuples(st.integers(1, 12), st.integers(1, 12)),
    st.sampled_from(["nearest", "linear", "cubic"]),
    st.sampled_from(["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"]),
    st.sampled_from(["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]),
    st.booleans(),
)
def test_resize(
    size: tuple[int, int],
    resized: tuple[int, int],
    mode: str,
    coordinates: str,
    nearest: str,
    antialias: bool,
) -> None:
    """The gradient of Resize is right for any sizes, mode, coordinates and antialiasing."""
    attributes: dict[str, Any] = {"mode": mode, "coordinate_transformation_mode": coordinates, "axes": [2, 3]}
    attributes |= {"nearest_mode": nearest} if mode == "nearest" else {"antialias": int(antialias)}
    sizes = np.array(resized, np.int64)
    assert holds(linear("Resize", ((2, 2, *size), None, None, sizes), attributes, opset=19))


@drawn
@given(st.lists(st.integers(1, 6), min_size=1, max_size=4), st.data())
def test_slice(shape: list[int], data: st.DataObject) -> None:
    """With steps of either sign, over ranges that are not empty."""
    starts, ends, steps = [], [], []
    for size in shape:
        low, high = sorted((data.draw(st.integers(0, size - 1)), data.draw(st.integers(0, size - 1))))
        forward = data.draw(st.booleans())
        starts.append(low if forward else high - size)
        ends.append(high + 1 if forward else low - 1 - size)
        steps.append(data.draw(st.integers(1, 3)) * (1 if forward else -1))
    bounds = (np.array(values, np.int64) for values in (starts, ends, range(len(shape)), steps))
    assert holds(Row("Slice", (tuple(shape), *bounds)))


@pytest.mark.slow
@drawn
@given(st.lists(st.integers(1, 5), min_size=1, max_size=4), st.data())
def test_pad(shape: list[int], data: st.DataObject) -> None:
    """With padding and cropping, never of everything."""
    before = [data.draw(st.integers(1 - size, 3)) for size in shape]
    after = [
        data.draw(st.integers(1 - size - min(low, 0), 3)) for size, low in zip(shape, before, strict=True)
    ]
    pads = np.array([*before, *after], np.int64)
    assert holds(Row("Pad", (tuple(shape), pads), engine="onnxruntime"))
