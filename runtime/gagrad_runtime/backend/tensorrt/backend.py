"""TensorRT on device 0: engines that are built here or come from the cache, tensors in the GPU's memory."""

from __future__ import annotations

import logging
import math
import platform
import threading
from typing import TYPE_CHECKING

from gagrad_edge.errors import DeviceError, ModelError
from gagrad_runtime.backend.base import Backend, Tensor
from gagrad_runtime.backend.plans import Plans, plan_key
from gagrad_runtime.backend.tensorrt.builder import BuildOptions, build_plan
from gagrad_runtime.backend.tensorrt.cuda import Cuda
from gagrad_runtime.backend.tensorrt.library import open_library
from gagrad_runtime.backend.tensorrt.runner import TensorRtRunner
from gagrad_runtime.machine.cache import cache_folder

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from gagrad_edge.bundle.graph_file import GraphFile
    from gagrad_runtime.backend.base import Runner
    from gagrad_runtime.backend.tensorrt.library import Kind, Library
    from gagrad_runtime.machine.memory import Memory

    Array = NDArray[np.float32]

MODES = ("", "fp16", "tf32")
"""Suffixes of the device name: ``tensorrt:fp16`` takes the bundle's float16 graphs, ``tensorrt:tf32`` rounds
the factors of float32 products to ten bits."""
_log = logging.getLogger(__name__)


class TensorRtBackend(Backend):
    """TensorRT or TensorRT-RTX. Raises MissingPackageError and DeviceError."""

    target = "tensorrt"

    def __init__(self, kind: Kind = "tensorrt", mode: str = "") -> None:
        if mode not in MODES:
            raise DeviceError(
                f"no mode {mode!r} of {kind}",
                where="device",
                choices=[kind + (f":{mode}" if mode else "") for mode in MODES],
            )
        self._library = open_library(kind)
        self._cuda = Cuda()
        self._tf32 = mode == "tf32"
        self.precision = "float16" if mode == "fp16" else "float32"
        self.notes = []
        numbers = {"": "float32", "fp16": "float16", "tf32": "tf32"}[mode]
        self.description = f"{kind} {self._library.version} ({self._cuda.name}, {numbers})"
        major, minor = self._cuda.capability
        self.setup = f"{self.description}, SM{major}{minor}, {platform.machine()}"
        self._plans = Plans(cache_folder(kind))
        trt = self._library.module
        self._runtime = trt.Runtime(self._library.logger)

    def memory(self) -> Memory | None:
        """Return None: an engine's batch is fixed when it is built, so no chunk size is measured."""
        return None

    def open(self, graph: str, file: GraphFile, rows: int = 1) -> Runner:
        """Load the engine of the graph in ``file``, built first where this device has none.

        Building takes minutes. Ctrl-C stops it and leaves no partial file.
        """
        options = BuildOptions(rows=rows, tf32=self._tf32)
        # The graph names its tensors by their hashes, so its own bytes say what the engine holds.
        key = plan_key(bytes(file.data), self._library.kind, self.setup, options)
        plan = self._plans.get(key, lambda: self._build(graph, file, options))
        engine = self._runtime.deserialize_cuda_engine(plan)
        if engine is None:
            # The key cannot hold everything, such as a driver that was replaced under the same version.
            _log.warning("the stored engine of %r does not load and is built again", graph)
            plan = self._build(graph, file, options)
            self._plans.write(key, plan)
            engine = self._runtime.deserialize_cuda_engine(plan)
        if engine is None:
            raise ModelError(self._library.problem("the engine does not load"), where=f"graph {graph!r}")
        kept = self._plans.read(f"{key}.kernels") if self._library.rtx else None

        def keep(kernels: bytes) -> None:
            self._plans.write(f"{key}.kernels", kernels)

        return TensorRtRunner(graph, self._library, self._cuda, engine, rows, len(plan), kept, keep)

    def _build(self, graph: str, file: GraphFile, options: BuildOptions) -> bytes:
        _log.info("building the engine of %r for %s", graph, self.description)
        name = plan_key(b"", self._library.kind, self.setup)
        timing = self._plans.read(f"{name}.timing") or b""
        file.check()  # the plan will be found by their names
        plan, after = build_interruptibly(
            self._library, graph, file.complete(), options, timing, self._step(graph)
        )
        if after and after != timing:
            self._plans.write(f"{name}.timing", after)
        return plan

    def _step(self, graph: str) -> Callable[[int, int], None]:
        def step(done: int, total: int) -> None:
            if self.progress is not None:
                self.progress(done, total, f"building {graph}")

        return step

    def upload(self, array: Array) -> Tensor:
        """Copy ``array`` to the GPU."""
        return Tensor(self._cuda.upload(array.astype("float32", copy=False)), array.shape)

    def zeros(self, shape: tuple[int, ...]) -> Tensor:
        """Return zeros on the GPU."""
        buffer = self._cuda.allocate(4 * math.prod(shape))
        self._cuda.clear(buffer)
        return Tensor(buffer, shape)

    def download(self, tensor: Tensor) -> Array:
        """Copy a tensor to the host, after all runs so far."""
        return self._cuda.download(tensor.handle, tensor.shape)


def build_interruptibly(
    library: Library,
    graph: str,
    data: bytes,
    options: BuildOptions,
    timing: bytes,
    progress: Callable[[int, int], None],
) -> tuple[bytes, bytes]:
    """Return the plan and the timing cache, built in another thread so that Ctrl-C can stop the build.

    ``progress`` is called with (steps done, steps in all).
    """
    stop = threading.Event()
    result: list[tuple[bytes, bytes]] = []
    failure: list[BaseException] = []

    def step(done: int, total: int) -> bool:
        progress(done, max(total, 1))
        return not stop.is_set()

    def work() -> None:
        try:
            result.append(build_plan(library, graph, data, options, timing=timing, progress=step))
        except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
            failure.append(error)

    thread = threading.Thread(target=work, name=f"build {graph}", daemon=True)
    thread.start()
    try:
        while thread.is_alive():
            thread.join(0.1)
    except KeyboardInterrupt:
        stop.set()
        thread.join()
        raise
    if failure:
        raise failure[0]
    return result[0]
