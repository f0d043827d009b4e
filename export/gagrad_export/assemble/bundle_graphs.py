"""All graphs of a bundle, by their keys: those that every bundle has, and those that an export asks for."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gagrad_edge.abi import FEATURES, PERTURBED
from gagrad_edge.manifest import GraphKey
from gagrad_export.assemble.accumulate import accumulate_graph
from gagrad_export.assemble.cam import cam_graph, cam_of_features_graph
from gagrad_export.assemble.combine import combine_graph
from gagrad_export.assemble.finalize import finalize_graph
from gagrad_export.assemble.maps import maps_graph
from gagrad_export.assemble.passing import passing
from gagrad_export.assemble.predict import predict_graph
from gagrad_export.assemble.recover import recover_graph

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from gagrad_edge.bundle.graph_file import GraphFile
    from gagrad_edge.input import InputSpec
    from gagrad_edge.manifest import FeatureLayer, GraphTarget, MethodSpec
    from gagrad_export.canonicalise import Canonical


def bundle_graphs(
    model: Canonical,
    spec: InputSpec,
    method: MethodSpec,
    *,
    feature_layers: Sequence[FeatureLayer] = (),
    finer_feature_layer: FeatureLayer | None = None,
    targets: Sequence[GraphTarget] = (),
    precisions: Sequence[str] = (),
    perturbations: bool = False,
) -> tuple[dict[GraphKey, GraphFile], dict[str, int]]:
    """Return each graph, and how many operators of ``accumulate`` were lowered, by name.

    ``targets`` and ``precisions`` beside ``portable`` and ``float32``; ``cam`` only with
    ``feature_layers``, see ``activation_graphs``.
    Raises UnsupportedOperatorError and ModelError.
    """
    shape = model.input_shape
    accumulate, lowered = accumulate_graph(model, spec)
    graphs = {
        GraphKey("predict"): predict_graph(model, spec),
        GraphKey("accumulate"): accumulate,
        GraphKey("combine"): combine_graph(shape),
        GraphKey("finalize"): finalize_graph(shape),
        GraphKey("finalize", "pooled"): finalize_graph(shape, "pooled"),
        GraphKey("maps"): maps_graph(shape),
        GraphKey("recover"): recover_graph(shape, method.rcap_lower_bound, method.rcap_interval),
    }
    for target in targets:
        if target != "portable":
            graphs[GraphKey("accumulate", target=target)], _ = accumulate_graph(model, spec, target)
    if "float16" in precisions:
        graphs[GraphKey("predict", precision="float16")] = predict_graph(model, spec, "float16")
        half, _ = accumulate_graph(model, spec, precision="float16")
        graphs[GraphKey("accumulate", precision="float16")] = half
    if feature_layers:
        graphs |= activation_graphs(model, spec, feature_layers, finer_feature_layer)
    if perturbations:
        graphs[GraphKey("accumulate", PERTURBED)], _ = accumulate_graph(model, spec, perturbations=True)
    return _sharing_tensors(graphs), lowered


def activation_graphs(
    model: Canonical, spec: InputSpec, layers: Sequence[FeatureLayer], finer: FeatureLayer | None = None
) -> dict[GraphKey, GraphFile]:
    """Return ``cam``, and the pair of graphs that shares a forward pass where there is a cut for it.

    Raises UnsupportedOperatorError and ModelError.
    """
    graphs = {GraphKey("cam"): cam_graph(model, spec, layers, finer)}
    passed = passing(model, layers, finer)
    if passed:
        graphs[GraphKey("predict", FEATURES)] = predict_graph(model, spec, passed=passed)
        graphs[GraphKey("cam", FEATURES)] = cam_of_features_graph(model, spec, passed, layers, finer)
    return graphs


def _sharing_tensors(graphs: Mapping[GraphKey, GraphFile]) -> dict[GraphKey, GraphFile]:
    """Return ``graphs`` with each tensor once in memory."""
    shared: dict[str, NDArray[np.uint8]] = {}
    for graph in graphs.values():
        for one in graph.references:
            shared.setdefault(one.sha256, graph.weights[one.sha256])
    return {key: replace(graph, weights=shared) for key, graph in graphs.items()}
