"""Einstein summation: labels kept, contracted, summed away, broadcast by an ellipsis."""

from __future__ import annotations

from typing import Any

from tests.export.differentiate.gradient_check import Row


def _einsum(equation: str, *shapes: Any) -> Row:
    return Row("Einsum", shapes, {"equation": equation})


ROWS = [
    _einsum("ij,jk->ik", (2, 3), (3, 4)),
    _einsum("ij,jk", (2, 3), (3, 4)),
    _einsum("bhqd,bhkd->bhqk", (2, 3, 4, 5), (2, 3, 6, 5)),
    _einsum("bhwc,hkc->bhwk", (2, 3, 4, 5), (3, 6, 5)),
    _einsum("bi,bj->bij", (2, 3), (2, 4)),
    _einsum("i,i->", (3,), (3,)),
    _einsum("ij->ji", (2, 3)),
    _einsum("ij->", (2, 3)),
    _einsum("bij->bi", (2, 3, 4)),
    _einsum("bij,bj->b", (2, 3, 4), (2, 4)),
    _einsum("bij,bk->bk", (2, 3, 4), (2, 5)),
    _einsum(" ...ij , ...jk -> ...ik ", (2, 5, 3, 4), (2, 5, 4, 6)),
    _einsum("...ij,...jk", (2, 5, 3, 4), (1, 5, 4, 6)),
    _einsum("i...,...j->...ij", (3, 2, 5), (2, 1, 4)),
    _einsum("...ij,jk->...ik", (2, 5, 3, 4), (4, 6)),
    _einsum("...i,...i->...", (2, 1, 4), (2, 3, 4)),
    _einsum("ba...,...a->b...", (2, 3, 4), (1, 3)),
    _einsum("ij,jk,kl->il", (2, 3), (3, 4), (4, 5)),
    *(_einsum(equation, (3, 3)) for equation in ("ii->i", "ii", "ii->")),
    _einsum("bii->bi", (2, 3, 3)),
    _einsum("...iji,bj->...bi", (2, 3, 4, 3), (5, 4)),
    _einsum("iii,i->i", (3, 3, 3), (3,)),
]
