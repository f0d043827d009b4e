"""Padding with −∞ in front of a MaxPool becomes the pooling's own, and the gradient is a number."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.export.source_check import check_rows, exported, model_of


@pytest.mark.slow
@pytest.mark.parametrize(
    ("pads", "value", "attributes", "fused"),
    [
        ([0, 0, 0, 0, 0, 0, 1, 1], -np.inf, "strides = [2, 2]", True),
        ([0, 0, 1, 0, 0, 0, 0, 2], np.finfo(np.float32).min, "pads = [1, 1, 1, 0]", True),
        ([0, 0, 1, 1, 0, 0, 1, 1], -1.0, "strides = [2, 2]", False),
        ([0, 0, 2, 2, 0, 0, 2, 2], -np.inf, "pads = [1, 1, 1, 1]", False),
        ([0, 0, -1, 1, 0, 0, 1, 1], -np.inf, "strides = [1, 1]", False),
    ],
)
def test_what_is_fused(
    tmp_path: Path, pads: list[int], value: float, attributes: str, *, fused: bool
) -> None:
    """A Pad is fused into its MaxPool where that is exact, and else kept; scores do not change."""
    text = f"""
        (float[N, 3, 8, 8] image) => (float[N, 3] scores) {{
            p = Pad (image, pads, value)
            m = MaxPool <kernel_shape = [3, 3], {attributes}> (p)
            r = Relu (m)
            scores = ReduceMean <keepdims = 0> (r, axes)
        }}
    """
    model = model_of(text, pads=np.array(pads), value=np.float32(value), axes=np.array([2, 3]))
    assert ("Pad" not in check_rows(model).operators) == fused
    if fused:
        exported(model, tmp_path)
