"""Rewrite rules of others, where two of them meet in one graph."""

from __future__ import annotations

import numpy as np
import pytest

from tests.export.source_check import check_rows, model_of

CLIPPED = [
    "b{0} = Clip (image, low{0}, high) c{0} = Clip (b{0}, , high{0})",
    "b{0} = Max (image, low{0}) c{0} = Min (b{0}, high{0})",
    "b{0} = Min (image, high{0}) c{0} = Max (b{0}, low{0})",
]


@pytest.mark.parametrize("clipped", CLIPPED)
def test_branches_of_one_value_keep_their_own_bounds(clipped: str) -> None:
    """As the clipped inputs of q, k and v: the rule names its constants after the value, twice the same."""
    bounds = {f"low{i}": np.float32(0.1 * i) for i in range(1, 4)}
    bounds |= {f"high{i}": np.float32(1 - 0.2 * i) for i in range(1, 4)}
    parts = "\n".join(clipped.format(i) for i in range(1, 4))
    model = model_of(
        f"""(float[N, 3, 8, 8] image) => (float[N, 9] y) <int64[2] axes = {{2, 3}}> {{
            {parts}
            all = Concat <axis = 1> (c1, c2, c3)
            y = ReduceMean <keepdims = 0> (all, axes) }}""",
        opset=18,
        ir_version=10,
        high=np.float32(0.9),
        **bounds,
    )
    check_rows(model)
