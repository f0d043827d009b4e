"""Models that select their detections themselves: what the selection is made from.

Non-maximum suppression, TopK and NonZero choose among candidates by comparing. Which candidate was chosen has
no gradient, and where the number of detections differs from frame to frame, neither has a place in the
output a fixed meaning. The values in front of the selection hold all candidates.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import onnx_ir as ir

from gagrad_export.arrange.walking import ancestors, descendants, inputs_of, nodes_of, readers_of
from gagrad_export.emit import constant_array

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from numpy.typing import NDArray

    from gagrad_export.arrange.arranged import Probe
    from gagrad_export.arrange.walking import Readers

_SELECTING = ("NonMaxSuppression", "NonZero", "TopK")
_LEARNED = (
    *("Conv", "ConvTranspose", "Einsum", "FusedMatMul", "Gemm", "MatMul", "MatMulInteger", "QGemm"),
    *("ConvInteger", "QLinearConv", "QLinearMatMul", "GridSample", "GRU", "LSTM", "RNN"),
    *("BatchNormalization", "GroupNormalization", "InstanceNormalization", "LayerNormalization"),
)
"""Operators of the network itself. A selection that one of them comes after belongs to the network."""
_MOST = 80
"""How many values in front of the selection are looked at."""


@dataclass(frozen=True)
class Selection:
    """A selection at a model's end."""

    operators: tuple[str, ...]
    """The operators that select, each once."""
    values: tuple[str, ...]
    """Values in front of the selection that may hold boxes and scores, the nearest first."""
    threshold: float | None = None
    overlap: float | None = None
    skipped: Mapping[str, int] = field(default_factory=dict)
    """The class that the selection leaves out, by the name of the scores."""
    decodes: bool = False
    """Whether the model computes boxes only of what it selects, so that all others' had to be added."""

    @property
    def suppressed(self) -> bool:
        """Whether what is selected from has no doubles: nothing in the model removes them."""
        return "NonMaxSuppression" not in self.operators

    def note(self, values: Iterable[str]) -> str:
        """Return what was done, for the user; ``values`` are those that are taken."""
        chosen = ", ".join(self.operators)
        doubles = "" if self.suppressed else "; doubles are removed by overlap on the device, as there"
        boxes = ", with the boxes of all candidates, which it computes of the selected alone"
        return (
            f"the model selects its detections itself ({chosen}), which has no gradient: explained is what "
            f"it selects from, {' and '.join(values)}{boxes * self.decodes}{doubles}"
        )


def selection_of(probe: Probe) -> Selection | None:
    """Return the selection at the end of the model; None where there is none."""
    graph = ir.serde.deserialize_model(probe.model).graph
    readers = readers_of(ancestors(graph.outputs))
    selecting = {node: kinds for node in readers if (kinds := selects(node))}
    final = {node: kinds for node, kinds in selecting.items() if not comes_before_learned(node, readers)}
    if not final:
        return None
    suppressions = [one for node in final for one in nodes_of(node) if one.op_type == "NonMaxSuppression"]
    return Selection(
        operators=tuple(sorted({kind for kinds in final.values() for kind in kinds})),
        values=(values := tuple(_in_front({**final, **descendants(final, readers)}))),
        threshold=_number(suppressions, 4),
        overlap=_number(suppressions, 3),
        skipped=_skipped(graph, set(values)),
    )


def chooses_queries(probe: Probe) -> bool:
    """Whether the network itself chooses its queries by score, or reads features at places that it computes.

    Both are of detectors that are trained with a sigmoid for each class: deformable DETR and those after it.
    """
    graph = ir.serde.deserialize_model(probe.model).graph
    readers = readers_of(ancestors(graph.outputs))
    if any(node.op_type == "GridSample" for node in readers):
        return True
    return any(node.op_type == "TopK" and comes_before_learned(node, readers) for node in readers)


def selects(node: ir.Node) -> tuple[str, ...]:
    """Return the selecting operators of a node, its branches included."""
    return tuple({one.op_type for one in nodes_of(node) if one.domain == "" and one.op_type in _SELECTING})


def comes_before_learned(node: ir.Node, readers: Readers) -> bool:
    """Whether an operator of the network itself reads what ``node`` computes."""
    return any(one.op_type in _LEARNED for one in descendants([node], readers))


def _in_front(behind: Collection[ir.Node]) -> list[str]:
    """Return the values that the nodes ``behind`` and with a selection read, and those that come before."""
    waiting = deque(
        value
        for node in behind
        for value in inputs_of(node)
        if (one := value.producer()) and one not in behind
    )
    names: dict[str, None] = {}
    done: set[ir.Value] = set()
    while waiting and len(names) < _MOST:
        value = waiting.popleft()
        node = value.producer()
        if value in done or node is None:
            continue
        done.add(value)
        if (
            value.name
            and (value.dtype is None or value.dtype.is_floating_point())
            and node.op_type != "Constant"
        ):
            names[value.name] = None
        if node.op_type not in _LEARNED:
            waiting.extend(inputs_of(node))
    return list(names)


def _skipped(graph: ir.Graph, names: Collection[str]) -> dict[str, int]:
    """Return the class that is not read of scores whose classes are read one by one, by their name."""
    read: dict[str, set[int]] = {}
    for node in graph:
        value = node.inputs[0] if node.inputs else None
        if node.op_type != "Gather" or value is None or value.name not in names:
            continue
        index = _constant(node.inputs[1])
        if index is not None and index.size == 1:
            read.setdefault(value.name or "", set()).add(int(index.reshape(())))
    return {name: 0 for name, found in read.items() if found == set(range(1, len(found) + 1))}


def _number(nodes: Iterable[ir.Node], index: int) -> float | None:
    """Return the number that input ``index`` of a suppression has, where it is a constant."""
    for node in nodes:
        value = node.inputs[index] if index < len(node.inputs) else None
        array = _constant(value)
        if array is not None and array.size == 1 and 0 < float(array.reshape(())) < 1:
            return round(float(array.reshape(())), 4)
    return None


def _constant(value: ir.Value | None) -> NDArray[Any] | None:
    found = constant_array(value)
    node = None if value is None else value.producer()
    if found is None and node is not None and node.op_type == "Constant" and "value" in node.attributes:
        tensor: NDArray[Any] = node.attributes["value"].as_tensor().numpy()
        return tensor
    return found
