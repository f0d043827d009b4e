"""A graph and its large tensors apart: the graph is kilobytes and names the tensors by their hashes.

So one protobuf message, which ends at 2 GiB, never holds the weights, and all graphs of a bundle share them.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnx_ir as ir

from gagrad_edge.bundle.graph_file import GraphFile
from gagrad_edge.bundle.onnx_wire import DTYPES
from gagrad_edge.manifest import WEIGHTS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Bytes = NDArray[np.uint8]

SMALLEST = 1024
"""Tensors of fewer bytes stay in the graph: a file of its own would cost as much again."""


def apart(model: ir.Model) -> GraphFile:
    """Return ``model`` as a graph file. The model refers to its tensors afterwards and holds them no more."""
    weights: dict[str, Bytes] = {}
    for value in model.graph.initializers.values():
        tensor = value.const_value
        if tensor is None or tensor.nbytes < SMALLEST or int(tensor.dtype) not in DTYPES:
            continue
        content = np.ascontiguousarray(tensor.numpy()).reshape(-1).view(np.uint8)
        sha256 = hashlib.sha256(content.data).hexdigest()
        weights.setdefault(sha256, content)
        value.const_value = ir.ExternalTensor(
            WEIGHTS + sha256, None, None, tensor.dtype, shape=ir.Shape([*tensor.shape]), name=value.name or ""
        )
    proto = ir.serde.serialize_model(model)
    del proto.graph.value_info[:]
    return GraphFile(proto.SerializeToString(deterministic=True), weights)


def joined(file: GraphFile, proto: onnx.ModelProto | None = None) -> ir.Model:
    """Return the graph in ``file`` with its tensors; ``proto`` is the same graph, if it was read before."""
    model = ir.serde.deserialize_model(proto or onnx.load_model_from_string(bytes(file.data)))
    for name, tensor in file.tensors().items():
        model.graph.initializers[name].const_value = ir.tensor(tensor, name=name)
    return model


def check(file: GraphFile) -> None:
    """Raise onnx's errors for a graph that is not valid: here its large tensors are inputs of their types."""
    proto = onnx.load_model_from_string(bytes(file.data))
    large = {one.name: one for one in file.references}
    kept = [tensor for tensor in proto.graph.initializer if tensor.name not in large]
    del proto.graph.initializer[:]
    proto.graph.initializer.extend(kept)
    for one in large.values():
        kind = onnx.helper.np_dtype_to_tensor_dtype(one.dtype)
        proto.graph.input.append(onnx.helper.make_tensor_value_info(one.name, kind, one.shape))
    onnx.checker.check_model(proto, full_check=True)
