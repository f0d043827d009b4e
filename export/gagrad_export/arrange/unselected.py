"""Detectors that compute a box only for the candidates that they select: boxes of all candidates.

torchvision's RetinaNet and FCOS choose among the scores of each level, and then decode ``offsets[chosen]`` at
``anchors[chosen]``. Before: ``decode(Gather(offsets, chosen), Gather(anchors, chosen))``. After:
``decode(offsets, anchors)``, the model's own arithmetic for every candidate, beside the scores that the
choice is made from.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING

import onnx_ir as ir
import onnx_ir.passes.common as passes

from gagrad_export.arrange.seen import looked_at
from gagrad_export.arrange.selection import comes_before_learned, selects
from gagrad_export.arrange.walking import ancestors, descendants, inputs_of, readers_of
from gagrad_export.emit import Op, attribute, operand

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    import onnx

    from gagrad_export.arrange.arranged import Probe

CANDIDATES = "gagrad-candidates"
"""Name of the scores of all candidates, which the model may have only level by level."""
_NEAREST = 12
"""How many values in front of a choice are looked at for the scores that it is made from."""


def unselected(probe: Probe) -> onnx.ModelProto | None:
    """Return a model whose outputs are the boxes and the scores of all candidates; None where it has none."""
    model = ir.serde.deserialize_model(probe.model)
    graph = model.graph
    before = readers_of(ancestors(graph.outputs))
    selecting = {node for node in before if selects(node) and not comes_before_learned(node, before)}
    behind = {*selecting, *descendants(selecting, before)}
    compared = {node: _in_front(operand(node, 1), behind) for node in graph if _picks(node, behind)}
    names = [name for scores in compared.values() for name in scores]
    names += [value.name or "" for node in compared if (value := operand(node, 0)).producer() is not None]
    sizes = {name: one.values.shape[1:] for name, one in looked_at(probe, dict.fromkeys(names)).items()}
    for value in graph.initializers.values():  # anchors, perhaps
        if value.const_value is not None and len(value.const_value.shape) == 2:
            sizes[value.name or ""] = tuple(value.const_value.shape.numpy())
    picked = {node: sizes.get(operand(node, 0).name or "", (0, 0)) for node in compared}
    picks = {node: rows for node, (rows, columns) in picked.items() if columns == 4}
    if not picks:
        return None
    free = _free(graph, behind - selecting, picks)
    data = {node: operand(node, 0) for node in picks}
    for node, value in data.items():
        ir.convenience.replace_all_uses_with(node.outputs[0], value, replace_graph_outputs=True)
    found = _boxes(
        model, probe, {value: made for value, made in free.items() if value.producer() not in picks}
    )
    if found is None:
        return None
    boxes, rows = found
    levels = [free[level][0] for level in _levels(boxes) if level in free]
    scores = [
        name
        for node in levels
        for name in [one for one in compared[node] if _rows(sizes, one) == picks[node]][:1]
    ]
    # Where each class picks from the same boxes, as in SSD, there is a box for each candidate already.
    own = len({data[node] for node in levels}) == len(scores) == len(_levels(boxes))
    if (
        not own
        or sum(picks[node] for node in levels) != rows
        or len({sizes[name][1] for name in scores}) != 1
    ):
        return None
    values = {value.name: value for node in graph for value in node.outputs}
    joined = Op(graph, "unselected", infer=False).Concat(*(values[name] for name in scores), axis=-2)
    joined.name = CANDIDATES
    graph.outputs[:] = [boxes, joined]
    passes.RemoveUnusedNodesPass()(model)
    return ir.serde.serialize_model(model)


def _picks(node: ir.Node, behind: Collection[ir.Node]) -> bool:
    """Whether ``node`` reads rows that the selection chose out of what lies in front of it."""
    if node not in behind or (node.domain, node.op_type) != ("", "Gather") or attribute(node, "axis", 0) != 0:
        return False
    return operand(node, 0).producer() not in behind and operand(node, 1).producer() in behind


def _in_front(choice: ir.Value, behind: Collection[ir.Node]) -> list[str]:
    """Return the names of values in front of the selection that make ``choice``, the nearest first."""
    waiting, names = deque([choice]), dict[str, None]()
    done: set[ir.Value] = set()
    while waiting and len(names) < _NEAREST:
        value = waiting.popleft()
        node = value.producer()
        if value in done or node is None or node.op_type in ("Shape", "Size"):
            continue
        done.add(value)
        if node not in behind and value.name and (value.dtype is None or value.dtype.is_floating_point()):
            names[value.name] = None
        waiting.extend(inputs_of(node))
    return list(names)


def _free(
    graph: ir.Graph, behind: Collection[ir.Node], picks: Collection[ir.Node]
) -> dict[ir.Value, tuple[ir.Node, ...]]:
    """Return the values that know of the selection by ``picks`` alone, each with those of its own."""
    free: dict[ir.Value, tuple[ir.Node, ...]] = {}
    for node in graph:
        inputs = inputs_of(node)
        if node in picks:
            free[node.outputs[0]] = (node,)
            continue
        made = dict.fromkeys(pick for value in inputs for pick in free.get(value, ()))
        known = all(value in free or value.producer() not in behind for value in inputs)
        if made and known and node in behind:
            free.update(dict.fromkeys(node.outputs, tuple(made)))
    return free


def _boxes(model: ir.Model, probe: Probe, free: Collection[ir.Value]) -> tuple[ir.Value, int] | None:
    """Return the largest table of boxes that something behind the selection reads, and its rows."""
    last = [
        value
        for value in free
        if value.name
        and (value.dtype is None or value.dtype.is_floating_point())
        and (value.is_graph_output() or any(reader.outputs[0] not in free for reader in value.consumers()))
    ]
    model.graph.outputs[:] = last
    alone = ir.serde.deserialize_model(ir.serde.serialize_model(model))
    passes.RemoveUnusedNodesPass()(alone)  # ONNX Runtime would run them, on boxes that are too many for them
    proto = ir.serde.serialize_model(alone)
    seen = looked_at(replace(probe, model=proto, outputs={}), [value.name or "" for value in last])
    tables = {name: one.values.shape[1] for name, one in seen.items() if one.values.shape[2] == 4}
    best = max(tables, key=lambda name: tables[name], default=None)
    return next(((value, tables[best]) for value in last if best is not None and value.name == best), None)


def _rows(sizes: Mapping[str, tuple[int, ...]], name: str) -> int:
    return sizes[name][0] if name in sizes else 0


def _levels(boxes: ir.Value) -> list[ir.Value]:
    """Return what ``boxes`` is joined from, in order."""
    node = boxes.producer()
    while node is not None and node.op_type == "Identity":
        node = operand(node, 0).producer()
    if node is None or node.op_type != "Concat" or attribute(node, "axis") not in (0, -2):
        return [boxes]
    return [value for value in node.inputs if value is not None]
