"""The source model, run in ONNX Runtime: the reference for the scores of the canonical form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnx_ir as ir
import onnx_ir.passes.common as passes
from onnx.reference import ReferenceEvaluator

from gagrad_edge.errors import ModelError
from gagrad_export.canonicalise.interface.activation import applied
from gagrad_export.verify.sessions import SOURCE, SourceSession

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from gagrad_export.canonicalise import Canonical
    from gagrad_export.load import Source

    Array = NDArray[np.float32]

FORWARD_TOLERANCE = 1e-3
"""Largest difference of the scores, relative to their range."""

_PROBABILITY_SPAN = 1e-4
"""Least range of probabilities: near 0 ONNX Runtime's Sigmoid has steps of 6e-8, the rounding of 1, and is
off by two of them."""

_LESS_EXACT = {ir.DataType.FLOAT16: 2e-2, ir.DataType.BFLOAT16: 1e-1}
"""Tolerances for a source in float16 (11 significant bits) and bfloat16 (8): each operation of the source is
off by up to 5e-4 or 4e-3, and these errors add up."""

QUANTISED_TOLERANCE = 5e-2
"""Tolerance for the scores and rows of a quantised model. A sum in another order may round to the next step,
and the following layers propagate the difference: the scores of EfficientNet-Lite0 move by up to 3 % of their
range. A wrong scale or zero point moves them by their whole range."""


def forward_tolerance(model: Canonical) -> float:
    """Return the largest ``forward_error`` that is packaged."""
    if model.straight_through:
        return QUANTISED_TOLERANCE
    return _LESS_EXACT.get(model.precision, FORWARD_TOLERANCE)


def forward_error(source: Source, model: Canonical, x: Array, scores: Array) -> float:
    """Return the largest difference of ``scores`` at model input x to the source's, relative to its range.

    Where all probabilities are as small as a sigmoid's rounding, its inputs are compared.
    """
    output = model.source_output
    expected = _expected(source, model, x, output.name)
    ours = applied(output.behind, activated(scores.astype(np.float64), output.activation))
    least = _PROBABILITY_SPAN if output.activation in ("Sigmoid", "Softmax") else 1e-12
    inner = None if _span(expected) >= least else _in_front_of_sigmoid(source.model, output.name)
    if inner is not None:
        expected, ours, least = _expected(source, model, x, inner), scores.astype(np.float64), 1e-12
    return float(np.abs(ours.reshape(expected.shape) - expected).max()) / max(_span(expected), least)


def _span(values: Array) -> float:
    return max(float(np.ptp(values)), float(np.abs(values).max()))


def _in_front_of_sigmoid(proto: onnx.ModelProto, name: str) -> str | None:
    """Return the value that the sigmoid behind the value ``name`` takes; None where there is none."""
    found = [node.input[0] for node in proto.graph.node if name in node.output and node.op_type == "Sigmoid"]
    return found[0] if found and any(found[0] in node.output for node in proto.graph.node) else None


def _expected(source: Source, model: Canonical, x: Array, name: str) -> Array:
    """Return the row of the source's value ``name`` at model input x; it is of the output's shape."""
    proto = _only_output(source, model, name)
    needed = {value.name for value in proto.graph.input}
    feed = {name: value for name, value in model.source_input.feed(x).items() if name in needed}
    # Without optimisations, because ONNX Runtime's integer kernels round in other places.
    as_written = model.straight_through > 0
    return model.source_output.row(_run(proto, feed, model.precision, as_written=as_written))


def _run(
    proto: onnx.ModelProto, feed: Mapping[str, NDArray[Any]], precision: ir.DataType, *, as_written: bool
) -> NDArray[Any]:
    """Return the only output of the source for ``feed``. Raises ModelError."""
    output: NDArray[Any]
    try:
        (output,) = SourceSession(proto, as_written=as_written).run(None, feed)
    except ModelError as refused:
        if precision not in (ir.DataType.BFLOAT16, ir.DataType.DOUBLE):
            raise
        # On a CPU, ONNX Runtime has no convolution in these types; onnx's own evaluator is slow but has.
        output = _by_evaluator(proto, feed, precision, refused)
    return output


def _by_evaluator(
    proto: onnx.ModelProto, feed: Mapping[str, NDArray[Any]], precision: ir.DataType, refused: ModelError
) -> NDArray[Any]:
    """Return the only output as onnx's own evaluator computes it. Raises ModelError.

    ``refused`` is what ONNX Runtime said.
    """
    try:
        outputs: Any = ReferenceEvaluator(_renamed(proto)).run(None, dict(feed))
    except Exception as error:  # whatever the evaluator lacks
        kind = precision.name.lower()
        said = (str(error).splitlines() or [type(error).__name__])[0]
        engine = str(refused.__cause__).splitlines()[0]
        raise ModelError(
            f"it computes in {kind}, which neither ONNX Runtime ({engine}) nor onnx's own evaluator "
            f"({said}) can run here, so nothing can confirm what the bundle would compute",
            where=SOURCE,
            hint=f"export the model in float32: in torch model.float(), and no part of it in {kind}",
        ) from error
    output: NDArray[Any] = outputs[0]
    return output


MODES = {"bilinear": "linear", "bicubic": "cubic"}
"""Modes of GridSample as they were called up to opset 19; onnx's evaluator knows the later names only."""


def _renamed(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Return ``proto`` with the names of modes that onnx's evaluator knows; a copy where one changes."""
    if not any(node.op_type == "GridSample" for node in proto.graph.node):
        return proto
    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    for node in copy.graph.node:
        modes = [one for one in node.attribute if node.op_type == "GridSample" and one.name == "mode"]
        for mode in modes or ([node.attribute.add()] if node.op_type == "GridSample" else []):
            kind = mode.s.decode()
            mode.CopyFrom(onnx.helper.make_attribute("mode", MODES.get(kind, kind) or "linear"))
    return copy


def _only_output(source: Source, model: Canonical, name: str) -> onnx.ModelProto:
    """Return the source with the value ``name`` as its only output, without nodes that it does not need."""
    if [output.name for output in source.model.graph.output] == [name]:
        return source.model
    copy = ir.serde.deserialize_model(source.model)
    graph = copy.graph
    values = {value.name: value for node in graph for value in node.outputs}
    graph.outputs.clear()
    graph.outputs.append(values[name])
    passes.RemoveUnusedNodesPass()(copy)
    used = [value for value in graph.inputs if value.uses() or value.name == model.source_input.name]
    graph.inputs.clear()
    graph.inputs.extend(used)
    return ir.serde.serialize_model(copy)


def activated(scores: NDArray[np.float64], activation: str | None) -> NDArray[np.float64]:
    """Return the canonical form's scores after the activation that the source has and the form lacks."""
    if activation is None:
        return scores
    if activation == "Sigmoid":
        sigmoid: NDArray[np.float64] = 1 / (1 + np.exp(-np.clip(scores, -700, 700)))
        return sigmoid
    shifted = scores - scores.max(axis=0)
    log_softmax: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(axis=0))
    softmax: NDArray[np.float64] = np.exp(log_softmax)
    return log_softmax if activation == "LogSoftmax" else softmax
