"""The graphs of a bundle, one module each."""

from __future__ import annotations

from gagrad_export.assemble.accumulate import accumulate_graph
from gagrad_export.assemble.bundle_graphs import bundle_graphs
from gagrad_export.assemble.cam import cam_graph
from gagrad_export.assemble.combine import combine_graph
from gagrad_export.assemble.finalize import finalize_graph
from gagrad_export.assemble.maps import maps_graph
from gagrad_export.assemble.predict import predict_graph
from gagrad_export.assemble.recover import recover_graph

__all__ = [
    "accumulate_graph",
    "bundle_graphs",
    "cam_graph",
    "combine_graph",
    "finalize_graph",
    "maps_graph",
    "predict_graph",
    "recover_graph",
]
