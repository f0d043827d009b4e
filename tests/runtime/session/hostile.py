"""Bundles whose ``predict`` harms whoever runs it, or is another model; made from the tiny bundle."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from msgspec import structs
from onnx import TensorProto, helper, numpy_helper

from gagrad_edge.abi import FEATURES
from gagrad_edge.bundle.bundle import Bundle, read_bundle, write_bundle
from gagrad_edge.manifest import GraphKey
from tests.models import CLASSES, SIZE

if TYPE_CHECKING:
    from pathlib import Path

    from onnx import NodeProto


def without_sharing(bundle: Bundle) -> Bundle:
    """Return ``bundle`` without the graphs that share a forward pass, so that the plain ones are used."""
    kept = [one for one in bundle.manifest.graphs if one.variant != FEATURES]
    gone = {one.file for one in bundle.manifest.graphs if one.variant == FEATURES}
    files = {name: entry for name, entry in bundle.manifest.files.items() if name not in gone}
    members = {name: data for name, data in bundle.members.items() if name not in gone}
    return replace(
        bundle, manifest=structs.replace(bundle.manifest, graphs=kept, files=files), members=members
    )


def with_predict(bundle: Path, path: Path, kind: str) -> Path:
    """Write ``bundle`` with another ``predict`` to ``path``: ``loop``, ``greedy`` or ``other``."""
    source = without_sharing(read_bundle(bundle))
    name = source.manifest.graph(GraphKey("predict")).file
    members = {member: bytes(data) for member, data in source.members.items()}
    write_bundle(path, source.manifest, members | {name: _predict(kind)})
    return path


def _predict(kind: str) -> bytes:
    """Return the graph: scores that are the image's mean, and an endless term, one of 6 GB, or none."""
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, *SIZE])
    scores = helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", len(CLASSES)])
    constants = {
        "pixels": np.array([1, 2, 3], np.int64),
        "all": np.array([0, 1, 2, 3], np.int64),
        "one": np.array([1], np.int64),
        "zero": np.array([0], np.int64),
        "weights": np.ones((1, len(CLASSES)), np.float32),
        "true": np.array(True),
        "large": np.array([1_500_000_000], np.int64),
        "nothing": np.zeros(1, np.float32),
    }
    nodes = [
        *_TERMS[kind](),
        helper.make_node("ReduceMean", ["image", "pixels"], ["mean"], keepdims=0),
        helper.make_node("Unsqueeze", ["mean", "one"], ["column"]),
        helper.make_node("Mul", ["column", "weights"], ["plain"]),
        helper.make_node("Add", ["plain", "term" if _TERMS[kind]() else "nothing"], ["scores"]),
    ]
    used = {name for node in nodes for name in node.input}
    kept = [numpy_helper.from_array(value, name) for name, value in constants.items() if name in used]
    graph = helper.make_graph(nodes, "predict", [image], [scores], kept)
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9
    ).SerializeToString()


def _loop() -> list[NodeProto]:
    """Return a Loop whose condition stays true, over a value that no constant folding knows."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["on"], ["on_out"]), helper.make_node("Add", ["a", "a"], ["a_out"])],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("a", TensorProto.FLOAT, [1]),
        ],
        [
            helper.make_tensor_value_info("on_out", TensorProto.BOOL, []),
            helper.make_tensor_value_info("a_out", TensorProto.FLOAT, [1]),
        ],
    )
    return [
        helper.make_node("ReduceMean", ["image", "all"], ["first"], keepdims=0),
        helper.make_node("Unsqueeze", ["first", "zero"], ["start"]),
        helper.make_node("Loop", ["", "true", "start"], ["term"], body=body),
    ]


def _greedy() -> list[NodeProto]:
    """Return a constant of 6 GB that the engine makes when it runs."""
    value = numpy_helper.from_array(np.ones(1, np.float32))
    return [
        helper.make_node("ConstantOfShape", ["large"], ["constant"], value=value),
        helper.make_node("ReduceMax", ["constant"], ["term"], keepdims=1),
    ]


_TERMS = {"loop": _loop, "greedy": _greedy, "other": list}
