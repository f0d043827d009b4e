"""A Resize to sizes, which hold the batch: the same pixels for any number of rows, however scales round."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.export.source_check import check_rows, exported, model_of

MODES = {
    "floor": 'mode = "nearest", coordinate_transformation_mode = "asymmetric", nearest_mode = "floor"',
    "default": 'mode = "nearest"',
    "ceil": 'mode = "nearest", nearest_mode = "ceil"',
    "linear": 'mode = "linear"',
}


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
@pytest.mark.parametrize(
    ("size", "resized"),
    [(3, 7), (6, 14), (6, 13), (11, 25), (41, 97)],
    ids=["3-7", "6-14", "6-13", "11-25", "41-97"],
)
def test_pixels_are_those_of_the_sizes(size: int, resized: int, mode: str, tmp_path: Path) -> None:
    """3 → 7 of torch (GhostNetV3): 7/3 in float32 times 3 is 7 in float32 and below it in float64."""
    model = model_of(
        f"""(float[N, 3, {size}, {size}] image) => (float[N, 9] y)
            <int64[4] end = {{1, 3, {resized}, {resized}}}, int64[1] one = {{1}}, int64[2] axes = {{2, 3}}> {{
            n = Shape <start = 0, end = 1> (image)
            rest = Slice (end, one, four)
            sizes = Concat <axis = 0> (n, rest)
            r = Resize <{mode}> (image, , , sizes)
            w = Mul (r, weights)
            c = Conv <strides = [3, 2]> (w, kernel)
            y = ReduceMean <keepdims = 0> (c, axes) }}""",
        opset=18,
        ir_version=10,
        four=np.array([4]),
        weights=np.random.default_rng(0).standard_normal((1, 3, resized, resized)).astype(np.float32),
        kernel=np.random.default_rng(1).standard_normal((9, 3, 2, 2)).astype(np.float32),
    )
    check_rows(model)
    if size < 7:
        exported(model, tmp_path)
