"""The twin of a quantised model whose quantisers limit values but do not round them.

A quantised model is a staircase: differences of its scores say nothing about the slope that its steps
follow, which is what the straight-through gradient is. The twin is the function that has this slope; its
graphs are made by the same rules and lowerings as those that ship, so the proof of its gradient is theirs.
What differs is the rule of the quantiser alone.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gagrad_edge.manifest import GraphKey
from gagrad_export.assemble import accumulate_graph, predict_graph
from gagrad_export.emit import Op
from gagrad_export.lower.quantisation import lower_quantisation
from gagrad_export.verify.sessions import Sessions

if TYPE_CHECKING:
    from gagrad_edge.manifest import InputSpec
    from gagrad_export.canonicalise import Canonical


def float_twin(model: Canonical) -> Canonical:
    """Return ``model`` without the rounding."""
    op = Op(model.graph.clone(), "float_twin")
    lower_quantisation(op, rounding=False)
    op.graph.sort()
    return replace(model, graph=op.graph, straight_through=0)


def twin_sessions(model: Canonical, spec: InputSpec) -> Sessions:
    """Return sessions over the twin's ``predict`` and ``accumulate``."""
    twin = float_twin(model)
    accumulate, _ = accumulate_graph(twin, spec)
    return Sessions({GraphKey("predict"): predict_graph(twin, spec), GraphKey("accumulate"): accumulate})
