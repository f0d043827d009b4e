"""The self-test: the bundle's own frame is explained again and its map compared with the bundle's map."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from gagrad_edge.errors import BundleError, FrameError
from gagrad_edge.statistics import rank_correlation
from gagrad_runtime.frame import frame_for

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gagrad_edge.bundle.bundle import Bundle
    from gagrad_runtime.frame import Frame
    from gagrad_runtime.session.explainer import Explainer

_NPY = re.compile(
    rb"\x93NUMPY\x01\x00..\{'descr': '<f4', 'fortran_order': False, "
    rb"'shape': \((\d{1,5}), (\d{1,5})\), \} *\n",
    re.DOTALL,
)
"""Header of a ``.npy`` file with a float32 map [H, W], as every version of numpy writes it."""


@dataclass(frozen=True)
class SelfTestResult:
    """Agreement of the map made on this machine with the bundle's map."""

    agreement: float
    """Share of pixels within the tolerance."""
    required: float
    """Share of pixels that must be within the tolerance."""
    worst: float
    """Largest difference of a pixel, 0..1; single pixels may flip at the guide's threshold."""
    correlation: float
    """Spearman's rank correlation of the maps."""
    score_error: float
    """Difference of the target's score, relative to the bundle's score, absolute where that is below 1."""
    magnitude_error: float
    """Relative difference of the map's largest value before it was scaled."""
    backend: str
    """Engine, version and device."""

    @property
    def passed(self) -> bool:
        """Whether enough pixels agree."""
        return self.agreement >= self.required


def reference_frame(bundle: Bundle) -> Frame:
    """Return the bundle's own frame. Raises BundleError."""
    member = bundle.manifest.selftest.frame
    where = f"{bundle.path}:{member}"
    try:
        frame = frame_for(bundle.manifest.input, bytes(bundle.members[member]))
        return replace(frame, source=where, fitted=True)
    except FrameError as error:
        raise BundleError(f"its test frame cannot be used ({error.what})", where=where) from error


def expected_map(bundle: Bundle) -> NDArray[np.float32]:
    """Return the map that the exporter made of the bundle's frame, float32 [H, W]. Raises BundleError."""
    member, shape = bundle.manifest.selftest.saliency, bundle.manifest.input.shape[1:]
    where = f"{bundle.path}:{member}"
    data = bytes(bundle.members[member])
    # numpy's reader allocates memory for any shape that a header states, and raises many kinds of errors.
    match = _NPY.match(data)
    found = match and (int(match[1]), int(match[2]))
    if match is None or found != shape or len(data) != match.end() + 4 * math.prod(shape):
        size = f"{shape[0]} high and {shape[1]} wide"
        what = f"the expected map is not readable (no float32 map, {size}, in .npy, version 1.0)"
        raise BundleError(what, where=where)
    return np.frombuffer(data, "<f4", offset=match.end()).reshape(shape)


def run_selftest(bundle: Bundle, explainer: Explainer) -> SelfTestResult:
    """Explain the bundle's reference frame and compare with its map. Raises BundleError and ModelError."""
    test = bundle.manifest.selftest
    expected = expected_map(bundle)
    # With the bundle's chunk, because the expected map was made with this chunk.
    explanation = explainer.explain(
        reference_frame(bundle),
        tuple(test.target),
        preset="paper",
        samples=test.samples,
        seed=test.seed,
        chunk=bundle.manifest.method.chunk,
    )
    found = explanation.saliency
    difference = np.abs(found - expected)
    correlation = rank_correlation(found.ravel(), expected.ravel())
    if correlation is None:  # a constant map has no order
        correlation = float(np.ptp(found) == np.ptp(expected))
    score = float(explanation.scores[explanation.target.index])
    return SelfTestResult(
        agreement=float((difference <= test.tolerance).mean()),
        required=test.agreement,
        worst=float(difference.max()),
        correlation=float(correlation),
        score_error=abs(score - test.score) / max(abs(test.score), 1),
        magnitude_error=abs(explanation.raw[1] - test.magnitude) / (test.magnitude or 1),
        backend=explainer.backend.description,
    )
