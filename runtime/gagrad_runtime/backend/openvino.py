"""OpenVINO: compiled models that run on tensors of this backend, so that the state needs no copy."""

from __future__ import annotations

import functools
import logging
import os
import platform
from typing import TYPE_CHECKING, Any

import numpy as np

from gagrad_edge.abi import DTYPE
from gagrad_edge.bundle.onnx_wire import at, rewritten
from gagrad_edge.errors import DeviceError, ModelError, OutOfMemoryError
from gagrad_edge.openvino_package import openvino_package
from gagrad_runtime.backend.base import Backend, Port, Runner, Tensor
from gagrad_runtime.backend.interruption import interruptible
from gagrad_runtime.machine.memory import process_memory

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from gagrad_edge.bundle.archive import Buffer
    from gagrad_edge.bundle.graph_file import GraphFile
    from gagrad_edge.bundle.onnx_wire import Reference
    from gagrad_edge.manifest import Numbers
    from gagrad_runtime.machine.memory import Memory

    Array = NDArray[np.float32]

_IN_MEMORY = "*/_ORT_MEM_ADDR_/*"
"""Location of a tensor whose ``offset`` is an address: ONNX Runtime's provider passes graphs on so."""
_log = logging.getLogger(__name__)


@functools.cache
def _core(openvino: Any) -> Any:
    """Return OpenVINO's core, one for the process, which is never freed.

    On processors with AMX the plugin for the CPU gives the thread that loads it a stack for signals. Of two
    that are freed in turn the second puts back the stack of the first, which is gone: the next signal that
    Python handles, such as SIGTERM for a station, is then a segmentation fault (seen with 2026.4).
    """
    return openvino.Core()


class OpenVinoBackend(Backend):
    """OpenVINO on one of its devices: ``CPU``, ``GPU``, ``GPU.1``, ``NPU``.

    Computes in float32, where a GPU would take float16 by default; ``bfloat16`` is for the CPU, and for
    bundles that were measured in it. ``threads`` limits the CPU; None leaves the number to OpenVINO. Raises
    MissingPackageError, and DeviceError for a device, or numbers, that this machine lacks.
    """

    target = "openvino"

    def __init__(
        self, device: str = "CPU", *, threads: int | None = None, numbers: Numbers = "float32"
    ) -> None:
        openvino = openvino_package()
        try:
            self._core = _core(openvino)
            devices = list(self._core.available_devices)
        except Exception as error:
            raise DeviceError(f"OpenVINO does not start ({_reason(error)})", where="device") from error
        self._device = device.upper()
        # With two GPUs the list has GPU.0 and GPU.1, and GPU means the first.
        if self._device not in {*devices, *(name.split(".")[0] for name in devices)}:
            raise DeviceError(
                f"OpenVINO finds no device {device!r} on this machine",
                where="device",
                hint="a GPU or an NPU needs its driver beside OpenVINO; see docs/devices.md",
                choices=[f"openvino:{name}" for name in devices],
            )
        if numbers == "bfloat16" and "BF16" not in self._core.get_property(
            self._device, "OPTIMIZATION_CAPABILITIES"
        ):
            raise DeviceError(
                "this processor does not compute in bfloat16",
                where="device",
                hint="use openvino, which computes in float32",
            )
        self._openvino = openvino
        self.numbers = numbers
        self.notes = []
        self._options: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": "bf16" if numbers == "bfloat16" else "f32",
            # The precision alone does not forbid that activations are quantised during a run.
            "EXECUTION_MODE_HINT": "ACCURACY",
            "PERFORMANCE_HINT": "LATENCY",
        }
        if self._device == "CPU" and threads is not None:
            self._options["INFERENCE_NUM_THREADS"] = threads
        version = openvino.get_version().split("-")[0]
        self.description = f"openvino {version} ({self._device}{', bfloat16' * (numbers == 'bfloat16')})"
        name = self._core.get_property(self._device, "FULL_DEVICE_NAME")
        count = f"{threads or os.cpu_count()} threads, " if self._device == "CPU" else ""
        self.setup = f"{self.description}, {name}, {count}{platform.machine()}"

    def memory(self) -> Memory | None:
        """Return the memory of this process for the CPU; None for another device, which reports none."""
        return process_memory() if self._device == "CPU" else None

    def open(self, graph: str, file: GraphFile, rows: int = 1) -> Runner:  # noqa: ARG002 - any number
        """Compile the graph in ``file``; free dimensions stay free."""
        tensors = file.tensors()
        try:
            model = self._read(file, tensors)
            compiled = self._core.compile_model(model, self._device, self._options)
            return OpenVinoRunner(graph, self._openvino, model, compiled, tensors)
        except Exception as error:
            raise _engine_error(graph, error) from error

    def _read(self, file: GraphFile, tensors: Mapping[str, NDArray[np.generic]]) -> Any:
        """Return the model of ``file``, whose ``tensors`` must live as long as the model does.

        The graph names the addresses of its tensors, so that none is copied into it first. OpenVINO before
        2025.3 does not read that, and gets one file.
        """
        if not tensors:
            return self._core.read_model(bytes(file.data))

        def place(one: Reference) -> list[Buffer]:
            tensor = tensors[one.name]
            return at(_IN_MEMORY, offset=tensor.ctypes.data, length=tensor.nbytes)

        try:
            return self._core.read_model(rewritten(file.data, place, where=file.where))
        except Exception as error:  # noqa: BLE001 - OpenVINO's exceptions are RuntimeErrors of any cause
            _log.debug("the graph is read as one file: %s", _reason(error))
        return self._core.read_model(file.complete())

    def upload(self, array: Array) -> Tensor:
        """Copy ``array`` into a tensor."""
        # A shared array that this tensor owns: OpenVINO's copying constructor turns a scalar into one axis.
        own = np.array(array, np.float32, order="C")
        return Tensor(self._openvino.Tensor(own, shared_memory=True), own.shape)

    def zeros(self, shape: tuple[int, ...]) -> Tensor:
        """Return a tensor of zeros."""
        return self.upload(np.zeros(shape, np.float32))

    def download(self, tensor: Tensor) -> Array:
        """Copy a tensor to the host."""
        return np.array(tensor.handle.data)


