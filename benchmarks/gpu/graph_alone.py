"""Job: ``accumulate`` by itself: copies between host and device, batch sizes, the provider's options, CUDA graphs.

The state lies in tensors on the device as in an explanation; a run reads one set and writes another.
"""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.gpu.explaining import repeated
from gagrad_edge import abi
from gagrad_edge.bundle.bundle import read_bundle
from gagrad_edge.errors import GagradError
from gagrad_edge.manifest import GraphKey, GraphPrecision

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from benchmarks.gpu.machine import Machine
    from gagrad_edge.bundle.bundle import Bundle
    from gagrad_runtime.backend.onnxruntime import OnnxRuntimeBackend

OPTIONS: dict[str, dict[str, str]] = {
    "as shipped": {},
    "convolutions measured": {"cudnn_conv_algo_search": "EXHAUSTIVE"},
    "channels last": {"prefer_nhwc": "1"},
    "tf32": {"use_tf32": "1"},
    "CUDA graph": {"enable_cuda_graph": "1"},
    "no such option": {"no_such_option": "refused"},
}
"""Sets of options of the provider; only the first is what a device uses. The last shows that a refusal is noted."""


def run(machine: Machine, folder: Path, network: str, rounds: str) -> dict[str, Any]:
    """Return milliseconds by precision, options and batch; copies in a run; and what was not measured, with why."""
    bundle = read_bundle(folder / f"{network}.gagrad")
    found: dict[str, dict[str, dict[str, float]]] = {}
    skipped: list[str] = []
    copies: dict[str, int] = {}
    precisions: tuple[GraphPrecision, ...] = ("float32", "float16")
    for precision in precisions:
        key = GraphKey("accumulate", precision=precision)
        for name, options in OPTIONS.items():
            # Options are compared at one batch; a captured graph holds for one shape and one set of addresses.
            batches = machine.batches if name == "as shipped" else machine.batches[-2:-1]
            for batch in batches:
                try:
                    backend = machine.measured(precision, options)
                    call = _graph(backend, bundle, key, batch)
                    times = repeated(call, int(rounds))
                except (GagradError, RuntimeError, ValueError) as error:
                    reason = error.what if isinstance(error, GagradError) else str(error)
                    skipped.append(f"{network}, {precision}, {name}: {reason.splitlines()[0][:200]}")
                    break
                row = found.setdefault(precision, {}).setdefault(name, {})
                row[str(batch)] = 1000 * statistics.median(times)
        try:
            copies[precision] = _copies(machine, folder, bundle, key, machine.batches[-2])
        except (GagradError, RuntimeError) as error:
            skipped.append(f"{network}, {precision}, copies: {str(error).splitlines()[0][:200]}")
    return {"milliseconds": found, "copies": copies, "skipped": skipped}


def _graph(backend: OnnxRuntimeBackend, bundle: Bundle, key: GraphKey, batch: int) -> Callable[[], object]:
    """Return a run of ``accumulate`` with inputs and outputs at fixed addresses on the device."""
    runner = backend.open(key.role, bundle.graph_file(key), batch)
    feeds = {name: backend.upload(value) for name, value in _feeds(bundle, batch).items()}
    into = {abi.STATE_OUT[name]: backend.zeros(feeds[name].shape) for name in abi.STATE}
    into[abi.SCORES] = backend.zeros((batch, *bundle.manifest.output.shape))
    return lambda: runner.run(feeds, into)


def _feeds(bundle: Bundle, batch: int) -> Mapping[str, Any]:
    shape = bundle.manifest.input.shape
    rng = np.random.default_rng(0)
    cotangent = np.zeros((1, *bundle.manifest.output.shape), np.float32)
    cotangent.flat[0] = 1
    return {
        abi.IMAGE: rng.uniform(0, 1, (1, *shape)),
        abi.NOISE: rng.standard_normal((batch, *shape)),
        abi.NOISE_STD: np.array(0.15),
        abi.COTANGENT: cotangent,
        abi.COUNT: np.array(0.0),
        **{name: np.zeros(shape) for name in (abi.ABS_SUM, abi.MEAN, abi.M2)},
    }


def _copies(machine: Machine, folder: Path, bundle: Bundle, key: GraphKey, batch: int) -> int:
    """Return the copies between host and device in one run, from ONNX Runtime's profile."""
    backend = machine.measured(key.precision, {})
    options, opened = backend._options, backend._session
    sessions: list[Any] = []

    def profiled(*arguments: Any, **settings: Any) -> Any:
        given = options(*arguments, **settings)
        given.enable_profiling = True
        given.profile_file_prefix = str(folder / "profile")
        return given

    def kept(data: bytes, given: Any) -> Any:
        sessions.append(opened(data, given))
        return sessions[-1]

    backend._options, backend._session = profiled, kept  # type: ignore[method-assign,assignment]
    call = _graph(backend, bundle, key, batch)
    call()
    path = Path(sessions[-1].end_profiling())
    events = json.loads(path.read_text(encoding="utf-8"))
    path.unlink()
    return sum(str(event.get("args", {}).get("op_name", "")).startswith("Memcpy") for event in events)
