"""``predict``: image ``[N, C, H, W]`` in 0..1 → scores ``[N, K…]``, normalisation inside."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gagrad_edge.abi import FEATURES, IMAGE, SCORES, Sizes, feature_name
from gagrad_export.assemble.graph import activations_of, finish_graph, insert_model, start_graph
from gagrad_export.assemble.half import PrecisionRegion
from gagrad_export.lower import lower

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from gagrad_edge.bundle.graph_file import GraphFile
    from gagrad_edge.input import InputSpec
    from gagrad_edge.manifest import GraphPrecision
    from gagrad_export.assemble.passing import Passed
    from gagrad_export.canonicalise import Canonical
    from gagrad_export.emit import Op


def predict_graph(
    model: Canonical,
    spec: InputSpec,
    precision: GraphPrecision = "float32",
    *,
    passed: Sequence[Passed] = (),
) -> GraphFile:
    """Return the graph ``predict``; with ``passed`` its variant that also gives these activations.

    What the model gives beside the scores comes from copies of the model, and ``finish_graph`` merges what
    they share.
    """
    beside = {name: other.score_shape for name, other in model.beside.items()}
    features = tuple(one.shape for one in passed)
    sizes = Sizes(model.input_shape, model.score_shape, beside=beside, features=features)
    variant = FEATURES if passed else ""
    op, inputs = start_graph("predict", sizes, opset=model.opset)
    region = PrecisionRegion(op, precision)
    image = region.enter(normalised(op, inputs[IMAGE], spec))
    outputs = {SCORES: region.leave(insert_model(op, model, image))}
    # Lowering may replace the node behind an activation, and then changes the input of the Identity.
    activations = [op.Identity(value) for value in activations_of(op, passed)]
    for name, other in model.beside.items():
        outputs[name] = region.leave(insert_model(op, other, image, prefix=name, weights=name))
    outputs |= {feature_name(i): value for i, value in enumerate(activations)}
    lower(op)
    region.convert()
    return finish_graph(op, "predict", sizes, outputs, variant=variant)


def normalised(op: Op, image: ir.Value, spec: InputSpec) -> ir.Value:
    """Return the model input (image − mean) / std.

    Divided, not multiplied by 1/std: so the numbers are bit for bit those of the training pipeline.
    """
    shape = (1, spec.channels, 1, 1)
    mean = np.asarray(spec.mean, np.float32).reshape(shape)
    std = np.asarray(spec.std, np.float32).reshape(shape)
    return op.Div(op.Sub(image, mean), std)
