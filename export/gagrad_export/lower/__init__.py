"""Lowering: operators are replaced by others that inference engines accept and run fast.

Lowered are the internal operators that differentiation emits, and standard operators that compilers refuse.
Each file lowers one operator family; its docstring gives before → after and the algebra.
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
"""Lowerings of the first round. For a standard operator: None if every compiler accepts the node."""

_LATE: Lowerings = {
    (INTERNAL, "Below"): lower_offset_mask,
    (INTERNAL, "Equal"): lower_offset_mask,
    (INTERNAL, "Gate"): lower_gate,
    (INTERNAL, "Interleave"): lower_interleave,
    (INTERNAL, "Phase"): lower_phase,
}
"""Lowerings of the second round: ``keep_phases_apart`` runs between the rounds and needs these operators."""

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
_LATE_FOR["openvino"] = _LATE_FOR["aarch64"] = _LATE_FOR["tensorrt"]
"""Second round per target.

ONNX Runtime keeps its blocked layout only through convolutions and a few functions: ``portable`` uses these.
Compilers fuse comparisons and slices. Where ONNX Runtime has the plain layout only, as on ARM, a slice moves
fewer bytes than a convolution of one tap. ``tensorrt``, ``openvino`` and ``aarch64`` use those.
"""


def lowerings(target: GraphTarget = "portable") -> Lowerings:
    """Return (domain, operator) → lowering function for ``target``."""
    return {**_EARLY, **_LATE_FOR[target]}


def lower(op: Op, target: GraphTarget = "portable") -> dict[str, int]:
    """Lower the graph of ``op`` for ``target``; return operator → number of replaced nodes.

    All targets compute the same values and run on any engine; each has the forms that its engine runs fast.
    A lowering may emit operators of its own table: they come later in the graph and are lowered in turn.
    Replacements are appended at the end, so the caller must sort the graph afterwards.
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
