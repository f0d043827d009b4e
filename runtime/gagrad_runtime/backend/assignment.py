"""Which nodes of a session really run on its execution provider, and which fell to the CPU.

ONNX Runtime gives nodes that a provider does not take to the CPU and says so only in its log. Results stay
right and become slow, tensors crossing to the CPU and back in each run.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

RECORD = "session.record_ep_graph_assignment_info"
"""Session option without which a session cannot tell."""
STRICT = "session.disable_cpu_ep_fallback"
"""Session option with which opening fails when a node would fall to the CPU."""
CPU = "CPUExecutionProvider"

_SHAPES = {
    *("Shape", "Size", "Gather", "Unsqueeze", "Squeeze", "Concat", "Slice", "Cast", "Range", "Constant"),
    *("ConstantOfShape", "Identity", "Reshape", "Expand", "Where", "Add", "Sub", "Mul", "Div", "Mod", "Max"),
    *("Min", "Equal", "Less", "Greater", "ReduceProd"),
}
"""What shapes are computed with. GPU providers leave that to the CPU on purpose, as it needs no image; on
images they have all of these operators themselves."""


def can_tell(session_class: Any) -> bool:
    """Tell whether this onnxruntime names each provider's nodes (1.24 and later)."""
    return hasattr(session_class, "get_provider_graph_assignment_info")


def on_cpu(session: Any) -> list[str]:
    """Return what fell to the CPU, as ``Operator (how many, name of the first)``; shape arithmetic left out.

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
    """Tell whether a session, opened with the option RECORD, has no node anywhere else."""
    return all(part.ep_name == CPU for part in session.get_provider_graph_assignment_info())
