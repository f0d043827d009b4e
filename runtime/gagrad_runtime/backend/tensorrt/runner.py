"""One engine with one execution context."""

from __future__ import annotations

import logging
import math
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from gagrad_edge.errors import DeviceError, ModelError, SettingError
from gagrad_runtime.backend.base import Port, Runner, Tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gagrad_runtime.backend.tensorrt.cuda import Cuda
    from gagrad_runtime.backend.tensorrt.library import Library

    Key = tuple[tuple[int, tuple[int, ...]], ...]

_KEPT = 32
"""Largest number of captured launches of one engine. An explanation needs about ten, one for each chunk and
state buffer."""
_log = logging.getLogger(__name__)


class TensorRtRunner(Runner):
    """An engine. A run on the same tensors at the same addresses is captured as a CUDA graph, then replayed.

    TensorRT-RTX captures by itself and has a runtime cache for its compiled kernels; both are switched on.
    """

    def __init__(
        self,
        graph: str,
        library: Library,
        cuda: Cuda,
        engine: Any,
        rows: int,
        size: int,
        kernels: bytes | None,
        keep: Callable[[bytes], None],
    ) -> None:
        trt = library.module
        names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
        _require_floats(trt, graph, engine, names)
        modes = {name: engine.get_tensor_mode(name) for name in names}
        ports = {name: Port(name, _shape(engine.get_tensor_shape(name))) for name in names}
        super().__init__(
            graph,
            [ports[name] for name in names if modes[name] == trt.TensorIOMode.INPUT],
            [ports[name] for name in names if modes[name] == trt.TensorIOMode.OUTPUT],
        )
        self._library, self._cuda, self.rows, self.size = library, cuda, rows, size
        self._cache: Any = None
        if library.rtx:
            self._context, self._cache = _rtx_context(trt, engine, kernels)
        else:
            self._context = engine.create_execution_context()
        if self._context is None:
            raise ModelError(library.problem("no execution context"), where=f"graph {graph!r}")
        self._keep, self._compiled = keep, len(kernels or b"")
        self._captures = not library.rtx
        self._shapes: set[tuple[tuple[int, ...], ...]] = set()
        self._seen: OrderedDict[Key, int | None] = OrderedDict()
        """Launches by tensor addresses: None after the first, a captured CUDA graph after the second."""

    def _run(self, inputs: Mapping[str, Tensor], into: Mapping[str, Tensor]) -> dict[str, Tensor]:
        context = self._context
        for name, tensor in inputs.items():
            if None in self.inputs[name].shape and not context.set_input_shape(name, tensor.shape):
                raise self._too_large(name, tensor)
        outputs = {name: into[name] if name in into else self._new(name) for name in self.outputs}
        places = {**inputs, **outputs}
        for name, tensor in places.items():
            context.set_tensor_address(name, tensor.handle.pointer)
        self._launch(tuple((tensor.handle.pointer, tensor.shape) for tensor in places.values()))
        shapes = tuple(tensor.shape for tensor in places.values())
        if self._cache is not None and shapes not in self._shapes:
            self._shapes.add(shapes)
            self._keep_kernels()
        return outputs

    def _launch(self, key: Key) -> None:
        captured = self._seen.get(key)
        if captured is not None:
            self._seen.move_to_end(key)
            self._cuda.launch(captured)
            return
        self._execute()
        if self._captures:
            # A capture comes after a run, not in its place: capturing does not execute, and the first run
            # after a change of shapes does work that cannot be captured.
            self._seen[key] = self._capture() if key in self._seen else None
            if len(self._seen) > _KEPT:
                _, oldest = self._seen.popitem(last=False)
                if oldest is not None:
                    self._cuda.destroy(oldest)

    def _execute(self) -> None:
        if not self._context.execute_async_v3(self._cuda.stream):
            raise ModelError(self._library.problem("the run failed"), where=f"graph {self.graph!r}")

    def _capture(self) -> int | None:
        """Return the launch as a CUDA graph; None where that fails, and then no launch is captured again."""
        try:
            self._cuda.begin_capture()
            try:
                self._execute()
            finally:
                captured = self._cuda.end_capture()
        except (DeviceError, ModelError) as error:
            self._captures = False
            _log.info("graph %r runs without a CUDA graph: %s", self.graph, error.what)
            return None
        return captured

    def _new(self, name: str) -> Tensor:
        shape = tuple(self._context.get_tensor_shape(name))
        return Tensor(self._cuda.allocate(4 * math.prod(shape)), shape)

    def _too_large(self, name: str, tensor: Tensor) -> SettingError:
        return SettingError(
            f"the batch of {name!r} is {tensor.shape[0]}, and the engine was built for at most {self.rows}",
            where=f"graph {self.graph!r}",
            hint=f"take at most {self.rows} samples at a time (`chunk`), or export with a larger chunk",
        )

    def _keep_kernels(self) -> None:
        """Store the kernels that were compiled for new shapes."""
        kernels = bytes(memoryview(self._cache.serialize()))
        if len(kernels) > self._compiled:
            self._compiled = len(kernels)
            self._keep(kernels)


def _rtx_context(trt: Any, engine: Any, kernels: bytes | None) -> tuple[Any, Any]:
    config = engine.create_runtime_config()
    cache = config.create_runtime_cache()
    if kernels:
        cache.deserialize(kernels)
    config.set_runtime_cache(cache)
    config.cuda_graph_strategy = trt.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
    return engine.create_execution_context(config), cache


def _require_floats(trt: Any, graph: str, engine: Any, names: list[str]) -> None:
    """Raise ModelError unless all inputs and outputs are float32 on the device, as this backend's tensors."""
    for name in names:
        kind, place = engine.get_tensor_dtype(name), engine.get_tensor_location(name)
        if kind != trt.DataType.FLOAT or place != trt.TensorLocation.DEVICE:
            raise ModelError(
                f"{name!r} is {kind} in {place}, not float32 on the device", where=f"graph {graph!r}"
            )


def _shape(dims: Any) -> tuple[int | None, ...]:
    return tuple(None if dim < 0 else int(dim) for dim in dims)
