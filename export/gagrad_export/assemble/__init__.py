"""The four graphs of a bundle: predict, accumulate, finalize and recover."""

from __future__ import annotations

from gagrad_export.assemble.accumulate import accumulate_graph
from gagrad_export.assemble.finalize import finalize_graph
from gagrad_export.assemble.predict import predict_graph
from gagrad_export.assemble.recover import recover_graph

__all__ = ["accumulate_graph", "finalize_graph", "predict_graph", "recover_graph"]
