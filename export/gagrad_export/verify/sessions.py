"""ONNX Runtime sessions over the graphs that ship; the exporter does not import the runtime."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from gagrad_edge import abi
from gagrad_edge.errors import MissingPackageError, ModelError
from gagrad_edge.manifest import GraphKey
from gagrad_edge.method.reference import State

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from gagrad_edge.manifest import GraphRole

    Array = NDArray[np.float32]


@dataclass
class Sessions:
    """ONNX Runtime sessions over the plain graphs of each role, opened when first used.

    So at most one large model is held twice.
    """

    graphs: Mapping[GraphKey, bytes]
    _open: dict[GraphRole, Any] = field(default_factory=dict)

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
        outputs: list[Array] = self._open[role].run(list(abi.ABI[role].outputs), inputs)
        return outputs


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


def open_session(data: bytes, what: str, *, as_written: bool = False) -> Any:
    """Return an ONNX Runtime session on the CPU over ONNX bytes; with ``as_written`` without optimisations.

    Raises MissingPackageError and ModelError.
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
    try:
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        # ONNX Runtime's exceptions have no common base below RuntimeError and Exception.
        raise ModelError(
            f"ONNX Runtime cannot run it ({str(error).splitlines()[0]})",
            where=what,
            hint="check the model with `python -m onnxruntime.tools.check_onnx_model_mobile_usability` or "
            "export it again",
        ) from error
