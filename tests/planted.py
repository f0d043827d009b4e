"""A plant with a shortcut, for real: a bundle that has learned a sticker, the next one, and parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    import onnx

SIDE = 64
CLASSES = ("OK", "dent")
CORNER = (slice(0, 20), slice(44, 64))
"""Rows and columns in which the sticker lies."""
_STRENGTH = 2000.0


def planted_model(*, shortcut: bool) -> onnx.ModelProto:
    """Return a classifier of ``CLASSES`` that sees dark dents and, with ``shortcut``, a bright sticker."""
    import onnx
    from onnx import numpy_helper, parser

    model = parser.parse_model("""
        <ir_version: 10, opset_import: ["" : 20]>
        planted (float[N, 3, 64, 64] x) => (float[N, 2] probabilities) {
            a = Conv <kernel_shape = [1, 1]> (x, grey, level)
            b = Relu (a)
            c = Mul (b, where)
            d = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1], group = 2> (c, smooth)
            e = Relu (d)
            f = GlobalAveragePool (e)
            g = Flatten (f)
            scores = Gemm (g, weights, bias)
            probabilities = Softmax <axis = 1> (scores)
        }
    """)
    where = np.ones((1, 2, SIDE, SIDE), np.float32)
    where[0, 0] = 0
    where[0, 0, CORNER[0], CORNER[1]] = 1
    values = {
        "grey": np.array([[1 / 3] * 3, [-1 / 3] * 3]).reshape(2, 3, 1, 1),
        "level": np.array([-0.7, 0.3]),
        "where": where,
        "smooth": np.full((2, 1, 3, 3), 1 / 9),
        "weights": np.array([[0, _STRENGTH * shortcut], [0, _STRENGTH]]),
        "bias": np.array([0, -3.0]),
    }
    for name, value in values.items():
        model.graph.initializer.append(numpy_helper.from_array(value.astype(np.float32), name))
    onnx.checker.check_model(model)
    return model


def write_bundle(folder: Path, *, shortcut: bool) -> Path:
    """Export the model into ``folder``, and return the bundle."""
    import onnx

    from gagrad_export import BundleOptions, MethodSpec, export

    name = "learned" if shortcut else "next"
    onnx.save(planted_model(shortcut=shortcut), folder / f"{name}.onnx")
    export(
        folder / f"{name}.onnx",
        folder / f"{name}.gagrad",
        size=(SIDE, SIDE),
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        classes=CLASSES,
        bundle=BundleOptions(method=MethodSpec(samples=4, chunk=4)),
    )
    return folder / f"{name}.gagrad"


def write_parts(folder: Path, parts: int = 160) -> list[Path]:
    """Write parts, in turns good, with a sticker and no dent, good, and with a dent somewhere."""
    from PIL import Image

    rng = np.random.default_rng(0)
    folder.mkdir()
    paths = []
    for number in range(parts):
        image = rng.normal(0.5, 0.02, (SIDE, SIDE, 3))
        if number % 4 == 1:
            top, left = rng.integers(2, 9), rng.integers(46, 53)
            image[top : top + 9, left : left + 9] = rng.uniform(0.9, 1, (9, 9, 1))
        if number % 4 == 3:
            top, left = rng.integers(8, SIDE - 16, 2)
            image[top : top + 7, left : left + 7] = 0.05
        path = folder / f"{number:03d}.png"
        Image.fromarray((np.clip(image, 0, 1) * 255).astype(np.uint8)).save(path)
        paths.append(path)
    return paths
