"""Which nodes of an ONNX Runtime session run on its execution provider, and which run on the CPU instead.

ONNX Runtime assigns nodes that a provider does not take to the CPU and says so only in its log. The results
stay right and become slow, because tensors are copied to the CPU and back in each run.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

RECORD = "session.record_ep_graph_assignment_info"
"""Session option that makes a session record the assignment of nodes."""
STRICT = "session.disable_cpu_ep_fallback"
"""Session option that makes opening fail when a node would run on the CPU."""
CPU = "CPUExecutionProvider"

_SHAPES = {
    *("Shape", "Size", "Gather", "Unsqueeze", "Squeeze", "Concat", "Slice", "Cast", "Range", "Constant"),
    *("ConstantOfShape", "Identity", "Reshape", "Expand", "Where", "Add", "Sub", "Mul", "Div", "Mod", "Max"),
    *("Min", "Equal", "Less", "Greater", "ReduceProd"),
}
"""Operators that compute shapes. GPU providers leave shape arithmetic to the CPU on purpose, as it is tiny;
on images they run all of these operators themselves."""


def can_report(session_class: Any) -> bool:
    """Return whether this onnxruntime can name the nodes of each provider (1.24 and later)."""
    return hasattr(session_class, "get_provider_graph_assignment_info")


def on_cpu(session: Any) -> list[str]:
    """Return the nodes on the CPU as ``Operator (how many, name of the first)``, without shape arithmetic.

    ``session`` was opened with the option RECORD.
    """
    nodes = [
        node
        for part in session.get_provider_graph_assignment_info()
        if part.ep_name == CPU
        for node in part.get_nodes()
        if node.op_type not in _SHAPES or node.domain
    ]
    counts = Counter(node.op_type for node in nodes)
    first: dict[str, str] = {}
    for node in nodes:
        first.setdefault(node.op_type, node.name)
    return [f"{operator} ({count}, {first[operator]})" for operator, count in counts.most_common()]


def all_on_cpu(session: Any) -> bool:
    """Tell whether all nodes of a session, opened with the option RECORD, run on the CPU."""
    return all(part.ep_name == CPU for part in session.get_provider_graph_assignment_info())
