"""Sequences of tensors as those tensors.

Before: ``SequenceAt(SplitToSequence(x), 1)``, ``ConcatFromSequence(SequenceInsert(s, x))``. After: an output
of Split, a Concat; what only holds tensors becomes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gagrad_edge.errors import UnsupportedOperatorError
from gagrad_export.canonicalise.fold.constants import evaluated
from gagrad_export.canonicalise.rewrite.writing import Site
from gagrad_export.emit import attribute, operand

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import onnx_ir as ir

    Elements = Sequence[ir.Value]
    Known = dict[ir.Value | None, Elements]


def replace_sequences(graph: ir.Graph) -> bool:
    """Replace what reads a known sequence; tell whether anything did. Values have shapes where known.

    What is left without a use stays. To be called again once more is folded or unrolled.
    """
    known: Known = {}
    replaced = False
    for node in [node for node in graph if node.domain == ""]:
        site = Site(graph, node, "sequence")
        if node.op_type in _MAKERS:
            elements = _MAKERS[node.op_type](site, known)
            if elements is not None:
                known[node.outputs[0]] = elements
        elif node.op_type in _READERS and node.inputs[0] in known:
            result = _READERS[node.op_type](site, known[node.inputs[0]])
            if result is not None:
                site.replace([result])
                replaced = True
    return replaced


def refuse_sequences(graph: ir.Graph) -> None:
    """Raise UnsupportedOperatorError for a sequence that is still there."""
    left = [node for node in graph if node.domain == "" and node.op_type in OPERATORS]
    # Makers are left because of what reads them.
    for node in sorted(left, key=lambda node: node.op_type not in _READERS):
        raise UnsupportedOperatorError(
            f"operator {node.op_type} works on a sequence whose length or positions are not constant",
            where=f"node {node.name!r}",
            hint="fix the model's input size with `size`, or explain an output in front of it with "
            "`output_name`",
        )


def _empty(_site: Site, _known: Known) -> Elements | None:
    return []


def _construct(site: Site, _known: Known) -> Elements | None:
    return [operand(site.node, index) for index in range(len(site.node.inputs))]


def _same(site: Site, known: Known) -> Elements | None:
    return known.get(site.node.inputs[0])


def _insert(site: Site, known: Known) -> Elements | None:
    before = known.get(site.node.inputs[0])
    if before is None or (position := _position(site, 2, len(before), default=len(before))) is None:
        return None
    return [*before[:position], operand(site.node, 1), *before[position:]]


def _erase(site: Site, known: Known) -> Elements | None:
    before = known.get(site.node.inputs[0])
    if before is None or (position := _position(site, 1, len(before))) is None:
        return None
    return [*before[:position], *before[position + 1 :]]


def _split(site: Site, _known: Known) -> Elements | None:
    """Return the outputs of a Split in place of SplitToSequence."""
    node, x = site.node, operand(site.node, 0)
    axis = attribute(node, "axis", 0)
    given = node.inputs[1] if len(node.inputs) > 1 else None
    length = None if x.shape is None else x.shape[axis]
    step = np.array(1) if given is None else evaluated(given, site.opset)
    if not isinstance(length, int) or step is None:
        return None
    bounds = range(0, length, step.item()) if step.ndim == 0 else None
    sizes = step if bounds is None else np.array([min(bounds.step, length - start) for start in bounds])
    parts = site.emit_many("Split", [x, site.constant(sizes.astype(np.int64))], {"axis": axis}, len(sizes))
    if given is not None or attribute(node, "keepdims", 1):
        return parts
    axes = site.constant(np.array([axis]))
    return [site.emit("Squeeze", [part, axes]) for part in parts]


def _at(site: Site, elements: Elements) -> ir.Value | None:
    position = _position(site, 1, len(elements))
    return None if position is None else elements[position]


def _concat(site: Site, elements: Elements) -> ir.Value | None:
    axis = attribute(site.node, "axis")
    if attribute(site.node, "new_axis", 0):
        axes = site.constant(np.array([axis]))
        elements = [site.emit("Unsqueeze", [element, axes]) for element in elements]
    return site.emit("Concat", elements, {"axis": axis})


def _length(site: Site, elements: Elements) -> ir.Value | None:
    return site.constant(np.array(len(elements)))


def _position(site: Site, index: int, length: int, default: int = -1) -> int | None:
    """Return the constant position in input ``index``, counted from the front; None if it is computed."""
    given = site.node.inputs[index] if len(site.node.inputs) > index else None
    array = np.array(default) if given is None else evaluated(given, site.opset)
    if array is None:
        return None
    position = int(array.item())
    return position + length if position < 0 else position


_MAKERS: dict[str, Callable[[Site, Known], Elements | None]] = {
    "Identity": _same,
    "SequenceConstruct": _construct,
    "SequenceEmpty": _empty,
    "SequenceErase": _erase,
    "SequenceInsert": _insert,
    "SplitToSequence": _split,
}
_READERS: dict[str, Callable[[Site, Elements], ir.Value | None]] = {
    "ConcatFromSequence": _concat,
    "SequenceAt": _at,
    "SequenceLength": _length,
}
LIMITS = "constant lengths and positions"
OPERATORS = (*(name for name in _MAKERS if name != "Identity"), *_READERS)
