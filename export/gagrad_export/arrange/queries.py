"""Segmenters that answer queries, MaskFormer and Mask2Former: the map of class scores that they stand for.

Each of Q queries says what it found, ``classes [N, Q, K + 1]`` with a last class for nothing, and where,
``masks [N, Q, h, w]``. Together, as transformers computes a semantic map of them, they are
``Σ_q softmax(classes)_qk · sigmoid(masks)_q``. A class's share of that is a softmax of the logarithm: this is
written behind the model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx_ir as ir

from gagrad_export.arrange.arranged import Arranged
from gagrad_export.arrange.conversion import converted
from gagrad_export.arrange.seen import with_outputs
from gagrad_export.emit import Op

if TYPE_CHECKING:
    from gagrad_export.arrange.arranged import Probe

CLASSES, MASKS = "class_queries_logits", "masks_queries_logits"
"""What transformers calls the two outputs."""
AREAS = "gagrad-areas"
_LEAST = 1e-6
"""Below this a class is not there: the logarithm needs a limit, and float32 rounds the sum so."""


def find_queries(probe: Probe) -> Arranged | None:
    """Return the model with the map that its queries stand for; None where it has no such outputs."""
    classes, masks = probe.outputs.get(CLASSES), probe.outputs.get(MASKS)
    if classes is None or masks is None or classes.ndim != 3 or masks.ndim != 4:
        return None
    (_, queries, kinds), size = classes.shape, masks.shape
    if size[1] != queries or kinds < 2 or min(size[2:]) < 2:
        return None
    copy = ir.serde.deserialize_model(converted(with_outputs(probe.model, (CLASSES, MASKS)), probe))
    graph = copy.graph
    outputs = {value.name: value for value in graph.outputs}
    op = Op(graph, "queries", infer=False)
    found = op.Slice(op.Softmax(outputs[CLASSES], axis=2), [0], [kinds - 1], [2])
    together = op.Einsum(found, op.Sigmoid(outputs[MASKS]), equation="nqk,nqhw->nkhw")
    areas = op.Softmax(op.Log(op.Max(together, _LEAST)), axis=1)
    areas.name, areas.type = AREAS, outputs[MASKS].type
    graph.outputs.append(areas)
    height, width = size[2:]
    evidence = (
        f"{queries} queries with a class of {kinds - 1} in {CLASSES} and a mask in {MASKS}: together "
        f"they are a map of class scores at {height}×{width} places"
    )
    return Arranged(
        ir.serde.serialize_model(copy), AREAS, task="segmentation", evidence=evidence, shown_name=MASKS
    )
