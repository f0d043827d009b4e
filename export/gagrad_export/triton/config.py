"""Triton's ``config.pbtxt``: NVIDIA's ModelConfig message in protobuf's text form."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gagrad_edge.abi import COTANGENT, IMAGE, SALIENCY, SCORES

if TYPE_CHECKING:
    from collections.abc import Sequence

TARGET = "target"
"""Output of ``NAME.target``, which no bundle has: the index of the highest score."""


@dataclass(frozen=True)
class Tensor:
    """An input or output of a model; ``dims`` are without the batch where the server batches."""

    name: str
    dims: list[int]
    data_type: str = "TYPE_FP32"

    def text(self, kind: str) -> str:
        """Return the tensor as a field of the ModelConfig message; ``kind`` is ``input`` or ``output``."""
        dims = ", ".join(map(str, self.dims))
        return f"{kind} {{ name: {_quoted(self.name)} data_type: {self.data_type} dims: [ {dims} ] }}\n"


def onnx_config(name: str, inputs: Sequence[Tensor], outputs: Sequence[Tensor], batch: int) -> str:
    """Return the configuration of an ONNX model; ``batch`` is the largest batch, 0 for none."""
    text = f"name: {_quoted(name)}\nbackend: {_quoted('onnxruntime')}\nmax_batch_size: {batch}\n"
    text += _ports(inputs, outputs)
    return text + ("dynamic_batching { }\n" if batch else "")


def ensemble_config(name: str, image: Tensor, outputs: Sequence[Tensor]) -> str:
    """Return the configuration of ``NAME.explain``: predict, choose the target, compute its map.

    Each tensor of the ensemble has the name of the ports that it connects.
    """
    steps = (
        (f"{name}.predict", [IMAGE], [SCORES]),
        (f"{name}.target", [SCORES], [COTANGENT, TARGET]),
        (f"{name}.saliency", [IMAGE, COTANGENT], [SALIENCY]),
    )
    text = f"name: {_quoted(f'{name}.explain')}\nplatform: {_quoted('ensemble')}\nmax_batch_size: 0\n"
    text += _ports([image], outputs) + "ensemble_scheduling {\n"
    for model, inputs, results in steps:
        text += f"  step {{\n    model_name: {_quoted(model)}\n    model_version: -1\n"
        for kind, ports in (("input_map", inputs), ("output_map", results)):
            for port in ports:
                text += f"    {kind} {{ key: {_quoted(port)} value: {_quoted(port)} }}\n"
        text += "  }\n"
    return text + "}\n"


def _ports(inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> str:
    return "".join(tensor.text("input") for tensor in inputs) + "".join(
        tensor.text("output") for tensor in outputs
    )


def _quoted(text: str) -> str:
    """Return ``text`` as a string of the text form; for the characters of names its escapes are JSON's."""
    return json.dumps(text, ensure_ascii=False)
