"""Which Jetson for which model: a roofline model of the shipped graphs, from published rates, without a device.

python -m benchmarks.sizing        (about two minutes; writes docs/sizing.md)
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import onnx
from onnx import helper, shape_inference

from benchmarks.networks import MAKERS, SIZE
from benchmarks.sizing_history import history
from benchmarks.table import markdown, publish
from gagrad_export.assemble import accumulate_graph, predict_graph
from gagrad_export.canonicalise import canonicalise
from gagrad_export.load.torch_module import load_torch_module
from gagrad_export.settings import input_spec

if TYPE_CHECKING:
    from gagrad_edge.bundle.graph_file import GraphFile

BATCH, CYCLE_MS, LEVELS = 10, 100.0, 5
COMPUTE_SHARE, BANDWIDTH_SHARE = 0.5, 0.7
MATRIX = ("Conv", "ConvTranspose", "Gemm", "MatMul")
ELEMENTWISE = frozenset(
    [
        "Abs",
        "Add",
        "And",
        "Cast",
        "Clip",
        "Div",
        "Elu",
        "Equal",
        "Erf",
        "Exp",
        "Floor",
        "Gelu",
        "Greater",
        "HardSigmoid",
        "HardSwish",
        "Less",
        "LessOrEqual",
        "Log",
        "Max",
        "Min",
        "Mul",
        "Neg",
        "Not",
        "Or",
        "Pow",
        "Reciprocal",
        "Relu",
        "Sigmoid",
        "Sign",
        "Softplus",
        "Sqrt",
        "Sub",
        "Tanh",
        "Where",
    ]
)
"""Elementwise operators, which compilers fuse into their neighbours."""
FREE = ("Constant", "Identity", "Reshape", "Shape", "Squeeze", "Unsqueeze", "Flatten")


@dataclass(frozen=True)
class Device:
    """A Jetson module in its fastest power mode, with the rates that NVIDIA publishes."""

    name: str
    half_tflops: float
    """Dense FP16 rate of the GPU's tensor cores, 10¹² operations per second."""
    gigabytes: float
    """Memory bandwidth, 10⁹ bytes per second."""


# Sparse INT8 TOPS of the GPU alone / 4: Orin's tensor cores do 2,048 dense FP16 operations per SM and clock
# (8 SMs at 1.02 GHz: 67 sparse TOPS; 8 at 1.17; 16 at 1.3). Thor: 2,070 sparse FP4 TFLOPS / 8.
DEVICES = (
    Device("Orin Nano 8 GB Super", 16.7, 102),
    Device("Orin NX 16 GB Super", 19.2, 102),
    Device("AGX Orin 64 GB", 42.6, 205),
    Device("Thor T5000", 259, 273),
)
INTRODUCTION = """# Sizing: which model on which Jetson, and a year of a plant's images

**An estimate on paper; none of these devices was at hand.** Operations and bytes are counted in the shipped graphs (float16,
batch {batch}, {side}²). The time of an operator is the longer of two: its arithmetic at {compute:.0%} of the GPU's dense FP16 rate, or its memory traffic at {bandwidth:.0%}
of the memory's rate. Both shares are assumptions, about what well-shaped convolutions reach. An elementwise operator is taken as fused into
its neighbour: only its other operands count as traffic. Rates are published by NVIDIA for the fastest power mode: {rates}.

`floor` is the arithmetic of `accumulate` alone at the full rate. `in 100 ms` is how many samples fit into 100 ms together with the prediction, the map and
RCAP ({levels} recovered images). The paper's default is 20 samples; the guide `pooled` reaches the same fidelity with 2 to 10 ([fidelity.md](fidelity.md)).

The estimate leaves out launch gaps (tens of microseconds per kernel without a CUDA graph; they dominate the smallest networks),
DLA, other programs on the same memory, thermal limits, decoding and the picture.

"""
GROWTH = """
## How it grows
- **Image size**: time and memory grow with the number of pixels (for attention: with its square); 448² has four times the pixels of 224².
- **Samples**: time grows in proportion; memory does not grow beyond that of a chunk ([answering.md](answering.md)).
- **Classes**: only the last layer of the model grows. To explain one more class takes one more full explanation; the noise is shared.
- **Stations**: one process per camera; each process holds the engine and the weights once.
- **Images per day**: a line with one part per second and 1 % NG explains 864 parts per day; at 20 samples and 25 ms per sample that is 7 minutes
  of GPU time. Explaining every part takes 500 ms of each second.
"""


