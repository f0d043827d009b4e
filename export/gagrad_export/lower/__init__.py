"""Lowering: operators become others that inference engines accept and run fast.

Internal operators, which differentiation leaves behind, and the standard operators that compilers refuse.
One operator family a file, with before → after and the algebra in the docstring.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx_ir as ir

from gagrad_export.emit import INTERNAL
from gagrad_export.lower.affine_grid import lower_affine_grid
from gagrad_export.lower.blocked_layout import stay_blocked
from gagrad_export.lower.convolution import lower_conv_transpose, lower_convolution
from gagrad_export.lower.gate import lower_gate, lower_gate_by_comparison
from gagrad_export.lower.hard_swish import lower_hard_swish
from gagrad_export.lower.interleave import lower_interleave, lower_phase, lower_phase_by_slice
from gagrad_export.lower.max_pool import lower_max_pool
from gagrad_export.lower.offset_mask import lower_offset_mask, lower_offset_mask_by_comparison
from gagrad_export.lower.phases_apart import keep_phases_apart
from gagrad_export.lower.pooling import lower_dilated_average_pool, lower_dilated_max_pool, lower_lp_pool
from gagrad_export.lower.resize import lower_resize
from gagrad_export.lower.shift import lower_shift

if TYPE_CHECKING:
    from collections.abc import Callable

    from gagrad_edge.manifest import GraphTarget
    from gagrad_export.emit import Op

    Lowerings = dict[tuple[str, str], Callable[[Op, ir.Node], ir.Value | None]]

_EARLY: Lowerings = {
    (INTERNAL, "ConvInputGradient"): lower_convolution,
    (INTERNAL, "MaxPoolInputGradient"): lower_max_pool,
    (INTERNAL, "Shift"): lower_shift,
    ("", "AffineGrid"): lower_affine_grid,
    ("", "AveragePool"): lower_dilated_average_pool,
    ("", "ConvTranspose"): lower_conv_transpose,
    ("", "HardSwish"): lower_hard_swish,
    ("", "LpPool"): lower_lp_pool,
    ("", "MaxPool"): lower_dilated_max_pool,
    ("", "Resize"): lower_resize,
}
"""Those of standard operators return None for a node that every compiler takes as it is."""

_LATE: Lowerings = {
    (INTERNAL, "Below"): lower_offset_mask,
    (INTERNAL, "Equal"): lower_offset_mask,
    (INTERNAL, "Gate"): lower_gate,
    (INTERNAL, "Interleave"): lower_interleave,
    (INTERNAL, "Phase"): lower_phase,
}
"""What ``keep_phases_apart`` has to see first."""

_LATE_FOR: dict[GraphTarget, Lowerings] = {
    "portable": _LATE,
    "tensorrt": {
        **_LATE,
        (INTERNAL, "Below"): lower_offset_mask_by_comparison,
        (INTERNAL, "Equal"): lower_offset_mask_by_comparison,
        (INTERNAL, "Gate"): lower_gate_by_comparison,
        (INTERNAL, "Phase"): lower_phase_by_slice,
    },
}
"""ONNX Runtime's blocked layout has convolutions and few other functions; compilers fuse what they get."""


def lowerings(target: GraphTarget = "portable") -> Lowerings:
    """Return what is lowered for ``target`` and by which function."""
    return {**_EARLY, **_LATE_FOR[target]}


def lower(op: Op, target: GraphTarget = "portable") -> dict[str, int]:
    """Replace the operators of the tables in the graph; return how many there were of each.

    Both targets compute the same and run anywhere; each is in the forms that are fast there.
    A lowering may emit operators of its table itself; they come later in the graph and are lowered in turn.
    Replacements are appended at the end, so the graph has to be sorted afterwards.
    """
    counts = _replace(op, _EARLY)
    keep_phases_apart(op)
    counts |= _replace(op, _LATE_FOR[target])
    if target == "portable":
        stay_blocked(op)
    return counts


def _replace(op: Op, lowerings: Lowerings) -> dict[str, int]:
    counts: dict[str, int] = {}
    for node in op.graph:
        lowering = lowerings.get((node.domain, node.op_type))
        replacement = None if lowering is None else lowering(op, node)
        if replacement is None:
            continue
        ir.convenience.replace_all_uses_with(node.outputs[0], replacement, replace_graph_outputs=True)
        op.graph.remove(node, safe=True)
        counts[node.op_type] = counts.get(node.op_type, 0) + 1
    return counts
