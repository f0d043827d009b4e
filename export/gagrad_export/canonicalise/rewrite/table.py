"""The operators that canonical form does not have, because a pass writes others in their place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gagrad_export.canonicalise.rewrite import (
    col2im,
    deform_conv,
    dft,
    functions,
    group_normalisation,
    max_unpool,
    quantisation,
    roi_align,
)
from gagrad_export.canonicalise.unroll import control_flow as unroll_control_flow
from gagrad_export.canonicalise.unroll import recurrent as unroll_recurrent
from gagrad_export.canonicalise.unroll import sequences

if TYPE_CHECKING:
    from types import ModuleType

_PASSES = (
    *(col2im, deform_conv, dft, functions, group_normalisation, max_unpool, quantisation, roi_align),
    *(sequences, unroll_control_flow, unroll_recurrent),
)


def rewritten_operators() -> dict[str, ModuleType]:
    """Return the module that rewrites each: its docstring says how, and its LIMITS, if any, what not."""
    return {op_type: module for module in _PASSES for op_type in module.OPERATORS}
