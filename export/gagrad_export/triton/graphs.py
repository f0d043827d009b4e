"""A bundle's graphs as a server needs them: without state, one call an answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, compose, helper, numpy_helper

from gagrad_edge.method.noise import generator, normal

if TYPE_CHECKING:
    from gagrad_edge.bundle.bundle import Bundle

STATE = ("count", "abs_sum", "mean", "m2")


def saliency_graph(bundle: Bundle, samples: int, seed: int) -> bytes:
    """Return ONNX bytes: ``image [1, C, H, W]`` and ``cotangent [1, K…]`` → ``saliency [H, W]``.

    ``accumulate`` and ``finalize`` in one, with an empty state, the method's defaults and the noise of
    ``seed`` as constants. All ``samples`` go through in one batch.
    """
    manifest = bundle.manifest
    accumulate = onnx.load_from_string(bundle.graph("accumulate"))
    finalize = onnx.load_from_string(bundle.graph("finalize"))
    # It holds no operator whose definition changed between its opset and any model's, 18 and later.
    finalize.opset_import[0].version = accumulate.opset_import[0].version
    finalize.ir_version = accumulate.ir_version
    model = compose.merge_models(
        accumulate,
        compose.add_prefix(finalize, "finalize/"),
        io_map=[(f"{name}_out", f"finalize/{name}") for name in STATE],
        outputs=["finalize/saliency"],
    )
    shape = manifest.input.shape
    zeros = np.zeros(shape, np.float32)
    constants = {
        "noise": normal(generator(seed), samples, shape),
        "noise_std": np.array(manifest.method.noise_std, np.float32),
        "finalize/percentile": np.array(manifest.method.percentile, np.float32),
        "count": np.array(0, np.float32),
        "abs_sum": zeros,
        "mean": zeros,
        "m2": zeros,
    }
    for name, value in constants.items():
        model.graph.initializer.append(numpy_helper.from_array(value, name))
    kept = [value for value in model.graph.input if value.name not in constants]
    del model.graph.input[:]
    model.graph.input.extend(kept)
    model.graph.node.append(helper.make_node("Identity", ["finalize/saliency"], ["saliency"]))
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info("saliency", TensorProto.FLOAT, shape[1:]))
    model.graph.name = "saliency"
    return _checked(model)


def target_graph(bundle: Bundle) -> bytes:
    """Return ONNX bytes: ``scores [1, K…]`` → ``cotangent [1, K…]``, one at the largest, and ``target [1]``.

    ``target`` is the index in the flattened scores, int64.
    """
    shape = [1, *bundle.manifest.output.shape]
    size = int(np.prod(shape))
    nodes = [
        helper.make_node("Reshape", ["scores", "flat"], ["row"]),
        helper.make_node("ArgMax", ["row"], ["target"], axis=1, keepdims=0),
        helper.make_node("OneHot", ["target", "size", "values"], ["rows"]),
        helper.make_node("Reshape", ["rows", "shape"], ["cotangent"]),
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
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, shape)],
        [
            helper.make_tensor_value_info("cotangent", TensorProto.FLOAT, shape),
            helper.make_tensor_value_info("target", TensorProto.INT64, [1]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", 18)]
    return _checked(helper.make_model(graph, opset_imports=opsets, ir_version=8, producer_name="gagrad-edge"))


def _checked(model: onnx.ModelProto) -> bytes:
    data: bytes = model.SerializeToString(deterministic=True)
    onnx.checker.check_model(data, full_check=True)
    return data
