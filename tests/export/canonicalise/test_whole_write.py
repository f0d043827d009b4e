"""A ScatterND of every element is its updates, and only that."""

from __future__ import annotations

import numpy as np
import pytest

from tests.export.source_check import check_rows, model_of


@pytest.mark.parametrize("indexed", [1, 3, 4])
@pytest.mark.parametrize("rows", ["1", "N"])
def test_a_write_of_everything(indexed: int, rows: str) -> None:
    """The indices are computed, as torch writes them, and larger than what folding makes constant."""
    shape = (1, 3, 160, 160)[:indexed]
    axes = [np.arange(size).reshape(-1, *[1] * (indexed - 1 - axis)) for axis, size in enumerate(shape)]
    parts = " ".join(f"e{i} = Expand (i{i}, shape) u{i} = Unsqueeze (e{i}, last)" for i in range(indexed))
    joined = ", ".join(f"u{i}" for i in range(indexed))
    text = f"""
        (float[{rows}, 3, 160, 160] image) => (float[{rows}, 3] scores) {{
            {parts} indices = Concat <axis = -1> ({joined})
            a = Relu (image) b = Sin (image)
            c = ScatterND (a, indices, b)
            scores = ReduceSum <keepdims = 0> (c, behind)
        }}
    """
    weights = {f"i{axis}": index for axis, index in enumerate(axes)}
    weights |= {"shape": np.array(shape), "last": np.array([-1]), "behind": np.array([2, 3])}
    canonical = check_rows(model_of(text, **weights))
    assert not {"ScatterND", "Relu"} & set(canonical.operators)


def test_elements_that_change_places() -> None:
    """A ScatterND that writes elements to other places is kept."""
    indices = np.stack(np.meshgrid([0], [2, 1, 0], indexing="ij"), -1)
    text = (
        "(float[1, 3, 8, 8] image) => (float[1, 3] scores) { "
        "b = Sin (image) c = ScatterND (image, indices, b) scores = ReduceSum <keepdims = 0> (c, behind) }"
    )
    canonical = check_rows(model_of(text, indices=indices, behind=np.array([2, 3])))
    assert "ScatterND" in canonical.operators
