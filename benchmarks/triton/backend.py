"""Stand-in for Triton's ONNX Runtime backend, which no package carries: Triton's Python backend runs this file.

It opens the model's file with the onnxruntime package, and gives the server what the session gives. Everything else
is the server's own: it reads the repository, checks the configurations, batches, and runs the ensemble.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import onnxruntime
import triton_python_backend_utils as triton


class TritonPythonModel:
    """One model of the repository; the names are those that Triton's Python backend calls."""

    def initialize(self, args: dict[str, str]) -> None:
        """Open the model's file."""
        config = json.loads(args["model_config"])
        self._outputs = [port["name"] for port in config["output"]]
        self._inputs = [port["name"] for port in config["input"]]
        file = Path(args["model_repository"]) / args["model_version"] / "model.onnx"
        self._session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer each request by a run of its own."""
        return [self._answer(request) for request in requests]

    def _answer(self, request: Any) -> Any:
        feeds = {name: triton.get_input_tensor_by_name(request, name).as_numpy() for name in self._inputs}
        found = self._session.run(self._outputs, feeds)
        return triton.InferenceResponse(
            [triton.Tensor(name, value) for name, value in zip(self._outputs, found, strict=True)]
        )
