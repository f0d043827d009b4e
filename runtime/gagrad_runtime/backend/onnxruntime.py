"""ONNX Runtime: sessions with I/O binding, so that the state stays in OrtValues between runs."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import platform
from typing import TYPE_CHECKING, Any

import numpy as np

from gagrad_edge.bundle.mapping import release
from gagrad_edge.errors import BundleError, DeviceError, MissingPackageError, ModelError, OutOfMemoryError
from gagrad_runtime.backend import arena, assignment
from gagrad_runtime.backend.base import Backend, Port, Runner, Tensor
from gagrad_runtime.backend.onnxruntime_runner import (
    OnnxRuntimeRunner,
    engine_error,
    first_line,
    is_memory,
    out_of_memory,
)
from gagrad_runtime.backend.optimised import GRAPH, SMALLEST, TENSORS, OptimisedGraphs
from gagrad_runtime.backend.plugin import plugin_devices
from gagrad_runtime.backend.providers import PROVIDERS, Provider, provider_options
from gagrad_runtime.machine.cache import cache_folder
from gagrad_runtime.machine.memory import process_memory, return_freed_memory
from gagrad_runtime.machine.nvidia import nvidia_device
from gagrad_runtime.machine.processor import processor_kind

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from gagrad_edge.bundle.graph_file import GraphFile
    from gagrad_edge.manifest import GraphPrecision
    from gagrad_runtime.backend.optimised import OptimisedGraph
    from gagrad_runtime.machine.memory import Memory

    Array = NDArray[np.float32]

_ERRORS_ONLY = 3
_ARM = ("aarch64", "arm64")
"""Machines on which ONNX Runtime keeps the plain layout, so that forms for the blocked one only cost."""
_PROBE = (
    b'\x08\t:6\n\x0b\n\x01x\x12\x01y"\x03Exp\x12\x05probeZ\x0f\n\x01x\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x02'
    b"b\x0f\n\x01y\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x02B\x04\n\x00\x10\x12"
)
"""An ONNX graph of opset 18, ``y [2] = Exp(x [2])``, as there is no onnx on a device to write one."""
_PACKED = 0.5
"""Share of matrices among a graph's weights from which they are packed: that of transformers is above 0.9."""
_SPIN = "1000"
"""Microseconds for which an idle thread looks for work before it sleeps; see docs/performance.md."""
_PROOF = 60.0
"""Seconds that a graph may take for two samples; one that takes longer loses nothing while it opens."""
_FROM_MEMORY = "add_external_initializers_from_files_in_memory"
"""Function of a session's options that takes a graph's files from memory; since ONNX Runtime 1.24."""
_IN_PLACE = "session.use_external_initializer_file_buffers_directly"
"""Option of a session that uses those files where they are, and copies nothing."""
_WRITTEN_TENSORS = "session.optimized_model_external_initializers_file_name"
_WRITTEN_SIZE = "session.optimized_model_external_initializers_min_size_in_bytes"
"""Options of a session that writes the optimised graph: the file of its tensors, and the smallest in it."""
_log = logging.getLogger(__name__)


