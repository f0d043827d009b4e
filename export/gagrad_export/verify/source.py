"""The model as it was given, run in ONNX Runtime: what the canonical form's scores are compared with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir
import onnx_ir.passes.common as passes

from gagrad_export.verify.sessions import open_session

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gagrad_export.canonicalise import Canonical
    from gagrad_export.load import Source

    Array = NDArray[np.float32]

FORWARD_TOLERANCE, HALF_FORWARD_TOLERANCE = 1e-3, 2e-2
"""On the scores' difference, relative to their range. A float16 has 11 bits, so each of its operations is off
by up to 5e-4, and so is the model that it was given as."""


def forward_tolerance(model: Canonical) -> float:
    """Return what ``forward_error`` must meet."""
    return HALF_FORWARD_TOLERANCE if model.half else FORWARD_TOLERANCE


def forward_error(source: Source, model: Canonical, x: Array, scores: Array) -> float:
    """Return the largest difference of ``scores`` at model input x to the source's, relative to its range."""
    data = _only_output(source, model)
    session = open_session(data, "the source model")
    feed = model.source_input.feed(x)
    wanted = {value.name for value in session.get_inputs()}
    (output,) = session.run(None, {name: value for name, value in feed.items() if name in wanted})
    expected = model.source_output.row(output)
    ours = _activated(scores, model.source_output.activation).reshape(expected.shape)
    span = max(float(np.ptp(expected)), float(np.abs(expected).max()), 1e-12)
    return float(np.abs(ours - expected).max()) / span


def _only_output(source: Source, model: Canonical) -> bytes:
    """Return the source's ONNX bytes with the explained value as its one output, without what it ignores."""
    name = model.source_output.name
    if [output.name for output in source.model.graph.output] == [name]:
        return bytes(source.model.SerializeToString())
    copy = ir.serde.deserialize_model(source.model)
    graph = copy.graph
    values = {value.name: value for node in graph for value in node.outputs}
    graph.outputs.clear()
    graph.outputs.append(values[name])
    passes.RemoveUnusedNodesPass()(copy)
    used = [value for value in graph.inputs if value.uses() or value.name == model.source_input.name]
    graph.inputs.clear()
    graph.inputs.extend(used)
    return bytes(ir.serde.serialize_model(copy).SerializeToString())


def _activated(scores: Array, activation: str | None) -> Array:
    """Return our scores behind the activation that the canonical form took off the source's output."""
    if activation is None:
        return scores
    if activation == "Sigmoid":
        sigmoid: Array = np.float32(1) / (np.float32(1) + np.exp(-scores))
        return sigmoid
    shifted = scores - scores.max(axis=0)
    log_softmax: Array = shifted - np.log(np.exp(shifted).sum(axis=0))
    softmax: Array = np.exp(log_softmax)
    return log_softmax if activation == "LogSoftmax" else softmax
