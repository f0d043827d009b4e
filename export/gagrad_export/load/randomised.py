"""The network with shuffled weights, for the parameter randomisation test (Adebayo et al. 2018, 1810.03307).

A map that looks the same for a network with random weights explains the image, not the model. The weights are
shuffled and not drawn anew, so that each layer keeps the scale of its weights and the network its range.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import numpy_helper

from gagrad_edge.errors import ModelError
from gagrad_export.load.onnx_file import Source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from onnx import ModelProto, TensorProto

_FLOATS = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE)


def randomised(source: Source, seed: int) -> Source:
    """Return ``source`` with the elements of each weight of two or more axes shuffled; ``seed`` fixes how.

    Biases and scales, which have one axis, are not changed. Raises ModelError for a model in which no weight
    has two axes.
    """
    model = onnx.ModelProto()
    model.CopyFrom(source.model)
    generator = np.random.Generator(np.random.Philox(seed))
    weights = [tensor for tensor in _tensors(model) if len(tensor.dims) > 1 and tensor.data_type in _FLOATS]
    if not weights:
        raise ModelError(
            "the model has no weights in float to shuffle",
            where="randomize",
            hint="take the model before it was quantised",
        )
    for tensor in weights:
        values = numpy_helper.to_array(tensor)
        shuffled = generator.permutation(values.ravel()).reshape(values.shape)
        tensor.CopyFrom(numpy_helper.from_array(shuffled, tensor.name))
    digest = hashlib.sha256(model.SerializeToString(deterministic=True)).hexdigest()
    return Source(model, source.name, digest, "onnx")


def _tensors(model: ModelProto) -> Iterator[TensorProto]:
    yield from model.graph.initializer
    for node in model.graph.node:
        if node.op_type == "Constant":
            for attribute in node.attribute:
                if attribute.name == "value":
                    yield attribute.t
