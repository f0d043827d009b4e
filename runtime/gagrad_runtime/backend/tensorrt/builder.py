"""From ONNX bytes to the plan of an engine.

The same calls build with TensorRT 10.3 to 11 and with TensorRT-RTX; see ``library``. TensorRT-RTX builds
without a GPU when the compute capability is named.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gagrad_edge.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable

    from gagrad_runtime.backend.tensorrt.library import Library

    Steps = Callable[[int, int], bool]


@dataclass(frozen=True)
class BuildOptions:
    """Options of an engine beside the graph; all of them are part of the plan's key."""

    rows: int
    """Largest batch, as small as possible: memory for it is reserved when the engine is loaded."""
    tf32: bool = False
    """Whether matrix products may round their factors to ten bits."""
    capability: str = ""
    """Compute capability to build for, such as ``SM86`` (TensorRT-RTX only); empty for this device's own."""


class BuildStoppedError(Exception):
    """The build was stopped by its progress callback."""


def build_plan(
    library: Library,
    graph: str,
    data: bytes,
    options: BuildOptions,
    *,
    timing: bytes = b"",
    progress: Steps | None = None,
) -> tuple[bytes, bytes]:
    """Return the plan of the ONNX graph in ``data``, and the timing cache after it (empty for TensorRT-RTX).

    ``graph`` names it in errors. ``progress(done, total)`` is called during the build, which takes minutes,
    and stops it by returning False; that raises BuildStoppedError. Raises ModelError when
    the library refuses the graph.
    """
    trt = library.module
    library.said.clear()
    builder = trt.Builder(library.logger)
    network = builder.create_network(_flags(trt))
    parser = trt.OnnxParser(network, library.logger)
    if not parser.parse(data):
        reasons = "; ".join(str(parser.get_error(index)) for index in range(parser.num_errors))
        raise _refused(library, graph, reasons or "not parsed")
    config = builder.create_builder_config()
    _configure(library, config, options)
    profile = _profile(builder, network, options.rows)
    if profile is not None:
        config.add_optimization_profile(profile)
    if not library.rtx:
        config.set_timing_cache(config.create_timing_cache(timing), ignore_mismatch=False)
    stopped: list[bool] = []
    if progress is not None:
        config.progress_monitor = _monitor(trt, progress, stopped)
    plan = builder.build_serialized_network(network, config)
    if stopped:
        raise BuildStoppedError
    if plan is None:
        raise _refused(library, graph, library.problem("no engine was built"))
    after = b"" if library.rtx else bytes(memoryview(config.get_timing_cache().serialize()))
    return bytes(memoryview(plan)), after


def _flags(trt: Any) -> int:
    flags = trt.NetworkDefinitionCreationFlag.__members__
    # TensorRT 11 dropped EXPLICIT_BATCH, the only kind since 10, where naming it does nothing.
    return sum(1 << int(flags[name]) for name in ("STRONGLY_TYPED",) if name in flags)


def _configure(library: Library, config: Any, options: BuildOptions) -> None:
    trt = library.module
    # TF32 is on by default in TensorRT, and its ten bits show in a step function such as the guide.
    if hasattr(trt.BuilderFlag, "TF32"):
        (config.set_flag if options.tf32 else config.clear_flag)(trt.BuilderFlag.TF32)
    if library.rtx:
        config.num_compute_capabilities = 1
        capability = getattr(trt.ComputeCapability, options.capability or "CURRENT")
        config.set_compute_capability(capability, 0)


def _profile(builder: Any, network: Any, rows: int) -> Any:
    """Return a profile in which each free axis goes from 1 to ``rows``; None when all axes are fixed."""
    profile, free = builder.create_optimization_profile(), False
    for index in range(network.num_inputs):
        value = network.get_input(index)
        shape = list(value.shape)
        if -1 in shape:
            free = True
            smallest, largest = ([size if dim == -1 else dim for dim in shape] for size in (1, rows))
            profile.set_shape(value.name, smallest, largest, largest)
    return profile if free else None


def _monitor(trt: Any, progress: Steps, stopped: list[bool]) -> Any:
    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        """Reports the steps of the outermost phases to ``progress``. Called from several threads."""

        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self._phases: dict[str, int] = {}

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            """Record the number of steps of an outermost phase."""
            if not parent_phase:
                self._phases[phase_name] = num_steps

        def step_complete(self, phase_name: str, step: int) -> bool:
            """Report a step; return whether the build goes on."""
            if phase_name in self._phases and not progress(step + 1, self._phases[phase_name]):
                stopped.append(True)
            return not stopped

        def phase_finish(self, phase_name: str) -> None:
            """Drop a finished phase."""
            self._phases.pop(phase_name, None)

    return Monitor()


def _refused(library: Library, graph: str, reasons: str) -> ModelError:
    return ModelError(
        f"{library.kind} {library.version} does not take it ({reasons})",
        where=f"graph {graph!r}",
        hint="export again with graphs for tensorrt, or use `device=cuda` or `device=cpu`",
    )
