"""The interface between the method and an engine.

Tensors stay in the engine's memory; only ``upload`` and ``download`` copy between host and device. A run
writes its outputs to tensors of the caller or to new ones, so that the state needs no copy: the output
tensors of one run are the input tensors of the next.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gagrad_edge.abi import DTYPE
from gagrad_edge.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from gagrad_edge.bundle.graph_file import GraphFile
    from gagrad_edge.manifest import GraphPrecision, GraphTarget, Numbers
    from gagrad_runtime.machine.memory import Memory

    Array = NDArray[np.float32]

    BuildProgress = Callable[[int, int, str], None]
    """Called with (steps done, steps in all, label) while an engine is compiled."""


@dataclass(frozen=True)
class Tensor:
    """A float32 tensor in a backend's memory."""

    handle: Any
    """The backend's own object; its type is the backend's business."""
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Port:
    """A graph's input or output: its name, its shape with None for each free axis, and its type."""

    name: str
    shape: tuple[int | None, ...]
    dtype: str = DTYPE

    def accepts(self, shape: tuple[int, ...]) -> bool:
        """Tell whether a tensor of ``shape`` fits."""
        return len(shape) == len(self.shape) and all(
            want in (None, have) for want, have in zip(self.shape, shape, strict=True)
        )


class Runner(ABC):
    """One compiled graph."""

    def __init__(self, graph: str, inputs: list[Port], outputs: list[Port]) -> None:
        self.graph = graph
        self.inputs = {port.name: port for port in inputs}
        self.outputs = {port.name: port for port in outputs}
        self.rows: int | None = None
        """Largest batch that a run takes; None for any."""
        self.size: int | None = None
        """Bytes of the compiled graph; None where the engine stores none."""

    def run(
        self, inputs: Mapping[str, Tensor], into: Mapping[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """Run the graph and return its outputs by name.

        Outputs named in ``into`` are written to those tensors, which must not be inputs of the same run; for
        the other outputs new tensors are allocated. Raises ModelError when names or shapes are not the
        graph's and when the engine fails, and OutOfMemoryError when memory does not suffice.
        """
        into = into or {}
        self._check("input", self.inputs, inputs, complete=True)
        self._check("output", self.outputs, into, complete=False)
        return self._run(inputs, into)

    @abstractmethod
    def _run(self, inputs: Mapping[str, Tensor], into: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Run with checked tensors."""

    def _check(
        self, kind: str, ports: Mapping[str, Port], given: Mapping[str, Tensor], *, complete: bool
    ) -> None:
        unknown = sorted(set(given) - set(ports))
        missing = sorted(set(ports) - set(given)) if complete else []
        if unknown or missing:
            problem = f"has no {kind} {unknown[0]!r}" if unknown else f"lacks its {kind} {missing[0]!r}"
            raise ModelError(f"the graph {problem}", where=f"graph {self.graph!r}", choices=sorted(ports))
        for name, tensor in given.items():
            if not ports[name].accepts(tensor.shape):
                raise ModelError(
                    f"{kind} {name!r} has shape {tensor.shape}, expected {ports[name].shape}",
                    where=f"graph {self.graph!r}",
                )


class Backend(ABC):
    """An engine on a device."""

    description: str
    """Engine, version and device, for people and for the record."""
    target: GraphTarget = "portable"
    """Target of the graphs that this engine runs fastest."""
    precision: GraphPrecision = "float32"
    """Precision of the graphs to use where the bundle has them; the other graphs are float32."""
    numbers: Numbers | None = None
    """What it computes in where that is not ``precision``: an engine that rounds float32 graphs itself."""
    setup: str
    """``description``, and what else the speed of a graph depends on: threads, kind of processor."""

    notes: list[str]
    """Deviations from what was asked, in sentences for the record: nodes on the CPU, batches of one."""
    """What it does otherwise than asked, in sentences for the record: nodes on the CPU, batches of one."""
    progress: BuildProgress | None = None
    """Called while an engine is compiled for minutes."""
    verified: bool = False
    """Whether the exporter verified the graphs with this engine: ONNX Runtime on a CPU."""

    @property
    def computes_in(self) -> Numbers:
        """What model and gradient are computed in."""
        return self.numbers or self.precision

    @abstractmethod
    def memory(self) -> Memory | None:
        """Return the size and use of the memory in which the engine computes; None where not known."""

    def rest(self) -> None:  # noqa: B027 - most engines keep nothing
        """Give back the memory that runs have used and that the next run takes again; graphs stay open."""

    @abstractmethod
    def open(self, graph: str, file: GraphFile, rows: int = 1) -> Runner:
        """Compile the graph in ``file``; ``graph`` names it in errors. Raises ModelError and BundleError.

        ``rows`` is the largest batch of a run, for engines that fix it when they compile.
        """

    @abstractmethod
    def upload(self, array: Array) -> Tensor:
        """Return a copy of ``array`` on the device; the array may be changed afterwards."""

    @abstractmethod
    def zeros(self, shape: tuple[int, ...]) -> Tensor:
        """Return a new tensor of zeros."""

    @abstractmethod
    def download(self, tensor: Tensor) -> Array:
        """Return a copy of ``tensor`` on the host."""
