"""Matrix products."""

from __future__ import annotations

from tests.export.differentiate.gradient_check import Row

ROWS = [
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
