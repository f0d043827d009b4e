"""ONNX Runtime: sessions with I/O binding, so that state stays in OrtValues between runs."""

from __future__ import annotations

import os
import platform
from typing import TYPE_CHECKING, Any

import numpy as np

from gagrad_edge.errors import DeviceError, MissingPackageError, ModelError, OutOfMemoryError
from gagrad_runtime.backend.base import Backend, Port, Runner, Tensor
from gagrad_runtime.memory import process_memory

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from gagrad_runtime.memory import Memory

    Array = NDArray[np.float32]

_ERRORS_ONLY = 3


class OnnxRuntimeBackend(Backend):
    """ONNX Runtime with one execution provider; ``threads`` None leaves the number to ONNX Runtime."""

    def __init__(self, provider: str = "CPUExecutionProvider", *, threads: int | None = None) -> None:
        try:
            import onnxruntime  # noqa: PLC0415 - an optional package, named below when it is missing
        except ImportError as error:
            raise MissingPackageError(
                f"onnxruntime is not installed or does not load ({error})",
                hint='pip install "gagrad-edge[cpu]"; `gagrad-edge doctor` shows what this machine has',
            ) from error
        available = onnxruntime.get_available_providers()
        if provider not in available:
            raise DeviceError(f"this onnxruntime has no {provider}", choices=available)
        self._ort = onnxruntime
        self._provider = provider
        self._threads = threads
        self.description = f"onnxruntime {onnxruntime.__version__} ({provider})"
        self.setup = f"{self.description}, {threads or os.cpu_count()} threads, {platform.machine()}"

    def memory(self) -> Memory | None:
        """Return the machine's memory: an execution provider for another device tells nothing."""
        return process_memory() if self._provider == "CPUExecutionProvider" else None

    def open(self, graph: str, data: bytes) -> Runner:
        """Open a session over ``data``."""
        options = self._ort.SessionOptions()
        options.log_severity_level = _ERRORS_ONLY
        # A memory pattern is a second copy of all activations, planned in the first run and allocated in the
        # next while the arena keeps the first copy: twice the peak, and no faster (docs/performance.md).
        options.enable_mem_pattern = False
        # The four sessions take turns: threads that spin on behind a run would take cores from the next.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        if self._threads is not None:
            options.intra_op_num_threads = self._threads
        try:
            session = self._ort.InferenceSession(data, options, providers=[self._provider])
        except Exception as error:
            raise _engine_error(graph, error) from error
        return OnnxRuntimeRunner(graph, session)

    def upload(self, array: Array) -> Tensor:
        """Copy ``array`` into an OrtValue."""
        # On a CPU the OrtValue is a view of the array it is given, so it gets one of its own.
        own = np.array(array, np.float32, order="C")
        return Tensor(self._ort.OrtValue.ortvalue_from_numpy(own), own.shape)

    def zeros(self, shape: tuple[int, ...]) -> Tensor:
        """Return an OrtValue of zeros."""
        return self.upload(np.zeros(shape, np.float32))

    def download(self, tensor: Tensor) -> Array:
        """Copy an OrtValue to the host."""
        return np.array(tensor.handle.numpy())


class OnnxRuntimeRunner(Runner):
    """One session."""

    def __init__(self, graph: str, session: Any) -> None:
        super().__init__(graph, _ports(session.get_inputs()), _ports(session.get_outputs()))
        self._session = session

    def _run(self, inputs: Mapping[str, Tensor], into: Mapping[str, Tensor]) -> dict[str, Tensor]:
        binding = self._session.io_binding()
        for name, tensor in inputs.items():
            binding.bind_ortvalue_input(name, tensor.handle)
        for name in self.outputs:
            if name in into:
                binding.bind_ortvalue_output(name, into[name].handle)
            else:
                binding.bind_output(name)
        try:
            self._session.run_with_iobinding(binding)
        except Exception as error:
            raise _engine_error(self.graph, error) from error
        values = dict(zip(self.outputs, binding.get_outputs(), strict=True))
        return {
            name: into[name] if name in into else Tensor(value, tuple(value.shape()))
            for name, value in values.items()
        }


def _ports(values: Any) -> list[Port]:
    return [
        Port(value.name, tuple(dim if isinstance(dim, int) else None for dim in value.shape))
        for value in values
    ]


def _engine_error(graph: str, error: Exception) -> ModelError | DeviceError:
    """Return ONNX Runtime's exception in our tree: its classes share no base below Exception."""
    first_line = (str(error).splitlines() or [type(error).__name__])[0]
    # "Failed to allocate memory for requested buffer", "std::bad_alloc", "bad allocation".
    if "alloc" in first_line.lower() or isinstance(error, MemoryError):
        return OutOfMemoryError(
            f"out of memory ({first_line})",
            where=f"graph {graph!r}",
            hint="take fewer copies at a time with --chunk 1, or close other programs",
        )
    return ModelError(
        f"ONNX Runtime cannot run it ({first_line})",
        where=f"graph {graph!r}",
        hint="export the bundle again; `gagrad-edge doctor` shows the versions on this machine",
    )
