"""Equations of Einsum are written out: they mean what they did, the batch is followed, TensorRT builds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gagrad_export.differentiate.equation import spelled_out
from tests.export.source_check import check_rows, exported, model_of


@pytest.mark.slow
@pytest.mark.parametrize(
    "equation",
    ["N C H W, H K -> N C K W", "nCaW,ab->nCbW", "...HW,HK->...KW", "n...hw,hk->n...kw"],
)
@pytest.mark.parametrize("rows", ["1", "N"])
def test_equations(tmp_path: Path, equation: str, rows: str) -> None:
    """An Einsum in any spelling gives each row its scores, and is exported."""
    text = f"""
        (float[{rows}, 3, 6, 5] image) => (float[{rows}, 2] scores) {{
            y = Einsum <equation = "{equation}"> (image, w)
            r = Relu (y)
            f = Flatten (r)
            scores = MatMul (f, head)
        }}
    """
    rng = np.random.default_rng(0)
    w, head = (rng.normal(size=size).astype(np.float32) for size in ((6, 4), (3 * 4 * 5, 2)))
    model = model_of(text, w=w, head=head)
    check_rows(model)
    exported(model, tmp_path)


@pytest.mark.parametrize(
    ("equation", "ranks", "expected"),
    [
        ("Ba,bc", (2, 2), ["dabc", "da", "bc"]),  # an implied output is in alphabetic order, capitals first
        ("ij,jk->ik", (2, 2), ["ik", "ij", "jk"]),
        ("...ij , ...jk", (3, 3), ["aik", "aij", "ajk"]),
        ("AbC->b", (3,), ["b", "abc"]),
    ],
)
def test_what_is_understood(equation: str, ranks: tuple[int, ...], expected: list[str]) -> None:
    """An equation is spelled out with one lower-case letter per axis, and its output."""
    assert spelled_out(equation, ranks) == expected
