"""The float twin of a quantised model: its quantisers limit values but do not round them.

A quantised model is a staircase, so differences of its scores say nothing about the slope that the steps
follow, the straight-through gradient. The twin is the function with this slope. Its graphs are made by the
same rules and lowerings as the graphs that ship, so a check of its gradient is a check of theirs. Only the
rule of the quantiser differs.
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
    from gagrad_edge.input import InputSpec
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