class OnnxRuntimeBackend(Backend):
    """ONNX Runtime with one execution provider; ``threads`` None leaves the number to ONNX Runtime.

    ``precision`` is that of the graphs to take from a bundle. With ``keep`` the CPU's provider opens graphs
    as an earlier process has optimised them, and keeps what it optimises: see ``optimised.py``.

    A provider other than the CPU's first runs a graph of one node, because ONNX Runtime also lists providers
    whose libraries or device are missing. Raises MissingPackageError and DeviceError.
    """

    def __init__(
        self,
        provider: Provider = PROVIDERS["cpu"],
        *,
        threads: int | None = None,
        precision: GraphPrecision = "float32",
        keep: bool = False,
    ) -> None:
        try:
            import onnxruntime  # noqa: PLC0415 - an optional package, named below when it is missing
        except Exception as error:  # a half-installed one can fail in any way
            raise MissingPackageError(
                f"onnxruntime is not installed or does not load ({error})",
                hint=f"{provider.install}; `gagrad-edge doctor` shows what this machine has",
            ) from error
        self._ort = onnxruntime
        self._provider = provider
        self._threads = threads
        self._plugin: list[Any] = []
        self._shared = provider.memory == "cpu" and arena.make_shared(onnxruntime)
        self._resting: Any = None
        self.target = provider.target
        if provider.memory == "cpu" and platform.machine() in _ARM:
            self.target = "aarch64"
        self.precision = precision
        self.verified = provider.memory == "cpu"
        self.notes = []
        self.on_cpu: dict[str, list[str]] = {}
        """Nodes that another provider leaves to the CPU, by graph."""
        numbers = "" if precision == "float32" else f", {precision}"
        self.description = f"onnxruntime {onnxruntime.__version__} ({provider.name}{numbers})"
        place = f"{threads or os.cpu_count()} threads, {platform.machine()}"
        self._optimised: OptimisedGraphs | None = None
        if provider.memory == "cpu":
            self.setup = f"{self.description}, {place}"
            if keep and hasattr(onnxruntime.SessionOptions, _FROM_MEMORY):
                build = f"{onnxruntime.get_build_info()}; {processor_kind()}"
                self._optimised = OptimisedGraphs(cache_folder("onnxruntime"), f"{self.description}; {build}")
            return
        self.setup = f"{self.description}, {nvidia_device()}, {place}"
        if provider.plugin:
            self._plugin = plugin_devices(onnxruntime, provider)
        elif provider.name not in onnxruntime.get_available_providers():
            raise MissingPackageError(
                f"this onnxruntime has no {provider.name}",
                where=f"device={provider.device}",
                hint=f"pip uninstall onnxruntime, then {provider.install}",
                choices=onnxruntime.get_available_providers(),
            )
        elif hasattr(onnxruntime, "preload_dlls"):
            # Finds CUDA and cuDNN where pip installed them; since 1.21. It prints to stdout, the caller's.
            with contextlib.redirect_stdout(io.StringIO()):
                onnxruntime.preload_dlls()
        self._try()

    def memory(self) -> Memory | None:
        """Return the memory of this process for the CPU; None for another device, which reports none."""
        return process_memory() if self._provider.memory == "cpu" else None

    def rest(self) -> None:
        """Give back what is free in the arena; a graph of one node runs for that."""
        if not self._shared:
            return
        try:
            self._resting = self._resting or self._session(_PROBE, self._options())
            options = self._ort.RunOptions()
            options.add_run_config_entry(arena.GIVE_BACK, arena.WHERE)
            self._resting.run(None, {"x": np.zeros(2, np.float32)}, options)
        except Exception as error:  # noqa: BLE001 - its errors have no common base; memory that is kept harms nobody
            _log.warning("memory is not given back: %s", first_line(error))
            return
        if self._optimised is not None:
            self._optimised.release()
        return_freed_memory()

    def open(self, graph: str, file: GraphFile, rows: int = 1) -> Runner:  # noqa: ARG002 - any number
        """Open a session over ``file``, and warn of nodes that run on the CPU instead: see ``on_cpu``.

        The tensors are given by name, as they lie in the mapped bundle, so that ONNX Runtime opens no file.
        It copies them once, into the layout of its kernels; where that is kept, they are used where they are.
        """
        if self._optimised is not None:
            runner = self._open_optimised(graph, file, self._optimised)
            if runner is not None:
                return runner
        data, tensors = bytes(file.data), file.tensors()
        if self._provider.cache_options:  # an engine is built, whose parser wants the whole graph
            data, tensors = file.complete(), {}
        try:
            if self._provider.memory == "cpu":
                session = self._session(data, self._options(tensors, packed=_worth_packing(file)))
            elif assignment.can_report(self._ort.InferenceSession):
                options = self._options(tensors)
                options.add_session_config_entry(assignment.RECORD, "1")
                session = self._session(data, options)
                if assignment.all_on_cpu(session):
                    raise DeviceError(
                        f"{self._provider.name} takes no node of it, all would run on the CPU",
                        where=f"graph {graph!r}",
                        hint="use `device=cpu`, or another device of `gagrad-edge doctor`",
                    )
                self._warn_of_cpu_nodes(graph, assignment.on_cpu(session))
            else:
                session = self._strict_session(graph, data, tensors)
        except DeviceError:
            raise
        except Exception as error:
            raise engine_error(graph, error) from error
        return OnnxRuntimeRunner(graph, self._ort, session, self._provider.memory)

    def _open_optimised(self, graph: str, file: GraphFile, optimised: OptimisedGraphs) -> Runner | None:
        """Open a graph as it was optimised, here or by an earlier process; None where that cannot be kept.

        What is wrong with the graph itself is left to the usual way of opening it.
        """
        packed = _worth_packing(file)
        expected: list[dict[str, bytes]] = []
        proven: list[OnnxRuntimeRunner] = []

        def write(folder: Path) -> None:
            tensors = file.tensors()  # which must live until the session has them
            options = self._options(tensors, packed=packed)
            options.optimized_model_filepath = str(folder / GRAPH)
            options.add_session_config_entry(_WRITTEN_TENSORS, TENSORS)
            options.add_session_config_entry(_WRITTEN_SIZE, str(SMALLEST))
            session = self._session(bytes(file.data), options)
            # Closed again before the other is opened, so that this start takes no more memory than others.
            expected.append(
                self._answers(OnnxRuntimeRunner(graph, self._ort, session, self._provider.memory))
            )

        def same(kept: OptimisedGraph) -> bool:
            runner = self._opened(graph, kept, packed=packed)
            if not expected[0] or self._answers(runner) != expected[0]:
                return False
            proven.append(runner)
            return True

        try:
            kept = optimised.get(file, write, same)
            if kept is None:
                return None
            return proven.pop() if proven else self._opened(graph, kept, packed=packed)
        except BundleError:  # what its tensors are called and what they are differ
            raise
        except Exception as error:  # noqa: BLE001 - the usual way of opening it finds the same fault, and says so
            _log.debug("graph %r is opened in the usual way: %s", graph, first_line(error))
            return None

    def _opened(self, graph: str, kept: OptimisedGraph, *, packed: bool) -> OnnxRuntimeRunner:
        """Open a graph that needs no more optimisation, with its tensors where they are."""
        options = self._options(packed=packed)
        options.graph_optimization_level = self._ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        # The order in which the nodes were written, which is that of the first session. By default another
        # one is made of it, and activations leave the cache: gradients take 1 to 4 % longer.
        options.execution_order = self._ort.ExecutionOrder.PRIORITY_BASED
        files = kept.files
        if files:
            options.add_session_config_entry(_IN_PLACE, "1")
            sizes = [len(content) for content in files.values()]
            getattr(options, _FROM_MEMORY)(list(files), list(files.values()), sizes)
        session = self._session(kept.data, options)
        # Those of matrix products were copied for their kernels and are read no more; others come back.
        release(files.values())
        return OnnxRuntimeRunner(graph, self._ort, session, self._provider.memory, kept)

    def _answers(self, runner: OnnxRuntimeRunner) -> dict[str, bytes]:
        """Return what a graph makes of numbers between 0 and 1, by output.

        Nothing for a graph that takes no such numbers, or more than a minute for them.
        """
        runner.seconds = _PROOF
        try:
            found = runner.run({name: self.upload(_made_up(port)) for name, port in runner.inputs.items()})
        except OutOfMemoryError:
            raise
        except ModelError:
            return {}
        finally:
            runner.seconds = None
        return {name: self.download(tensor).tobytes() for name, tensor in found.items()}

    def _options(
        self, tensors: Mapping[str, NDArray[np.generic]] | None = None, *, packed: bool = True
    ) -> Any:
        """Return the options of a session whose graph refers to ``tensors`` by the names of initializers.

        Without ``packed`` its matrices are used as they are, and not copied into another form first.
        """
        options = self._ort.SessionOptions()
        if tensors:
            values = [self._ort.OrtValue.ortvalue_from_numpy(tensor) for tensor in tensors.values()]
            options.add_external_initializers(list(tensors), values)
        options.log_severity_level = _ERRORS_ONLY
        # A memory pattern is a second copy of all activations, planned in the first run and allocated in the
        # next while the arena keeps the first copy: twice the peak, and no faster (docs/performance.md).
        options.enable_mem_pattern = False
        # The sessions take turns: threads that keep spinning after a run, or after their session was opened,
        # would take cores from the next. The second option is newer; an older onnxruntime ignores it.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        options.add_session_config_entry("session.intra_op.spin_duration_us", _SPIN)
        if not packed:
            options.add_session_config_entry("session.disable_prepacking", "1")
        if self._shared:
            options.add_session_config_entry(arena.SHARED, "1")
        if self._threads is not None:
            options.intra_op_num_threads = self._threads
        if self._provider.memory != "cpu":
            # Bit for bit the same from run to run, where a GPU kernel offers the choice.
            options.use_deterministic_compute = True
        return options

    def _session(self, data: bytes, options: Any) -> Any:
        # Without enable_fallback=0 a provider that does not open is replaced by the CPU, on stdout.
        if self._plugin:
            options.add_provider_for_devices(self._plugin, provider_options(self._provider, data))
            return self._ort.InferenceSession(data, options, enable_fallback=0)
        backup = [PROVIDERS[self._provider.backup]] if self._provider.backup else []
        providers = [(one.name, provider_options(one, data)) for one in (self._provider, *backup)]
        return self._ort.InferenceSession(data, options, providers=providers, enable_fallback=0)

    def _strict_session(self, graph: str, data: bytes, tensors: Mapping[str, NDArray[np.generic]]) -> Any:
        """Open a session where onnxruntime cannot name nodes: first without the CPU, then with the CPU."""
        options = self._options(tensors)
        options.add_session_config_entry(assignment.STRICT, "1")
        try:
            return self._session(data, options)
        except Exception as error:
            if "CPU EP" not in str(error):
                raise
        self._warn_of_cpu_nodes(graph, ["nodes that this onnxruntime is too old to name"])
        return self._session(data, self._options(tensors))

    def _warn_of_cpu_nodes(self, graph: str, nodes: list[str]) -> None:
        if nodes:
            self.on_cpu[graph] = nodes
            text = f"graph {graph!r}: {self._provider.name} leaves to the CPU: {', '.join(nodes)}"
            self.notes.append(text)
            _log.warning("%s; each run waits for them", text)

    def _try(self) -> None:
        """Run a graph of one node. Raises DeviceError when libraries, driver or kernels are missing."""
        where = f"device={self._provider.device}"
        hint = (
            f"{self._provider.install}, and a driver for its CUDA; `gagrad-edge doctor` shows what is missing"
        )
        try:
            session = self._session(_PROBE, self._options())
            if self._provider_name() not in session.get_providers():
                raise DeviceError(
                    f"{self._provider.name} does not load: its libraries (CUDA, cuDNN, TensorRT) or the "
                    "driver are missing, or of another version",
                    where=where,
                    hint=hint,
                )
            x = self.upload(np.zeros(2, np.float32))
            runner = OnnxRuntimeRunner("probe", self._ort, session, self._provider.memory)
            y = self.download(runner.run({"x": x})["y"])
        except DeviceError:
            raise
        except Exception as error:
            raise DeviceError(
                f"{self._provider.name} does not run here ({first_line(error)})", where=where, hint=hint
            ) from error
        if (y != 1).any():
            raise DeviceError(f"{self._provider.name} computes wrong numbers here", where=where, hint=hint)

    def _provider_name(self) -> str:
        return str(self._plugin[0].ep_name) if self._plugin else self._provider.name

    def upload(self, array: Array) -> Tensor:
        """Copy ``array`` into an OrtValue."""
        # On a CPU the OrtValue is a view of the array it is given, so it gets one of its own.
        own = np.array(array, np.float32, order="C")
        try:
            value = self._ort.OrtValue.ortvalue_from_numpy(own, self._provider.memory, 0)
        except Exception as error:
            raise _copy_error(self._provider, "to", error) from error
        return Tensor(value, own.shape)

    def zeros(self, shape: tuple[int, ...]) -> Tensor:
        """Return an OrtValue of zeros."""
        return self.upload(np.zeros(shape, np.float32))

    def download(self, tensor: Tensor) -> Array:
        """Copy an OrtValue to the host."""
        try:
            return np.array(tensor.handle.numpy())
        except Exception as error:
            raise _copy_error(self._provider, "from", error) from error


def _made_up(port: Port) -> Array:
    """Return numbers from 0 to 1 for an input, two for each free axis; the same ones on each call."""
    shape = tuple(axis or 2 for axis in port.shape)
    return np.random.default_rng(0).random(shape, np.float32)


def _copy_error(provider: Provider, direction: str, error: Exception) -> DeviceError:
    """Return what failed in a copy to or from the provider's memory, in our tree."""
    where = f"device={provider.device}"
    if is_memory(error):
        return out_of_memory(where, error)
    return DeviceError(
        f"copying an array {direction} the device failed ({first_line(error)})",
        where=where,
        hint="use `device=cpu`; `gagrad-edge doctor` shows what is wrong with this one",
    )


def _worth_packing(file: GraphFile) -> bool:
    """Tell whether a graph's matrices shall be copied into the form that products of them like best.

    Transformers need 4 to 10 % more time without. In convolutional networks it makes no difference, as only
    the classifier at the end has a matrix, and each session has a copy: 20 to 32 MB (docs/performance.md).
    """
    return file.matrix_share >= _PACKED
