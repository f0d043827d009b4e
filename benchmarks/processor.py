"""Which of ONNX Runtime's kernels run on this processor: two processors with other kernels are two tables.

ONNX Runtime chooses its kernels by the processor and says so nowhere. Its blocked layout is seen in what it makes of
a convolution of 8 channels: weights for blocks of 16 (512-bit vectors), of 8 (256-bit), or the plain weights.
"""

from __future__ import annotations

import platform
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

FLAGS = (
    "avx2",
    "avx512f",
    "avx512_vnni",
    "avx512_bf16",
    "amx_bf16",
    "asimd",
    "asimddp",
    "bf16",
    "i8mm",
    "sve",
)
"""Flags of /proc/cpuinfo that choose kernels, of x86 and of ARM."""
_CHANNELS = 8


@dataclass(frozen=True)
class Processor:
    """The kind of a processor, by the kernels that it runs."""

    flags: tuple[str, ...]
    block: int
    """Channels in a block of ONNX Runtime's blocked layout; 1 where it keeps the plain layout."""

    @property
    def kind(self) -> str:
        """Name of the table: ``blocks-of-16``, ``blocks-of-8`` or ``plain``, and the matrix unit."""
        layout = "plain" if self.block == 1 else f"blocks-of-{self.block}"
        return layout + ("-amx" if "amx_bf16" in self.flags else "")

    def text(self) -> str:
        """Return the sentence under a table."""
        layout = "the plain layout" if self.block == 1 else f"blocks of {self.block} channels"
        return f"ONNX Runtime's convolutions ran in {layout}; {platform.machine()} with {', '.join(self.flags) or 'no flag known here'}."


def processor() -> Processor:
    """Return what this machine is, the block by trying."""
    return Processor(flags(Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")), block())


def flags(cpuinfo: str) -> tuple[str, ...]:
    """Return those of FLAGS that all of ``cpuinfo``'s first processor has."""
    for line in cpuinfo.splitlines():
        name, _, value = line.partition(":")
        if name.strip().lower() in ("flags", "features"):
            have = set(value.split())
            return tuple(flag for flag in FLAGS if flag in have)
    return ()


def block() -> int:
    """Return the channels per block, from the graph that ONNX Runtime runs in place of one convolution."""
    weights = numpy_helper.from_array(np.ones((_CHANNELS, 32, 3, 3), np.float32), "w")
    nodes = [helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1])]
    ports = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, channels, 16, 16])
        for name, channels in (("x", 32), ("y", _CHANNELS))
    ]
    graph = helper.make_graph(nodes, "probe", ports[:1], ports[1:], [weights])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # it warns that the optimised graph is for this machine only
    with tempfile.TemporaryDirectory() as folder:
        options.optimized_model_filepath = str(Path(folder) / "optimised.onnx")
        onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        optimised = onnx.load(options.optimized_model_filepath)
    for node in optimised.graph.node:
        if node.op_type == "Conv" and node.domain == "com.microsoft.nchwc":
            shapes = {one.name: list(one.dims) for one in optimised.graph.initializer}
            return int(shapes[node.input[1]][0])
    return 1


if __name__ == "__main__":
    print(processor().text())
