"""ONNX Runtime sessions over the graphs that ship and over the source; the exporter imports no runtime."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from gagrad_edge import abi
from gagrad_edge.bundle.graph_file import GraphFile
from gagrad_edge.errors import MissingPackageError, ModelError, OutOfMemoryError
from gagrad_edge.manifest import GraphKey
from gagrad_edge.method.reference import State

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import onnx
    from numpy.typing import NDArray

    from gagrad_edge.manifest import GraphRole

    Array = NDArray[np.float32]


@dataclass
class Sessions:
    """ONNX Runtime sessions over the plain graphs of each role, opened when first used.

    So at most one large model is held twice.
    """

    graphs: Mapping[GraphKey, GraphFile]
    _open: dict[GraphRole, Session] = field(default_factory=dict)

    def predict(self, image: Array) -> Array:
        """Return the scores ``[N, K…]`` of ``image [N, C, H, W]``."""
        return self._run("predict", {abi.IMAGE: image})[0]

    def accumulate(
        self, image: Array, noise: Array, noise_std: float, cotangent: Array, state: State | None = None
    ) -> tuple[State, Array]:
        """Run one chunk from ``state`` (empty by default); return the new state and scores ``[B, K…]``."""
        inputs = accumulate_inputs(image, noise, noise_std, cotangent, state)
        outputs = self._run("accumulate", inputs)
        return State(int(outputs[0]), outputs[1], outputs[2], outputs[3]), outputs[4]

    def finalize(self, state: State, percentile: float) -> tuple[Array, Array]:
        """Return the saliency map ``[H, W]`` and its range ``[2]`` before it was scaled."""
        inputs = {**state_inputs(state), abi.PERCENTILE: np.array(percentile, np.float32)}
        saliency, scale = self._run("finalize", inputs)
        return saliency, scale

    def recover(self, image: Array, saliency: Array) -> tuple[Array, Array]:
        """Return the recovered images ``[P, C, H, W]`` and the ratios ``[P]``."""
        recovered, ratio = self._run("recover", {abi.IMAGE: image, abi.SALIENCY: saliency})
        return recovered, ratio

    def close(self, role: GraphRole) -> None:
        """Free the session of one graph."""
        self._open.pop(role, None)

    def _run(self, role: GraphRole, inputs: dict[str, Array]) -> list[Array]:
        if role not in self._open:
            self._open[role] = open_session(self.graphs[GraphKey(role)], role)
        return self._open[role].run(list(abi.ABI[role].outputs), inputs)


def accumulate_inputs(
    image: Array, noise: Array, noise_std: float, cotangent: Array, state: State | None = None
) -> dict[str, Array]:
    """Return the inputs of ``accumulate`` by name, without the perturbation; ``state`` None is empty."""
    return {
        abi.IMAGE: image,
        abi.NOISE: noise,
        abi.NOISE_STD: np.array(noise_std, np.float32),
        abi.COTANGENT: cotangent,
        **state_inputs(state or State.empty(image.shape[1:])),
    }


def state_inputs(state: State) -> dict[str, Array]:
    """Return the arrays of ``state`` by the names that graphs have for them."""
    arrays = np.array(state.count, np.float32), state.abs_sum, state.mean, state.m2
    return dict(zip(abi.STATE, arrays, strict=True))


SOURCE = "the source model"
"""What the model as the user gave it is called in errors."""
_EXPORT_AGAIN = (
    "run the model in ONNX Runtime by itself, with an image of the given size; if it fails there, too, "
    "export it again, for that size"
)
_REPORT = (
    "try another version of onnxruntime; if it fails there, too, please report the model's operators, as "
    "`gagrad-edge export` lists them, with this message"
)


class Session:
    """An ONNX Runtime session; what fails in a run is a ModelError with the engine's own words."""

    def __init__(self, session: Any, what: str) -> None:
        self._session, self._what = session, what

    @property
    def outputs(self) -> list[str]:
        """Names of the outputs."""
        return [output.name for output in self._session.get_outputs()]

    def run(self, outputs: Sequence[str] | None, inputs: Mapping[str, NDArray[Any]]) -> list[Any]:
        """Return the named outputs, or all for None. Raises ModelError and OutOfMemoryError."""
        try:
            found: list[Any] = self._session.run(outputs, dict(inputs))
        except Exception as error:  # ONNX Runtime's exceptions have no common base
            raise _engine_error(error, self._what, "failed while running it") from error
        return found


class SourceSession:
    """The source in ONNX Runtime; a model that its optimiser breaks is run without the optimiser.

    ONNX Runtime's optimiser breaks some valid models: it drops a node that another still reads, or infers a
    shape that contradicts a branch. With ``as_written`` the optimiser is left out from the start.
    """

    def __init__(self, model: onnx.ModelProto, *, as_written: bool = False) -> None:
        self._file, self._as_written = GraphFile(model.SerializeToString()), as_written
        self._session: Session | None = None

    def run(self, outputs: Sequence[str] | None, inputs: Mapping[str, NDArray[Any]]) -> list[Any]:
        """Return the named outputs, or all for None. Raises ModelError and OutOfMemoryError."""
        try:
            return self._opened().run(outputs, inputs)
        except ModelError as error:
            if self._as_written:
                raise
            optimised, self._session, self._as_written = error, None, True
        try:
            return self._opened().run(outputs, inputs)
        except ModelError:
            raise optimised from optimised.__cause__  # what the user meets in ONNX Runtime, too

    def _opened(self) -> Session:
        if self._session is None:
            self._session = open_session(self._file, SOURCE, as_written=self._as_written)
        return self._session


def open_session(file: GraphFile, what: str, *, as_written: bool = False) -> Session:
    """Return an ONNX Runtime session on the CPU over ``file``; with ``as_written`` without optimisations.

    ``what`` names the model in errors: SOURCE, or the graph's role. Raises MissingPackageError, ModelError
    and OutOfMemoryError.
    """
    try:
        import onnxruntime  # noqa: PLC0415 - named below when it is missing
    except ImportError as error:
        raise MissingPackageError(
            "onnxruntime is not installed, and the exporter verifies each graph with it",
            hint='pip install "gagrad-edge[cpu,export]"',
        ) from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.enable_mem_pattern = False  # as the runtime does: half the peak
    if as_written:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    tensors = file.tensors()
    if tensors:
        values = [onnxruntime.OrtValue.ortvalue_from_numpy(tensor) for tensor in tensors.values()]
        options.add_external_initializers(list(tensors), values)
    try:
        session = onnxruntime.InferenceSession(bytes(file.data), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's exceptions have no common base
        raise _engine_error(error, what, "cannot run it") from error
    return Session(session, what)


def _engine_error(error: Exception, what: str, failed: str) -> ModelError | OutOfMemoryError:
    """Return the engine's exception as one of ours; ``failed`` is what ONNX Runtime did."""
    said = (str(error).splitlines() or [type(error).__name__])[0]
    where = what if what == SOURCE else f"graph {what!r}"
    # "Failed to allocate memory for requested buffer", "std::bad_alloc", "bad allocation".
    if "alloc" in said.lower() or isinstance(error, MemoryError):
        return OutOfMemoryError(
            f"out of memory ({said})",
            where=where,
            hint="close other programs, or export for smaller images with `size`",
        )
    hint = _EXPORT_AGAIN if what == SOURCE else _REPORT
    return ModelError(f"ONNX Runtime {failed} ({said})", where=where, hint=hint)
