"""A GPU in host memory: enough of CUDA and of TensorRT's engines for the backend to run unchanged.

"Device" memory is host memory, and an engine is ONNX Runtime reading and writing at the addresses it was
given. Names and numbers of arguments are held against the real bindings by test_interface.py. What this
cannot show: that kernels are right, and that nothing races on a stream.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime

OUT_OF_MEMORY = 2


class HostCuda:
    """Stand-in for ``cuda.bindings.runtime``: each call returns (error, results…)."""

    cudaStreamNonBlocking = 1
    cudaDeviceAttr = SimpleNamespace(
        cudaDevAttrComputeCapabilityMajor="major", cudaDevAttrComputeCapabilityMinor="minor"
    )
    cudaMemcpyKind = SimpleNamespace(cudaMemcpyHostToDevice="up", cudaMemcpyDeviceToHost="down")
    cudaStreamCaptureMode = SimpleNamespace(cudaStreamCaptureModeThreadLocal=1)

    def __init__(self, limit: int = 1 << 30) -> None:
        self.blocks: dict[int, Any] = {}
        self.sizes: dict[int, int] = {}
        self.limit = limit
        self.recording: list[Callable[[], None]] | None = None
        self.graphs: dict[int, list[Callable[[], None]]] = {}
        self.counts: dict[str, int] = {}

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("cuda"):
            raise AttributeError(name)
        call = getattr(self, "_" + name.removeprefix("cuda"))

        def counted(*arguments: Any) -> Any:
            self.counts[name] = self.counts.get(name, 0) + 1
            return call(*arguments)

        return counted

    def _GetDeviceCount(self) -> tuple[int, int]:
        return 0, 1

    def _SetDevice(self, device: int) -> tuple[int]:
        return (0,)

    def _StreamCreateWithFlags(self, flags: int) -> tuple[int, int]:
        return 0, 7

    def _DeviceGetAttribute(self, attribute: str, device: int) -> tuple[int, int]:
        return 0, {"major": 8, "minor": 6}[attribute]

    def _GetDeviceProperties(self, device: int) -> tuple[int, Any]:
        return 0, SimpleNamespace(name=b"Host\0\0")

    def _DriverGetVersion(self) -> tuple[int, int]:
        return 0, 13020

    def _GetErrorString(self, error: int) -> tuple[int, bytes]:
        return 0, b"out of memory" if error == OUT_OF_MEMORY else b"broken"

    def _Malloc(self, size: int) -> tuple[int, int]:
        if sum(self.sizes.values()) + size > self.limit:
            return OUT_OF_MEMORY, 0
        # Filled with NaN: whoever reads what was not written shows it.
        block = ctypes.create_string_buffer(b"\xff" * size, size)
        pointer = ctypes.addressof(block)
        self.blocks[pointer], self.sizes[pointer] = block, size
        return 0, pointer

    def _Free(self, pointer: int) -> tuple[int]:
        del self.blocks[pointer], self.sizes[pointer]
        return (0,)

    def _MallocHost(self, size: int) -> tuple[int, int]:
        block = ctypes.create_string_buffer(size)
        self.blocks[ctypes.addressof(block)] = block
        return 0, ctypes.addressof(block)

    def _FreeHost(self, pointer: int) -> tuple[int]:
        del self.blocks[pointer]
        return (0,)

    def _MemcpyAsync(self, to: int, of: int, size: int, kind: str, stream: int) -> tuple[int]:
        ctypes.memmove(to, of, size)
        return (0,)

    def _MemsetAsync(self, pointer: int, value: int, size: int, stream: int) -> tuple[int]:
        ctypes.memset(pointer, value, size)
        return (0,)

    def _StreamSynchronize(self, stream: int) -> tuple[int]:
        return (0,)

    def _StreamBeginCapture(self, stream: int, mode: int) -> tuple[int]:
        self.recording = []
        return (0,)

    def _StreamEndCapture(self, stream: int) -> tuple[int, Any]:
        recorded, self.recording = self.recording, None
        return 0, recorded

    def _GraphInstantiate(self, graph: Any, flags: int) -> tuple[int, int]:
        number = len(self.graphs) + 1
        self.graphs[number] = graph
        return 0, number

    def _GraphDestroy(self, graph: Any) -> tuple[int]:
        return (0,)

    def _GraphExecDestroy(self, number: int) -> tuple[int]:
        del self.graphs[number]
        return (0,)

    def _GraphLaunch(self, number: int, stream: int) -> tuple[int]:
        for work in self.graphs[number]:
            work()
        return (0,)


class HostContext:
    """Stand-in for an execution context."""

    def __init__(self, engine: HostEngine) -> None:
        self.engine = engine
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.addresses: dict[str, int] = {}

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        """Take a shape within the profile."""
        free = self.engine.get_tensor_shape(name)
        self.shapes[name] = shape
        return all(want in (-1, have) for want, have in zip(free, shape, strict=True)) and (
            -1 not in free or shape[free.index(-1)] <= self.engine.rows
        )

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        """Return an output's shape: a free dimension is the batch of the inputs."""
        batch = [shape[self.engine.get_tensor_shape(given).index(-1)] for given, shape in self.shapes.items()]
        return tuple(batch[0] if dim == -1 else dim for dim in self.engine.get_tensor_shape(name))

    def set_tensor_address(self, name: str, pointer: int) -> bool:
        """Take an address."""
        self.addresses[name] = pointer
        return True

    def execute_async_v3(self, stream: int) -> bool:
        """Compute, or record what would be."""
        cuda, addresses = self.engine.cuda, dict(self.addresses)
        shapes = {name: self.shapes.get(name) or self.get_tensor_shape(name) for name in addresses}

        def work() -> None:
            values = {name: _view(addresses[name], shapes[name]) for name in addresses}
            session = self.engine.session
            results = session.run(None, {port.name: values[port.name] for port in session.get_inputs()})
            for port, result in zip(session.get_outputs(), results, strict=True):
                values[port.name][...] = result

        if cuda.recording is not None:
            cuda.recording.append(work)
        else:
            work()
        return True


class HostEngine:
    """Stand-in for an engine of the ONNX graph in ``data``."""

    def __init__(self, trt: Any, cuda: HostCuda, data: bytes, rows: int) -> None:
        self.trt, self.cuda, self.rows = trt, cuda, rows
        self.session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
        inputs, outputs = self.session.get_inputs(), self.session.get_outputs()
        self._ports = {port.name: port for port in [*inputs, *outputs]}
        self._inputs = {port.name for port in inputs}
        self.num_io_tensors = len(self._ports)

    def get_tensor_name(self, index: int) -> str:
        """Return a tensor's name."""
        return list(self._ports)[index]

    def get_tensor_mode(self, name: str) -> Any:
        """Tell inputs from outputs."""
        return self.trt.TensorIOMode.INPUT if name in self._inputs else self.trt.TensorIOMode.OUTPUT

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        """Return the shape, -1 where it is free."""
        return tuple(dim if isinstance(dim, int) else -1 for dim in self._ports[name].shape)

    def get_tensor_dtype(self, name: str) -> Any:
        """Return float32."""
        return self.trt.DataType.FLOAT

    def get_tensor_location(self, name: str) -> Any:
        """Return the device."""
        return self.trt.TensorLocation.DEVICE

    def create_execution_context(self) -> HostContext:
        """Return a context."""
        return HostContext(self)


def _view(pointer: int, shape: tuple[int, ...]) -> np.ndarray:
    size = 4 * int(np.prod(shape, dtype=np.int64))
    return np.frombuffer((ctypes.c_uint8 * size).from_address(pointer), np.float32).reshape(shape)
