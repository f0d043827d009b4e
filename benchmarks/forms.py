"""Operators, multiplications and bytes of ``accumulate`` in the forms of each target, on paper.

    python -m benchmarks.forms [--models …] [--targets …]

Nothing is run: the shapes of the graph are inferred for one sample. A convolution of one tap that only selects or keeps
pixels multiplies by 0 and 1: its multiplications are useless, and counted apart. Bytes are those of all inputs and
outputs of all operators, as an engine moves them that fuses nothing and finds nothing in its cache; operators that only
change a shape move none.
"""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, get_args

import numpy as np
import onnx
from onnx import helper, numpy_helper

from benchmarks.networks import NAMES, SIZE, subject
from benchmarks.table import markdown
from gagrad_edge.manifest import GraphTarget
from gagrad_export.assemble import accumulate_graph
from gagrad_export.canonicalise import canonicalise
from gagrad_export.settings import input_spec

if TYPE_CHECKING:
    from collections.abc import Mapping

_STILL = frozenset({"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Constant", "Shape"})
"""Operators that only change a shape, or make none of the large tensors."""
_MASKS = ("HardSigmoid", "Greater", "Less", "Equal", "And", "Cast", "CastLike")


@dataclass
class Paper:
    """The counts of one graph for one sample."""

    nodes: Counter[str] = field(default_factory=Counter)
    useful: float = 0
    """Multiplications of convolutions and matrix products."""
    useless: float = 0
    """Multiplications of convolutions whose weights are one tap of 0, 1 or −1."""
    moved: float = 0
    """Bytes of the inputs and outputs of all operators."""


def count(model: onnx.ModelProto) -> Paper:
    """Return the counts of ``model``, whose free dimensions are taken to be 1."""
    for value in model.graph.input:
        for dim in value.type.tensor_type.shape.dim:
            if not dim.HasField("dim_value"):
                dim.dim_value = 1
    del model.graph.value_info[:]
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    constants = {one.name: numpy_helper.to_array(one) for one in inferred.initializer}
    sizes: dict[str, tuple[list[int], int]] = {
        name: (list(value.shape), value.nbytes) for name, value in constants.items()
    }
    for value in (*inferred.input, *inferred.value_info, *inferred.output):
        tensor = value.type.tensor_type
        shape = [dim.dim_value or 1 for dim in tensor.shape.dim]
        width = helper.tensor_dtype_to_np_dtype(tensor.elem_type).itemsize
        sizes[value.name] = shape, width * int(np.prod(shape))
    paper = Paper()
    for node in inferred.node:
        paper.nodes[node.op_type] += 1
        if node.op_type not in _STILL:
            paper.moved += sum(sizes[name][1] for name in (*node.input, *node.output) if name in sizes)
        products, selects = _products(node, sizes, constants)
        paper.useful += 0 if selects else products
        paper.useless += products if selects else 0
    return paper


def _products(
    node: onnx.NodeProto, sizes: Mapping[str, tuple[list[int], int]], constants: Mapping[str, np.ndarray]
) -> tuple[float, bool]:
    """Return the multiplications of ``node``, and whether it is a convolution that only selects pixels."""
    if node.op_type in ("Conv", "ConvTranspose"):
        weights, at = sizes[node.input[1]][0], node.output[0] if node.op_type == "Conv" else node.input[0]
        values = constants.get(node.input[1])
        selects = values is not None and weights[1] == 1 and _one_tap(values)
        return float(np.prod(sizes[at][0]) * np.prod(weights[1:])), selects
    if node.op_type in ("MatMul", "Gemm"):
        return float(np.prod(sizes[node.output[0]][0]) * sizes[node.input[0]][0][-1]), False
    return 0.0, False


def _one_tap(weights: np.ndarray) -> bool:
    """Tell whether each filter of ``weights [C, 1, …]`` is 0 but for one 1 or −1."""
    rows = np.abs(weights.reshape(len(weights), -1))
    return bool(((rows != 0).sum(1) == 1).all() and (rows.max(1) == 1).all())


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.forms")
    parser.add_argument("--models", nargs="+", default=list(NAMES), choices=NAMES)
    parser.add_argument(
        "--targets", nargs="+", default=["portable", "aarch64"], choices=get_args(GraphTarget)
    )
    given = parser.parse_args()
    rows = []
    for name in given.models:
        canonical = canonicalise(subject(name).model, size=SIZE)
        spec = input_spec(canonical, mean=[0.5], std=[0.25])
        for target in given.targets:
            graph, _ = accumulate_graph(canonical, spec, target)
            paper = count(onnx.load_from_string(graph.complete()))
            rows.append(
                (
                    *(
                        name,
                        target,
                        sum(paper.nodes.values()),
                        paper.nodes["Conv"] + paper.nodes["ConvTranspose"],
                    ),
                    *(sum(paper.nodes[kind] for kind in _MASKS), paper.nodes["Slice"]),
                    *(f"{paper.useful / 1e9:.2f}", f"{paper.useless / 1e9:.3f}", f"{paper.moved / 1e6:.0f}"),
                )
            )
            print(rows[-1], flush=True)
    header = (
        "network",
        "forms",
        "operators",
        "convolutions",
        "masks",
        "slices",
        "10⁹ products",
        "useless",
        "MB moved",
    )
    print(markdown(header, rows))


if __name__ == "__main__":
    main()
