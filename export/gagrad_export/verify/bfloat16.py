"""Check of bfloat16: OpenVINO runs the graphs that ship in it and in float32, and the maps are compared.

bfloat16 has 8 significant bits. Where a network turns on small differences its gradient is another one in
it, and no rule about the network tells: so it is measured, on images of different content and brightness. The
map's rank order must be the same, and so must the first place of the operator's map, which is what a person
walks up to. A processor without bfloat16 cannot measure it.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from gagrad_edge import abi
from gagrad_edge.errors import MissingPackageError, SettingError, VerificationError
from gagrad_edge.manifest import GraphKey, PrecisionCheck
from gagrad_edge.method.class_activation import CAMS
from gagrad_edge.method.noise import noise_chunks
from gagrad_edge.method.product import NEAR, product, side
from gagrad_edge.method.reference import State
from gagrad_edge.openvino_package import openvino_package
from gagrad_export.verify.agreement import agreement
from gagrad_export.verify.sessions import accumulate_inputs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from gagrad_edge.bundle.graph_file import GraphFile
    from gagrad_edge.manifest import GraphRole, MethodSpec
    from gagrad_export.verify.gradient import Point

    Array = NDArray[np.float32]

CORRELATION = 0.98
"""Least rank correlation of the maps, as for float16: maps from another draw of the noise have less."""
_EVIDENCE = (CAMS.index("grad-cam"), CAMS.index("layer-cam"))


def verify_bfloat16(graphs: Mapping[GraphKey, GraphFile], point: Point, method: MethodSpec) -> PrecisionCheck:
    """Return the worst agreement of bfloat16 with float32 in OpenVINO over a few images.

    Raises VerificationError where they do not agree well enough, SettingError on a processor without
    bfloat16, and MissingPackageError without OpenVINO.
    """
    core = _core()
    plain, rounded = (_Engine(core, graphs, hint) for hint in ("f32", "bf16"))
    checks, moved = [], []
    for image in _images(point.image):
        at = replace(point, image=image)
        expected, found = plain.answers(at, method), rounded.answers(at, method)
        if not np.isfinite(found.state.abs_sum).all():
            raise _refusal("values of the model or its gradient are not finite in it")
        checks.append(
            agreement((found.scores, found.state), (expected.scores, expected.state), method.percentile)
        )
        moved.append(math.dist(found.peak, expected.peak) / side(image.shape[2:]))
    check = PrecisionCheck(
        precision="bfloat16",
        gradient_cosine=min(one["gradient_cosine"] for one in checks),
        map_correlation=min(one["map_correlation"] for one in checks),
        scores_error=max(one["scores_error"] for one in checks),
        place_moved=round(max(moved), 4),
    )
    if not (check.map_correlation >= CORRELATION and max(moved) <= NEAR):
        raise _refusal(
            f"against float32 the rank correlation of the maps is {check.map_correlation:.4f} (at least "
            f"{CORRELATION}), and the first place moves by {max(moved):.1%} of the side (at most {NEAR:.0%})"
        )
    return check


class _Answers:
    """Scores, statistics and first place of one image."""

    def __init__(self, scores: Array, state: State, activations: Sequence[Array]) -> None:
        self.scores, self.state = scores, state
        squared = (state.m2 / np.float32(state.count) + state.mean**2).sum(0)
        height, width = squared.shape
        larger = [np.asarray(cv2.resize(one, (width, height)), np.float32) for one in activations]
        values = product(squared, larger, (slice(0, height), slice(0, width)))
        self.peak = divmod(int(values.argmax()), width)


class _Engine:
    """OpenVINO on the processor with one precision hint."""

    def __init__(self, core: Any, graphs: Mapping[GraphKey, GraphFile], hint: str) -> None:
        keys: dict[GraphRole, GraphKey] = {
            "predict": GraphKey("predict"),
            "accumulate": GraphKey("accumulate", target="openvino"),
            "cam": GraphKey("cam"),
        }
        options = {"INFERENCE_PRECISION_HINT": hint, "PERFORMANCE_HINT": "LATENCY"}
        self._compiled = {
            role: core.compile_model(core.read_model(graphs[key].complete()), "CPU", options)
            for role, key in keys.items()
            if key in graphs
        }

    def answers(self, point: Point, method: MethodSpec) -> _Answers:
        """Return what the graphs give for the image and the cotangent of ``point``."""
        shape = point.image.shape[1:]
        scores = self._run("predict", {abi.IMAGE: point.image})[abi.SCORES]
        state = State.empty(shape)
        for noise in noise_chunks(0, method.samples, method.chunk, shape):
            inputs = accumulate_inputs(point.image, noise, method.noise_std, point.cotangent, state)
            found = self._run("accumulate", inputs)
            count, *maps = (found[abi.STATE_OUT[name]] for name in abi.STATE)
            state = State(int(count), *maps)
        if "cam" not in self._compiled:
            return _Answers(scores, state, [])
        cams = self._run("cam", {abi.IMAGE: point.image, abi.COTANGENT: point.cotangent})[abi.CAMS]
        activations = [cams[index, 0] for index in _EVIDENCE]
        return _Answers(scores, state, [one for one in activations if one.max() > 0])

    def _run(self, role: GraphRole, inputs: Mapping[str, Array]) -> dict[str, Array]:
        results = self._compiled[role](dict(inputs))
        return {name: np.array(value) for port, value in results.items() for name in port.get_names()}


def _images(image: Array) -> list[Array]:
    """Return images ``[1, C, H, W]`` in 0..1: the reference frame, mirrored and inverted, and dark."""
    return [image, np.ascontiguousarray(1 - image[..., ::-1]), image * np.float32(0.3)]


def _core() -> Any:
    try:
        core = openvino_package().Core()
    except MissingPackageError as error:
        raise MissingPackageError(error.what, where="precisions", hint=error.hint) from error
    if "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise SettingError(
            "this processor does not compute in bfloat16, so it cannot be measured here",
            where="precisions",
            hint="export on a processor with AVX-512 BF16 or AMX, or leave `precisions` out",
        )
    return core


def _refusal(what: str) -> VerificationError:
    return VerificationError(
        f"bfloat16 does not serve this model: {what}, so nothing was written",
        where="precisions",
        hint="leave `precisions` out: float32 runs on every device",
    )
