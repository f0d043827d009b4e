"""Check of the float16 graphs: run with every value rounded to float16, and compared with float32.

ONNX Runtime's CPU provider has few kernels in float16. It computes the others in float32 and leaves out the
Casts between them, even without optimisations: nothing underflows or overflows, as it would on a GPU. Hence
``emulated``: the same graph with each float16 operator in float32 and its results rounded by two Casts, which
stay. A GPU that accumulates in float32 and rounds each result once does the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnx_ir as ir
import onnx_ir.passes.common as passes

from gagrad_edge.errors import VerificationError
from gagrad_edge.manifest import GraphKey, PrecisionCheck
from gagrad_export.assemble.external import apart, joined
from gagrad_export.emit import Op
from gagrad_export.verify.agreement import agreement, run_samples
from gagrad_export.verify.sessions import Sessions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from gagrad_edge.bundle.graph_file import GraphFile
    from gagrad_edge.manifest import MethodSpec
    from gagrad_edge.method.reference import State
    from gagrad_export.verify.gradient import Point

    Array = NDArray[np.float32]

COSINE, CORRELATION = 0.9, 0.98
"""Least values that are packaged: cosine of the mean gradients, and rank correlation of the maps.

For the networks of docs/precision.md, maps from another draw of the noise correlate by 0.81 to 0.95 and maps
in float16 by 0.996 and more: below 0.98 the difference is not rounding. The mean gradient is more sensitive,
because most of it cancels over the samples: with another draw its cosine is 0.01 to 0.83 for ReLU networks.
Float16 has 0.979 and more at 224², and 0.94 for 50 layers of random weights at 64² (maps 0.995).
"""

_HALF, _SINGLE = ir.DataType.FLOAT16, ir.DataType.FLOAT


def verify_half(
    graphs: Mapping[GraphKey, GraphFile], point: Point, method: MethodSpec, state: State
) -> PrecisionCheck:
    """Return how well the float16 graphs agree with the float32 graphs, whose final ``state`` is given.

    Raises VerificationError where they do not agree well enough.
    """
    rounded = {
        GraphKey(key.role): emulated(file) for key, file in graphs.items() if key.precision == "float16"
    }
    sessions = Sessions(rounded)
    scores = sessions.predict(point.image)
    sessions.close("predict")
    found = run_samples(sessions, point, method)
    if not (np.isfinite(scores).all() and np.isfinite(found.abs_sum).all()):
        raise _refusal("values of the model or its gradient are beyond 65504, the largest that float16 has")
    if not found.abs_sum.any():
        raise _refusal("the gradient vanishes: what flows back is below 6e-8, the smallest that float16 has")
    expected = Sessions(graphs).predict(point.image)
    check = PrecisionCheck(
        precision="float16", **agreement((scores, found), (expected, state), method.percentile)
    )
    if not (check.gradient_cosine >= COSINE and check.map_correlation >= CORRELATION):
        raise _refusal(
            f"against float32 the gradient's cosine is {check.gradient_cosine:.4f} (at least {COSINE}), "
            f"the rank correlation of the maps {check.map_correlation:.4f} (at least {CORRELATION})"
        )
    return check


def emulated(file: GraphFile) -> GraphFile:
    """Return the graph in float32 only, with every value that was float16 rounded to float16."""
    proto = onnx.load_model_from_string(bytes(file.data))
    model = joined(file, onnx.shape_inference.infer_shapes(proto))
    graph = model.graph
    op = Op(graph, "emulated")
    for value in graph.initializers.values():
        if value.dtype == _HALF and value.const_value is not None:
            value.const_value = ir.tensor(value.const_value.numpy().astype(np.float32), name=value.name)
            value.type = ir.TensorType(_SINGLE)
    for node in list(graph):
        if node.op_type == "Cast" and node.attributes["to"].value == _HALF:
            node.attributes["to"] = ir.AttrInt64("to", _SINGLE)
        for value in node.outputs:
            if value.dtype == _HALF:
                value.type = ir.TensorType(_SINGLE)
                readers = list(value.uses())
                rounded = op.Cast(op.Cast(value, to=int(_HALF)), to=int(_SINGLE))
                for use in readers:
                    use.node.replace_input_with(use.idx, rounded)
    graph.sort()
    passes.RemoveUnusedNodesPass()(model)
    return apart(model)


def _refusal(what: str) -> VerificationError:
    return VerificationError(
        f"{what}, so nothing was written",
        where="precisions",
        hint="leave `precisions` out: float32 runs on every device",
    )
