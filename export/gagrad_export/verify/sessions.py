"""Run the shipped graphs in ONNX Runtime: the exporter's own small loop, apart from the runtime's."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from gagrad_edge.errors import MissingPackageError, ModelError
from gagrad_edge.method.reference import State

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from gagrad_edge.manifest import GraphRole, GraphTarget

    Array = NDArray[np.float32]


@dataclass(frozen=True)
class Graphs:
    """The ONNX bytes of a bundle's graphs."""

    predict: bytes
    accumulate: bytes
    finalize: bytes
    recover: bytes
    accumulate_for: Mapping[GraphTarget, bytes] = field(default_factory=dict)
    """``accumulate`` in the forms of other targets than ``portable``."""
    others: Mapping[tuple[GraphRole, str], bytes] = field(default_factory=dict)
    """All other graphs, by role and variant."""
    half: Mapping[GraphRole, bytes] = field(default_factory=dict)
    """``predict`` and ``accumulate`` in float16, if the bundle is to have them."""


@dataclass
class Sessions:
    """Sessions over the graphs, opened when first used: at most one large model is held twice."""

    graphs: Graphs
    _open: dict[str, Any] = field(default_factory=dict)

    def predict(self, image: Array) -> Array:
        """``image [N, C, H, W]`` → ``scores [N, K…]``."""
        return self._run("predict", {"image": image})[0]

    def accumulate(
        self, image: Array, noise: Array, noise_std: float, cotangent: Array, state: State | None = None
    ) -> tuple[State, Array]:
        """Run one chunk from ``state`` (empty by default); return the new state and ``scores [B, K…]``."""
        state = state or State.empty(image.shape[1:])
        outputs = self._run(
            "accumulate",
            {
                "image": image,
                "noise": noise,
                "noise_std": np.array(noise_std, np.float32),
                "cotangent": cotangent,
                "count": np.array(state.count, np.float32),
                "abs_sum": state.abs_sum,
                "mean": state.mean,
                "m2": state.m2,
            },
        )
        return State(int(outputs[0]), outputs[1], outputs[2], outputs[3]), outputs[4]

    def finalize(self, state: State, percentile: float) -> tuple[Array, Array]:
        """Return the saliency map ``[H, W]`` and its range ``[2]`` before it was scaled."""
        inputs = {"count": np.array(state.count, np.float32), "percentile": np.array(percentile, np.float32)}
        inputs |= {"abs_sum": state.abs_sum, "mean": state.mean, "m2": state.m2}
        saliency, scale = self._run("finalize", inputs)
        return saliency, scale

    def recover(self, image: Array, saliency: Array) -> tuple[Array, Array]:
        """Return ``recovered [P, C, H, W]`` and ``ratio [P]``."""
        recovered, ratio = self._run("recover", {"image": image, "saliency": saliency})
        return recovered, ratio

    def close(self, role: str) -> None:
        """Free the session of one graph."""
        self._open.pop(role, None)

    def _run(self, role: str, inputs: dict[str, Array]) -> list[Array]:
        if role not in self._open:
            self._open[role] = open_session(getattr(self.graphs, role), role)
        outputs: list[Array] = self._open[role].run(None, inputs)
        return outputs


def open_session(data: bytes, what: str, *, as_written: bool = False) -> Any:
    """Open ONNX bytes in ONNX Runtime on the CPU; ``as_written`` without merging operators.

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
