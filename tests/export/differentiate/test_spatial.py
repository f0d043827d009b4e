"""Spatial operators: TensorRT builds them with their gradients, and lowering keeps what they compute."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray

from gagrad_edge.errors import UnsupportedOperatorError
from gagrad_export.assemble.graph import add_input, finish, new_graph
from gagrad_export.differentiate import gradients
from gagrad_export.emit import Op
from gagrad_export.lower import lower
from tests.export.differentiate.rule_table.operands import ints
from tests.export.networks import tensorrt_refuses

_W = np.random.default_rng(5).standard_normal
Build = Callable[[Op, Any], Any]


def _of(op_type: str, *operands: Any, **attributes: Any) -> Build:
    return lambda op, x: getattr(op, op_type)(x, *operands, **attributes)


def _weights(*shape: int) -> NDArray[np.float32]:
    return _W(shape).astype(np.float32)


def _resize(mode: str, scales: tuple[float, ...], **attributes: Any) -> Build:
    return _of("Resize", None, np.array([1, 1, *scales], np.float32), mode=mode, **attributes)


def _sizes(*sizes: int, **attributes: Any) -> Build:
    return _of("Resize", None, None, ints(*sizes), mode="linear", axes=[2, 3], **attributes)


def _sample(mode: str, padding: str) -> Build:
    """Return a spatial transformer: the grid is computed from the image too."""

    def build(op: Op, x: Any) -> Any:
        grid = op.Transpose(op.Tanh(op.Slice(x, [0], [2], [1])), perm=[0, 2, 3, 1])
        return op.GridSample(x, grid, mode=mode, padding_mode=padding)

    return build


def _affine(op: Op, x: Any) -> Any:
    mean = op.ReduceMean(op.Slice(x, [0, 0, 0], [1, 1, 6], [1, 2, 3]), [0])
    return op.AffineGrid(op.Expand(op.Reshape(mean, [1, 2, 3]), [2, 2, 3]), ints(2, 3, 4, 5))


def _computed_weights(op: Op, image: Any, group: int = 1) -> Any:
    rows = op.Slice(op.ReduceMean(image, [0, 1], keepdims=0), [0, 0], [3, 9 // group], [0, 1])
    return op.Conv(image, op.Reshape(rows, [3, 3 // group, 3, 1]), strides=[2, 1], group=group)


def _cropped_somewhere(op: Op, x: Any) -> Any:
    region = op.Reshape(op.ReduceMean(x, [1, 2, 3]), [-1])
    mode = "tf_crop_and_resize"
    return op.Resize(x, region, None, ints(4), axes=[3], coordinate_transformation_mode=mode)


def _sampled_finely(op: Op, x: Any) -> Any:
    grid = op.Expand(op.constant(np.zeros((1, 1, 1, 2), np.float32)), [2, 1999, 1999, 2])
    return op.GridSample(op.Expand(op.ReduceMean(x, [0]), [2, 3, 8, 9]), grid)


LOWERED = {
    "max-dilated": _of("MaxPool", kernel_shape=[3, 2], dilations=[2, 3], strides=[1, 2], pads=[1, 1, 2, 0]),
    "average-dilated": _of("AveragePool", kernel_shape=[3, 2], dilations=[2, 3], pads=[1, 1, 2, 0]),
    "average-dilated-padding": _of(
        "AveragePool", kernel_shape=[3, 2], dilations=[2, 3], pads=[1, 1, 2, 0], count_include_pad=1
    ),
    "lp-dilated": _of("LpPool", kernel_shape=[3, 2], dilations=[2, 1], strides=[2, 1], pads=[1, 0, 1, 1]),
    "lp-3": _of("LpPool", kernel_shape=[3, 2], strides=[2, 2], p=3, ceil_mode=1),
    "transposed-dilated": _of(
        "ConvTranspose",
        _weights(3, 2, 3, 2),
        _weights(2),
        strides=[2, 1],
        dilations=[1, 2],
        pads=[1, 0, 0, 1],
    ),
    "antialias": _resize("linear", (0.5, 0.4), antialias=1),
    "antialias-cubic": _resize("cubic", (0.6, 1.5), antialias=1, exclude_outside=1),
    "symmetric": _resize("linear", (1.3, 0.7), coordinate_transformation_mode="half_pixel_symmetric"),
    "aspect-ratio": _sizes(11, 9, keep_aspect_ratio_policy="not_larger"),
    "affine-grid": _affine,
}
"""What compilers refuse in the forward pass."""

KEPT = {
    "conv": _of("Conv", _weights(4, 3, 3, 3), strides=[2, 2], pads=[1, 1, 1, 1]),
    "conv-strided-dilated": _of("Conv", _weights(6, 1, 3, 2), strides=[2, 1], dilations=[2, 3], group=3),
    "conv-computed-weights": lambda op, x: _computed_weights(op, op.ReduceMean(x, [0])),
    "conv-computed-groups": lambda op, x: _computed_weights(op, op.ReduceMean(x, [0]), group=3),
    "conv-padded-far": _of("Conv", _weights(4, 3, 2, 2), pads=[3, 0, 2, 3]),
    "conv-same": _of("Conv", _weights(4, 3, 4, 3), strides=[2, 2], auto_pad="SAME_LOWER"),
    "transposed": _of("ConvTranspose", _weights(3, 4, 3, 3), strides=[2, 2], output_padding=[1, 0]),
    "max": _of("MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], ceil_mode=1),
    "average": _of("AveragePool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], ceil_mode=1),
    "lp": _of("LpPool", kernel_shape=[2, 2], strides=[2, 2]),
    "global-max": _of("GlobalMaxPool"),
    "global-lp": _of("GlobalLpPool", p=3),
    "nearest": _resize("nearest", (2, 2), coordinate_transformation_mode="asymmetric", nearest_mode="floor"),
    "linear": _resize("linear", (2, 2)),
    "cubic": _resize("cubic", (1.5, 0.5), coordinate_transformation_mode="align_corners"),
    **{
        f"sample-{mode}-{padding}": _sample(mode, padding)
        for mode, padding in (("linear", "zeros"), ("nearest", "border"), ("cubic", "reflection"))
    },
}


def _graphs(build: Build, opset: int = 20) -> tuple[bytes, bytes]:
    """Return the operator as it is, and lowered together with its gradient."""
    graphs = []
    for lowered in (False, True):
        op = new_graph("spatial", opset)
        x = add_input(op, "x", ["N", 3, 8, 9])
        y = build(op, op.Identity(x))
        outputs = {"y": op.Identity(y)}
        if lowered:
            (dx,) = gradients(op, {y: op.Mul(y, 0.5)}, [x])
            assert dx is not None
            outputs["dx"] = op.Identity(dx)
            lower(op)
        graphs.append(finish(op, outputs).complete())
    return graphs[0], graphs[1]


@pytest.mark.slow
@pytest.mark.parametrize("name", [*LOWERED, *KEPT])
def test_tensorrt_builds_operator_and_gradient(name: str) -> None:
    """With a free batch."""
    _, graph = _graphs({**LOWERED, **KEPT}[name])
    assert tensorrt_refuses(graph) == ""


@pytest.mark.parametrize("name", LOWERED)
def test_lowering_keeps_the_values(name: str) -> None:
    """ONNX Runtime runs what compilers refuse, so it can tell."""
    x = np.random.default_rng(0).standard_normal((2, 3, 8, 9)).astype(np.float32)
    before, after = (
        onnxruntime.InferenceSession(graph).run(["y"], {"x": x})[0] for graph in _graphs(LOWERED[name])
    )
    np.testing.assert_allclose(after, before, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", LOWERED)
def test_compilers_refuse_what_is_lowered(name: str) -> None:
    """When this fails a lowering has become needless."""
    assert tensorrt_refuses(_graphs(LOWERED[name])[0]) != ""


def test_output_padding_of_a_stride() -> None:
    """PyTorch allows it beside a dilation; ONNX Runtime computes it once it is lowered to a Conv."""
    geometry: dict[str, Any] = {"dilation": 3, "output_padding": 2}
    x = torch.randn(2, 3, 8, 9, requires_grad=True)
    w = _weights(3, 2, 2, 2)
    y = torch.nn.functional.conv_transpose2d(x, torch.from_numpy(w), stride=2, **geometry)
    y.backward(y.detach() * 0.5)
    op = _of("ConvTranspose", w, strides=[2, 2], dilations=[3, 3], output_padding=[2, 2])
    run = onnxruntime.InferenceSession(_graphs(op)[1]).run(["y", "dx"], {"x": x.detach().numpy()})
    for got, want in zip(run, (y.detach(), x.grad), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("build", "why"),
    [
        (_cropped_somewhere, "its region is computed"),
        (_computed_weights, "with respect to its input 1"),
        (lambda op, x: op.Resize(x, None, op.Cast(op.Shape(x), to=1)), "its scales are computed"),
        (_sampled_finely, "a tensor of"),
    ],
)
def test_refused(build: Build, why: str) -> None:
    """With the node, the reason and a way out."""
    with pytest.raises(UnsupportedOperatorError, match=why) as caught:
        _graphs(build)
    assert caught.value.hint
    assert "node" in str(caught.value.where)
