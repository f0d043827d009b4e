"""Small models with the outputs of several tasks, and what the finders are shown of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import numpy_helper, parser

from gagrad_export.verify.probe import probe_of

if TYPE_CHECKING:
    from gagrad_export.arrange import Probe

SIZE = (16, 16)
HEADER = '<ir_version: 10, opset_import: ["" : 18]>'


def model(outputs: str, body: str, *, size: tuple[int, int] = SIZE, **constants: Any) -> onnx.ModelProto:
    """Return a model of an image ``x [N, 3, H, W]``: ``body`` computes ``outputs`` from the map ``a``.

    ``a [N, 4, H, W]`` is a convolution of the image. ``constants`` are initializers by name.
    """
    height, width = size
    text = f"""
        {HEADER}
        net (float[N, 3, {height}, {width}] x) => ({outputs}) {{
            a = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (x, w)
            {body}
        }}
    """
    proto = parser.parse_model(text)
    weights = np.random.default_rng(3).normal(size=(4, 3, 3, 3)).astype(np.float32)
    for name, values in {"w": weights, **constants}.items():
        proto.graph.initializer.append(numpy_helper.from_array(np.asarray(values), name))
    onnx.checker.check_model(proto)
    return proto


def probe(proto: onnx.ModelProto) -> Probe:
    """Return what the finders are shown of ``proto``."""
    return probe_of(proto, size=None, input_name=None, fixed={})


def numbers(**values: float) -> dict[str, Any]:
    """Return float constants without axes by name."""
    return {name: np.float32(value) for name, value in values.items()}


ANOMALIB = """
    spread = ReduceMean <keepdims = 1> (a, one)
    smooth = AveragePool <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (spread)
    highest = ReduceMax <keepdims = 0> (smooth, all)
    s1 = Sub (highest, threshold)
    s2 = Div (s1, range)
    s3 = Add (s2, half)
    s4 = Clip (s3, zero, top)
    s5 = Where (never, zero, s4)
    pred_score = Where (always, s5, highest)
    pred_label = Greater (pred_score, half)
    m1 = Sub (smooth, threshold)
    m2 = Div (m1, range)
    m3 = Add (m2, half)
    m4 = Clip (m3, zero, top)
    anomaly_map = Where (always, m4, smooth)
    pred_mask = Greater (anomaly_map, half)
"""
"""What anomalib 2 writes behind a model: normalisation, limits, label and mask."""
ANOMALIB_OUTPUTS = (
    "float[N] pred_score, bool[N] pred_label, float[N, 1, 16, 16] anomaly_map, bool[N, 1, 16, 16] pred_mask"
)
ANOMALIB_CONSTANTS: dict[str, Any] = {
    **numbers(threshold=0.4, range=0.9, half=0.5, zero=0, top=1),
    "one": np.array([1]),
    "all": np.array([1, 2, 3]),
    "never": np.array(False),
    "always": np.array(True),
}


def anomalib() -> onnx.ModelProto:
    """Return an anomaly scorer with the outputs and the arithmetic of anomalib 2."""
    return model(ANOMALIB_OUTPUTS, ANOMALIB, **ANOMALIB_CONSTANTS)


def text_reader(
    count: int,
    tail: str = "Softmax",
    *,
    time_first: bool = False,
    blank: int = 0,
    size: tuple[int, int] = SIZE,
) -> onnx.ModelProto:
    """Return a text reader of 8 steps and ``count`` characters, ``[N, 8, K]`` or ``[8, N, K]``.

    Character ``blank`` is the likeliest at most steps.
    """
    height, width = size
    weights = np.random.default_rng(5).normal(size=(4 * height * width // 8, count)).astype(np.float32) * 0.1
    bias = np.zeros(count, np.float32)
    bias[blank] = 9
    body = """
        columns = Transpose <perm = [0, 3, 1, 2]> (a)
        steps = Reshape (columns, shape)
        scored = MatMul (steps, v)
        biased = Add (scored, b)
    """
    axes, kind = (1, 0, 2) if time_first else (0, 1, 2), "8, N" if time_first else "N, 8"
    body += f"ordered = Transpose <perm = [{', '.join(map(str, axes))}]> (biased)\n"
    body += f"text = {tail} {'<axis = 2>' if tail != 'Identity' else ''} (ordered)"
    shape = np.array([-1, 8, 4 * height * width // 8])
    return model(f"float[{kind}, {count}] text", body, size=size, shape=shape, v=weights, b=bias)
