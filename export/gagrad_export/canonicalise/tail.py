"""Find the activation at the end of a model: the gradient starts before it.

Before: ``scores → Softmax → output``. After: ``scores`` is the output and the activation is recorded.
The paper explains logits: behind a softmax the gradient of a confident class vanishes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gagrad_export.emit import attribute

if TYPE_CHECKING:
    import onnx_ir as ir

    from gagrad_edge.manifest import Activation

_TAILS: dict[str, Activation] = {"Softmax": "softmax", "LogSoftmax": "softmax", "Sigmoid": "sigmoid"}


def split_tail(output: ir.Value) -> tuple[ir.Value, Activation | None]:
    """Return the score in front of a trailing activation, and that activation (None if there is none)."""
    node = output.producer()
    if node is None or node.domain != "" or node.op_type not in _TAILS or output.shape is None:
        return output, None
    score = node.inputs[0]
    rank = output.shape.rank()
    if score is None or (node.op_type != "Sigmoid" and attribute(node, "axis", -1) % rank != 1):
        # A softmax over another axis than the classes' (attention, say) is part of the model.
        return output, None
    return score, _TAILS[node.op_type]
