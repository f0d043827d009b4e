"""The few calls of the CUDA runtime that a backend needs, through cuda-python.

cuda-python has moved its modules: ``cuda.bindings.runtime`` since 12.6, ``cuda.cudart`` before.
"""

from __future__ import annotations

import contextlib
import ctypes
import heapq
import importlib
from typing import Any

import numpy as np

from gagrad_edge.errors import DeviceError, MissingPackageError, OutOfMemoryError

LAYOUTS = ("cuda.bindings.runtime", "cuda.cudart")
INSTALL = 'pip install "cuda-bindings>=13" for CUDA 13, "cuda-bindings>=12.6,<13" for CUDA 12'
_OUT_OF_MEMORY = 2


class Cuda:
    """Device 0, one stream and a memory pool. Raises MissingPackageError and DeviceError.

    All work goes to one stream and is done in order, so memory that Python has freed can be allocated again
    while a run that reads it is still in progress.
    """

    def __init__(self) -> None:
        self._runtime = _runtime()
        count = self._call("cudaGetDeviceCount")
        if not count:
            raise DeviceError("CUDA finds no GPU on this machine", hint="use `device=cpu`")
        self._call("cudaSetDevice", 0)
        self.stream = int(self._call("cudaStreamCreateWithFlags", self._runtime.cudaStreamNonBlocking))
        self._free: dict[int, list[int]] = {}
        self._staging, self._staged = 0, 0

    @property
    def capability(self) -> tuple[int, int]:
        """Compute capability (major, minor)."""
        attributes = self._runtime.cudaDeviceAttr
        major = self._call("cudaDeviceGetAttribute", attributes.cudaDevAttrComputeCapabilityMajor, 0)
        minor = self._call("cudaDeviceGetAttribute", attributes.cudaDevAttrComputeCapabilityMinor, 0)
        return int(major), int(minor)

    @property
    def name(self) -> str:
        """The device's name and the version of its driver."""
        properties = self._call("cudaGetDeviceProperties", 0)
        version = int(self._call("cudaDriverGetVersion"))
        name = bytes(properties.name).split(b"\0")[0].decode(errors="replace")
        return f"{name}, CUDA driver {version // 1000}.{version % 1000 // 10}"

    def allocate(self, size: int) -> Buffer:
        """Return device memory of ``size`` bytes, from the pool if there is any. Raises OutOfMemoryError."""
        size = -(-max(size, 1) // 512) * 512
        spare = self._free.get(size)
        if spare:
            return Buffer(self, heapq.heappop(spare), size)
        try:
            return Buffer(self, int(self._call("cudaMalloc", size)), size)
        except OutOfMemoryError:
            self.release()
            return Buffer(self, int(self._call("cudaMalloc", size)), size)

    def upload(self, array: np.ndarray[Any, Any]) -> Buffer:
        """Return a copy of ``array`` on the device; the array may be changed afterwards."""
        data = np.ascontiguousarray(array)
        buffer = self.allocate(data.nbytes)
        # The previous copy may still be reading the staging memory.
        self.synchronize()
        self._stage(data.nbytes)[:] = data.reshape(-1).view(np.uint8)
        self._copy(buffer.pointer, self._staging, data.nbytes, "cudaMemcpyHostToDevice")
        return buffer

    def download(self, buffer: Buffer, shape: tuple[int, ...]) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Return a copy of ``buffer`` on the host, after all work queued so far."""
        size = 4 * int(np.prod(shape, dtype=np.int64))
        staged = self._stage(size)
        self._copy(self._staging, buffer.pointer, size, "cudaMemcpyDeviceToHost")
        self.synchronize()
        return np.array(staged.view(np.float32).reshape(shape))

    def clear(self, buffer: Buffer) -> None:
        """Set ``buffer`` to zeros."""
        self._call("cudaMemsetAsync", buffer.pointer, 0, buffer.size, self.stream)

    def synchronize(self) -> None:
        """Wait for all work queued so far; errors of earlier launches are raised here."""
        self._call("cudaStreamSynchronize", self.stream)

    def begin_capture(self) -> None:
        """Start to capture the stream's work as a CUDA graph; captured work is not executed."""
        mode = self._runtime.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        self._call("cudaStreamBeginCapture", self.stream, mode)

    def end_capture(self) -> int:
        """Return the captured CUDA graph, ready to launch. Raises DeviceError when it cannot be captured."""
        graph = self._call("cudaStreamEndCapture", self.stream)
        try:
            return int(self._call("cudaGraphInstantiate", graph, 0))
        finally:
            self._call("cudaGraphDestroy", graph)

    def launch(self, captured: int) -> None:
        """Launch a captured CUDA graph."""
        self._call("cudaGraphLaunch", captured, self.stream)

    def destroy(self, captured: int) -> None:
        """Free a captured CUDA graph."""
        self._call("cudaGraphExecDestroy", captured)

    def give_back(self, pointer: int, size: int) -> None:
        """Return memory to the pool, for the next buffer of its size.

        The lowest address is allocated first, so that the same work gets the same memory each time, whatever
        the order in which buffers were freed: a captured launch is bound to addresses.
        """
        heapq.heappush(self._free.setdefault(size, []), pointer)

    def release(self) -> None:
        """Free the pool's memory on the device."""
        self.synchronize()
        for pointers in self._free.values():
            for pointer in pointers:
                self._call("cudaFree", pointer)
        self._free.clear()

    def _stage(self, size: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """Return ``size`` bytes of page-locked host memory, from which the device copies directly."""
        if size > self._staged:
            if self._staging:
                self._call("cudaFreeHost", self._staging)
            self._staging = int(self._call("cudaMallocHost", size))
            self._staged = size
        return np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(self._staging))

    def _copy(self, to: int, of: int, size: int, kind: str) -> None:
        way = getattr(self._runtime.cudaMemcpyKind, kind)
        self._call("cudaMemcpyAsync", to, of, size, way, self.stream)

    def _call(self, name: str, *arguments: Any) -> Any:
        """Call a function of the runtime; return its result. Raises DeviceError and OutOfMemoryError."""
        error, *results = getattr(self._runtime, name)(*arguments)
        if int(error):
            _, text = self._runtime.cudaGetErrorString(error)
            said = text.decode() if isinstance(text, bytes) else str(text)
            if int(error) == _OUT_OF_MEMORY:
                raise OutOfMemoryError(
                    f"out of memory on the GPU ({said})",
                    where=name,
                    hint="take fewer samples at a time with `chunk=1`, or close other programs",
                )
            raise DeviceError(
                f"the GPU does not answer ({said})",
                where=name,
                hint="`gagrad-edge doctor` shows driver and GPU; use `device=cpu` meanwhile",
            )
        return results[0] if results else None


class Buffer:
    """Memory on the device that returns to the pool when nothing refers to it."""

    def __init__(self, cuda: Cuda, pointer: int, size: int) -> None:
        self._cuda, self.pointer, self.size = cuda, pointer, size

    def __del__(self) -> None:
        self._cuda.give_back(self.pointer, self.size)


def _runtime() -> Any:
    for name in LAYOUTS:
        with contextlib.suppress(ModuleNotFoundError):
            try:
                return importlib.import_module(name)
            except ModuleNotFoundError:
                raise
            except Exception as error:  # a half-installed one can fail in any way
                raise MissingPackageError(
                    f"cuda-python does not load ({error})", where=name, hint=INSTALL
                ) from error
    raise MissingPackageError("cuda-python is not installed", where="device", hint=INSTALL)