class OpenVinoRunner(Runner):
    """One compiled model with one infer request."""

    def __init__(
        self,
        graph: str,
        openvino: Any,
        model: Any,
        compiled: Any,
        tensors: Mapping[str, NDArray[np.generic]],
    ) -> None:
        super().__init__(graph, _ports(model.inputs, ""), _ports(model.outputs, _SINK))
        # Their memory must not be freed: OpenVINO does not say which constants it copies.
        self._tensors = tensors
        self._openvino = openvino
        self._request = compiled.create_infer_request()

    def _run(self, inputs: Mapping[str, Tensor], into: Mapping[str, Tensor]) -> dict[str, Tensor]:
        results = {name: into[name].handle if name in into else self._new(name) for name in self.outputs}
        try:
            # By position: names of values that are the same tensor are joined when a graph is compiled.
            for index, name in enumerate(self.inputs):
                self._request.set_input_tensor(index, inputs[name].handle)
            for index, tensor in enumerate(results.values()):
                self._request.set_output_tensor(index, tensor)
            with interruptible(self._request.cancel):
                self._request.infer()
        except Exception as error:
            raise _engine_error(self.graph, error) from error
        return {
            name: into[name] if name in into else Tensor(tensor, tuple(tensor.shape))
            for name, tensor in results.items()
        }

    def _new(self, name: str) -> Any:
        """Return a tensor for an output; a free shape is set by the run."""
        shape = self._openvino.Shape([dim or 0 for dim in self.outputs[name].shape])
        return self._openvino.Tensor(self._openvino.Type.f32, shape)


_SINK = "/sink_port_0"
"""Suffix that OpenVINO appends to the name of an output of the ONNX graph."""


def _ports(values: Any, suffix: str) -> list[Port]:
    return [
        Port(
            value.node.get_friendly_name().removesuffix(suffix),
            tuple(dim.get_length() if dim.is_static else None for dim in value.partial_shape),
            DTYPE if value.element_type.get_type_name() == "f32" else value.element_type.get_type_name(),
        )
        for value in values
    ]


def _reason(error: Exception) -> str:
    """Return the line of OpenVINO's message that gives the reason; other lines name its source files."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if not line.startswith(("Exception from", "Check '"))]
    return (telling or lines or [type(error).__name__])[0]


def _engine_error(graph: str, error: Exception) -> ModelError | DeviceError:
    reason = _reason(error)
    # "std::bad_alloc", "Failed to allocate", "Cannot allocate memory", "could not allocate", "out of memory".
    if isinstance(error, MemoryError) or any(word in str(error).lower() for word in ("alloc", "of memory")):
        return OutOfMemoryError(
            f"out of memory ({reason})",
            where=f"graph {graph!r}",
            hint="take fewer samples at a time with `chunk=1`, or close other programs",
        )
    return ModelError(
        f"OpenVINO cannot run it ({reason})",
        where=f"graph {graph!r}",
        hint="try `device=cpu`; `gagrad-edge doctor` shows the versions on this machine",
    )
