"""The time of the convolutions and matrix products of ``accumulate`` alone: a lower bound of its time.

From ONNX Runtime's own profile. Other lowerings may save masks, sums, copies and reorders, but not the
multiplications. ``rate`` compared with ``best`` shows how well the engine does these.
"""

from __future__ import annotations

import json
import statistics
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime

from gagrad_edge import abi

if TYPE_CHECKING:
    from collections.abc import Mapping

_PRODUCTS = frozenset({"Conv", "FusedConv", "Gemm", "FusedGemm", "MatMul", "FusedMatMul"})


@dataclass(frozen=True)
class Products:
    """The products of one sample."""

    seconds: float
    """Time of convolutions and matrix products, in seconds."""
    rate: float
    """Multiply-adds of the convolutions, in 10⁹ per second."""
    best: float
    """Multiply-adds of the fastest convolution, in 10⁹ per second: about what this machine can do."""


class Profiled:
    """A profiled session of ``accumulate``, which runs in turns with the other programs."""

    def __init__(self, graph: bytes, batch: int) -> None:
        self._folder = tempfile.TemporaryDirectory()
        options = onnxruntime.SessionOptions()
        options.enable_profiling = True
        options.enable_mem_pattern = False  # the runtime's setting
        options.add_session_config_entry("session.force_spinning_stop", "1")
        options.profile_file_prefix = str(Path(self._folder.name) / "profile")
        self._session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        self._feeds = _feeds(self._session, batch)
        self._batch = batch
        self.run()

    def run(self) -> None:
        """Run one chunk."""
        self._session.run(None, self._feeds)

    def close(self) -> Products:
        """Close the session and return the medians over all runs but the first."""
        events = json.loads(Path(self._session.end_profiling()).read_text())
        self._folder.cleanup()
        durations: dict[str, list[float]] = defaultdict(list)
        kernels: dict[str, Mapping[str, Any]] = {}
        for event in events:
            if event["name"].endswith("_kernel_time"):
                durations[event["name"]].append(event["dur"] / 1e6)
                kernels[event["name"]] = event["args"]
        medians = {name: statistics.median(times[1:]) for name, times in durations.items()}
        chosen = {name: taken for name, taken in medians.items() if kernels[name]["op_name"] in _PRODUCTS}
        convolutions = {name: taken for name, taken in chosen.items() if "Conv" in kernels[name]["op_name"]}
        counts = {name: _multiplications(kernels[name]) for name in convolutions}
        return Products(
            sum(chosen.values()) / self._batch,
            sum(counts.values()) / sum(convolutions.values()) / 1e9,
            max(counts[name] / taken for name, taken in convolutions.items()) / 1e9,
        )


def _multiplications(kernel: Mapping[str, Any]) -> float:
    """Return the multiplications of a convolution: its number of outputs times the weights of one filter."""
    weights, output = _shapes(kernel["input_type_shape"])[1], _shapes(kernel["output_type_shape"])[0]
    return float(np.prod(output) * np.prod(weights[1:]))


def _shapes(entries: list[Mapping[str, list[int]]]) -> list[list[int]]:
    return [next(iter(entry.values())) for entry in entries]


def _feeds(session: Any, batch: int) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    feeds = {}
    for port in session.get_inputs():
        shape = [dim if isinstance(dim, int) else batch for dim in port.shape]
        feeds[port.name] = np.zeros(shape, np.float32)
    feeds[abi.IMAGE] += rng.uniform(0, 1, feeds[abi.IMAGE].shape).astype(np.float32)
    feeds[abi.NOISE] += rng.standard_normal(feeds[abi.NOISE].shape, np.float32)
    feeds[abi.NOISE_STD] += np.float32(0.15)
    feeds[abi.COTANGENT].flat[1] = 1
    return feeds
