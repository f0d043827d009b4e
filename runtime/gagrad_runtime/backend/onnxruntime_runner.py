"""One session of ONNX Runtime, its runs, and its errors in our tree."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any

from gagrad_edge.abi import DTYPE
from gagrad_edge.errors import DeviceError, ModelError, OutOfMemoryError
from gagrad_runtime.backend.base import Port, Runner, Tensor
from gagrad_runtime.backend.interruption import interruptible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from gagrad_runtime.backend.optimised import OptimisedGraph

_CAPTURED = "gpu_graph_id"
"""Key of a run's options: which captured graph it is, where a provider captures graphs."""


class OnnxRuntimeRunner(Runner):
    """One session."""

    def __init__(
        self, graph: str, ort: Any, session: Any, memory: str, held: OptimisedGraph | None = None
    ) -> None:
        super().__init__(graph, _ports(session.get_inputs()), _ports(session.get_outputs()))
        self._held = held  # whose tensors the session uses
        self.seconds: float | None = None
        """After which a run is ended, as an error; None for no limit."""
        self._ort = ort
        self._session = session
        self._memory = memory

    def _run(self, inputs: Mapping[str, Tensor], into: Mapping[str, Tensor]) -> dict[str, Tensor]:
        # One for each run: a run that was ended leaves its options ended. The entry is the default. ONNX
        # Runtime asks for it, and where it is missing, an exception inside costs 70 µs a run.
        options = self._ort.RunOptions()
        options.add_run_config_entry(_CAPTURED, "0")
        try:
            binding = self._session.io_binding()
            for name, tensor in inputs.items():
                binding.bind_ortvalue_input(name, tensor.handle)
            for name in self.outputs:
                if name in into:
                    binding.bind_ortvalue_output(name, into[name].handle)
                else:
                    binding.bind_output(name, self._memory, 0)

            def end() -> None:
                options.terminate = True

            with interruptible(end), _limited(self.seconds, end):
                self._session.run_with_iobinding(binding, options)
            found = binding.get_outputs()
        except Exception as error:
            raise engine_error(self.graph, error) from error
        values = dict(zip(self.outputs, found, strict=True))
        return {
            name: into[name] if name in into else Tensor(value, tuple(value.shape()))
            for name, value in values.items()
        }


@contextlib.contextmanager
def _limited(seconds: float | None, end: Callable[[], None]) -> Iterator[None]:
    """Call ``end`` unless what is inside is done after ``seconds``."""
    if seconds is None:
        yield
        return
    timer = threading.Timer(seconds, end)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _ports(values: Any) -> list[Port]:
    return [
        Port(
            value.name,
            tuple(dim if isinstance(dim, int) else None for dim in value.shape),
            DTYPE if value.type == "tensor(float)" else value.type,
        )
        for value in values
    ]


def first_line(error: Exception) -> str:
    """Return what an error says first, or its kind where it says nothing."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def is_memory(error: Exception) -> bool:
    """Tell whether an error of ONNX Runtime is about too little memory."""
    # "Failed to allocate memory for requested buffer", "std::bad_alloc", "bad allocation", "out of memory".
    said = first_line(error).lower()
    return "alloc" in said or "out of memory" in said or isinstance(error, MemoryError)


def out_of_memory(where: str, error: Exception) -> OutOfMemoryError:
    """Return such an error in our tree."""
    return OutOfMemoryError(
        f"out of memory ({first_line(error)})",
        where=where,
        hint="take fewer samples at a time with `chunk=1`, or close other programs",
    )


def engine_error(graph: str, error: Exception) -> ModelError | DeviceError:
    """Return ONNX Runtime's exception in our tree: its classes share no base below Exception."""
    if is_memory(error):
        return out_of_memory(f"graph {graph!r}", error)
    return ModelError(
        f"ONNX Runtime cannot run it ({first_line(error)})",
        where=f"graph {graph!r}",
        hint="export the bundle again; `gagrad-edge doctor` shows the versions on this machine",
    )
