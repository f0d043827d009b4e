"""A bundle's graphs as a server needs them: without state, one call an answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, compose, helper, numpy_helper

from gagrad_edge import abi
from gagrad_edge.method.noise import generator, normal
from gagrad_edge.method.reference import State
from gagrad_export.triton.config import TARGET
from gagrad_export.verify.sessions import state_inputs

if TYPE_CHECKING:
    from gagrad_edge.bundle.bundle import Bundle

_FINALIZE = "finalize/"
"""Prefix of the names of ``finalize`` in the merged graph."""


def saliency_graph(bundle: Bundle, samples: int, seed: int) -> bytes:
    """Return ONNX bytes: image ``[1, C, H, W]`` and cotangent ``[1, K…]`` → saliency map ``[H, W]``.

    ``accumulate`` and ``finalize`` in one graph, with an empty state, the method's defaults and the noise of
    ``seed`` as constants. All ``samples`` are one batch.
    """
    manifest = bundle.manifest
    accumulate = onnx.load_from_string(bundle.graph("accumulate"))
    finalize = onnx.load_from_string(bundle.graph("finalize"))
    # None of its operators changed between its opset, 18, and those of the models, 18 and later.
    finalize.opset_import[0].version = accumulate.opset_import[0].version
    finalize.ir_version = accumulate.ir_version
    model = compose.merge_models(
        accumulate,
        compose.add_prefix(finalize, _FINALIZE),
        io_map=[(abi.STATE_OUT[name], _FINALIZE + name) for name in abi.STATE],
        outputs=[_FINALIZE + abi.SALIENCY],
    )
    shape = manifest.input.shape
    constants = {
        abi.NOISE: normal(generator(seed), samples, shape),
        abi.NOISE_STD: np.array(manifest.method.noise_std, np.float32),
        _FINALIZE + abi.PERCENTILE: np.array(manifest.method.percentile, np.float32),
        **state_inputs(State.empty(shape)),
    }
    for name, value in constants.items():
        model.graph.initializer.append(numpy_helper.from_array(value, name))
    kept = [value for value in model.graph.input if value.name not in constants]
    del model.graph.input[:]
    model.graph.input.extend(kept)
    model.graph.node.append(helper.make_node("Identity", [_FINALIZE + abi.SALIENCY], [abi.SALIENCY]))
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info(abi.SALIENCY, TensorProto.FLOAT, shape[1:]))
    model.graph.name = abi.SALIENCY
    return _checked(model)


def target_graph(bundle: Bundle) -> bytes:
    """Return ONNX bytes: scores ``[1, K…]`` → cotangent ``[1, K…]``, 1 at the highest score, and TARGET.

    TARGET ``[1]`` is the index of the highest among the flattened scores, int64.
    """
    shape = [1, *bundle.manifest.output.shape]
    size = int(np.prod(shape))
    nodes = [
        helper.make_node("Reshape", [abi.SCORES, "flat"], ["row"]),
        helper.make_node("ArgMax", ["row"], [TARGET], axis=1, keepdims=0),
        helper.make_node("OneHot", [TARGET, "size", "values"], ["rows"]),
        helper.make_node("Reshape", ["rows", "shape"], [abi.COTANGENT]),
    ]
    constants: dict[str, np.ndarray[tuple[int, ...], np.dtype[Any]]] = {
        "flat": np.array([1, size], np.int64),
        "size": np.array(size, np.int64),
        "values": np.array([0, 1], np.float32),
        "shape": np.array(shape, np.int64),
    }
    graph = helper.make_graph(
        nodes,
        "target",
        [helper.make_tensor_value_info(abi.SCORES, TensorProto.FLOAT, shape)],
        [
            helper.make_tensor_value_info(abi.COTANGENT, TensorProto.FLOAT, shape),
            helper.make_tensor_value_info(TARGET, TensorProto.INT64, [1]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", 18)]
    return _checked(helper.make_model(graph, opset_imports=opsets, ir_version=8, producer_name="gagrad-edge"))


def _checked(model: onnx.ModelProto) -> bytes:
    data: bytes = model.SerializeToString(deterministic=True)
    onnx.checker.check_model(data, full_check=True)
    return data
