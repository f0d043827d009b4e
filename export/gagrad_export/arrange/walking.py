"""Ways through a graph: which nodes lie before a value and behind a node, branches included."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx_ir as ir

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    Readers = dict[ir.Node, list[ir.Node]]


def nodes_of(node: ir.Node) -> Iterator[ir.Node]:
    """Yield a node and the nodes of its branches."""
    yield node
    for attribute in node.attributes.values():
        if attribute.type == ir.AttributeType.GRAPH:
            for inner in attribute.as_graph():
                yield from nodes_of(inner)


def inputs_of(node: ir.Node) -> list[ir.Value]:
    """Return what a node and its branches read."""
    return [value for one in nodes_of(node) for value in one.inputs if value is not None]


def ancestors(values: Iterable[ir.Value]) -> dict[ir.Node, None]:
    """Return the nodes that ``values`` are computed by."""
    found: dict[ir.Node, None] = {}
    waiting = list(values)
    while waiting:
        node = waiting.pop().producer()
        if node is not None and node not in found:
            found[node] = None
            waiting += inputs_of(node)
    return found


def readers_of(nodes: Iterable[ir.Node]) -> Readers:
    """Return for each node those of the others that read what it computes, in branches as well."""
    readers: Readers = {node: [] for node in nodes}
    for node in readers:
        for value in inputs_of(node):
            producer = value.producer()
            if producer in readers and producer is not None:
                readers[producer].append(node)
    return readers


def descendants(nodes: Iterable[ir.Node], readers: Readers) -> dict[ir.Node, None]:
    """Return the nodes that come after ``nodes``."""
    found: dict[ir.Node, None] = {}
    waiting = list(nodes)
    while waiting:
        for reader in readers[waiting.pop()]:
            if reader not in found:
                found[reader] = None
                waiting.append(reader)
    return found
