"""``predict``: image ``[N, C, H, W]`` in 0..1 → scores ``[N, K…]``, normalisation inside."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gagrad_edge.abi import IMAGE, SCORES, Sizes
from gagrad_export.assemble.graph import finish_graph, insert_model, start_graph
from gagrad_export.assemble.half import PrecisionRegion
from gagrad_export.lower import lower

if TYPE_CHECKING:
    import onnx_ir as ir

    from gagrad_edge.bundle.graph_file import GraphFile
    from gagrad_edge.input import InputSpec
    from gagrad_edge.manifest import GraphPrecision
    from gagrad_export.canonicalise import Canonical
    from gagrad_export.emit import Op


def predict_graph(model: Canonical, spec: InputSpec, precision: GraphPrecision = "float32") -> GraphFile:
    """Return the graph ``predict``.

    What the model gives beside the scores comes from copies of the model, and ``finish_graph`` merges what
    they share.
    """
    beside = {name: other.score_shape for name, other in model.beside.items()}
    sizes = Sizes(model.input_shape, model.score_shape, beside=beside)
    op, inputs = start_graph("predict", sizes, opset=model.opset)
    region = PrecisionRegion(op, precision)
    image = region.enter(normalised(op, inputs[IMAGE], spec))
    outputs = {SCORES: region.leave(insert_model(op, model, image))}
    for name, other in model.beside.items():
        outputs[name] = region.leave(insert_model(op, other, image, prefix=name, weights=name))
    lower(op)
    region.convert()
    return finish_graph(op, "predict", sizes, outputs)


def normalised(op: Op, image: ir.Value, spec: InputSpec) -> ir.Value:
    """Return the model input (image − mean) / std.

    Divided, not multiplied by 1/std: so the numbers are bit for bit those of the training pipeline.
    """
    shape = (1, spec.channels, 1, 1)
    mean = np.asarray(spec.mean, np.float32).reshape(shape)
    std = np.asarray(spec.std, np.float32).reshape(shape)
    return op.Div(op.Sub(image, mean), std)