def main() -> None:
    """Count operations and bytes, estimate times, and write docs/sizing.md."""
    rows = []
    for name, make in MAKERS.items():
        predict, accumulate = (_operators(graph) for graph in _graphs(make(), name))
        flops = sum(one[0] for one in accumulate) / BATCH
        moved = sum(one[1] for one in accumulate) / BATCH
        cells: list[str] = [name, f"{flops / 1e9:.1f}", f"{moved / 1e6:.0f}"]
        for device in DEVICES:
            sample = 1000 * _seconds(accumulate, device) / BATCH
            beside = 1000 * _seconds(predict, device) / BATCH * (1 + LEVELS) + _map_ms(device)
            fit = max(0, math.floor((CYCLE_MS - beside) / sample))
            floor = flops / device.half_tflops / 1e9
            cells += [f"{sample:.2f} ({floor:.2f})", str(fit) if fit < 1000 else "> 999"]
        rows.append(cells)
        print(cells, flush=True)
    header = ["network", "GFLOP a sample", "MB a sample"]
    for device in DEVICES:
        header += [f"{device.name}: ms a sample (floor)", "in 100 ms"]
    rates = "; ".join(f"{one.name} {one.half_tflops:g} TFLOPS, {one.gigabytes:g} GB/s" for one in DEVICES)
    text = INTRODUCTION.format(
        batch=BATCH,
        side=SIZE[0],
        compute=COMPUTE_SHARE,
        bandwidth=BANDWIDTH_SHARE,
        rates=rates,
        levels=LEVELS,
    )
    reproduce = "\nReproduce: `python -m benchmarks.sizing`; the figures do not depend on the machine.\n"
    publish("sizing", text + markdown(header, rows) + reproduce + GROWTH + history())


def _graphs(module: object, name: str) -> tuple[GraphFile, GraphFile]:
    source = load_torch_module(module, name=name, input_shape=(3, *SIZE))  # type: ignore[arg-type]
    canonical = canonicalise(source.model, size=SIZE)
    spec = input_spec(canonical, mean=[0.5], std=[0.25])
    return predict_graph(canonical, spec), accumulate_graph(canonical, spec, "tensorrt")[0]


def _operators(graph: GraphFile) -> list[tuple[float, float]]:
    """Return (operations, bytes in float16) of each operator of ``graph`` at the batch."""
    model = onnx.load_from_string(graph.complete())
    for value in (*model.graph.input, *model.graph.output):
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param:
                dim.dim_value = BATCH
    model = shape_inference.infer_shapes(model, data_prop=True, strict_mode=True)
    shapes = {tensor.name: list(tensor.dims) for tensor in model.graph.initializer}
    constants = set(shapes)
    for value in (*model.graph.input, *model.graph.value_info, *model.graph.output):
        shapes[value.name] = [dim.dim_value or BATCH for dim in value.type.tensor_type.shape.dim]
    return [_cost(node, shapes, constants) for node in model.graph.node]


def _cost(node: onnx.NodeProto, shapes: dict[str, list[int]], constants: set[str]) -> tuple[float, float]:
    sizes = [math.prod(shapes.get(name, [0])) for name in node.input if name]
    out = math.prod(shapes.get(node.output[0], [0]))
    if node.op_type in MATRIX:
        return _operations(node, shapes, out), 2.0 * (sum(sizes[:2]) + out)
    if node.op_type in FREE or all(name in constants for name in node.input):
        return 0.0, 0.0
    moving = [size for name, size in zip(node.input, sizes, strict=False) if name not in constants]
    if node.op_type in ELEMENTWISE:
        return 0.0, 2.0 * (sum(moving) - max(moving, default=0))
    return 0.0, 2.0 * (sum(moving) + out)


def _operations(node: onnx.NodeProto, shapes: dict[str, list[int]], out: int) -> float:
    first, second = (shapes[name] for name in node.input[:2])
    if node.op_type == "Conv":
        return 2.0 * out * math.prod(second[1:])
    if node.op_type == "ConvTranspose":
        return 2.0 * math.prod(first) * math.prod(second[1:])
    transposed = node.op_type == "Gemm" and any(
        one.name == "transA" and helper.get_attribute_value(one) for one in node.attribute
    )
    return 2.0 * out * (first[-2] if transposed else first[-1])


def _seconds(operators: list[tuple[float, float]], device: Device) -> float:
    compute = COMPUTE_SHARE * device.half_tflops * 1e12
    memory = BANDWIDTH_SHARE * device.gigabytes * 1e9
    return sum(max(flops / compute, moved / memory) for flops, moved in operators)


def _map_ms(device: Device) -> float:
    """Return the time of ``finalize`` in ms: 60 float32 comparisons per value, and 15 reads of all values."""
    values = 3 * math.prod(SIZE)
    return 1000 * 15 * 4 * values / (BANDWIDTH_SHARE * device.gigabytes * 1e9)


if __name__ == "__main__":
    main()
