"""Does this machine give the map that the exporter gave? The bundle's own frame, explained again."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gagrad_edge.errors import BundleError
from gagrad_runtime.decoding import decode
from gagrad_runtime.frame import Frame
from gagrad_runtime.stability import rank_correlation

if TYPE_CHECKING:
    from gagrad_edge.bundle import Bundle
    from gagrad_runtime.explainer import Explainer


@dataclass(frozen=True)
class SelfTestResult:
    """How well the map made here agrees with the bundle's."""

    agreement: float
    """Share of pixels within the tolerance."""
    required: float
    worst: float
    """Largest difference of a pixel; single pixels may flip at the guide's threshold."""
    correlation: float
    """Spearman's rank correlation of the maps."""
    score_error: float
    """Of the target's score, relative to the bundle's, or absolute where that is below 1."""
    magnitude_error: float
    """Of what 1 of the map was before it was scaled, relative."""
    backend: str

    @property
    def passed(self) -> bool:
        """Whether enough pixels agree."""
        return self.agreement >= self.required


def reference_frame(bundle: Bundle) -> Frame:
    """Return the bundle's own frame. Raises BundleError."""
    member = bundle.manifest.selftest.frame
    where = f"{bundle.path}:{member}"
    pixels, _ = decode(bytes(bundle.members[member]), where=where)
    return Frame(pixels, where)


def run_selftest(bundle: Bundle, explainer: Explainer) -> SelfTestResult:
    """Explain the bundle's reference frame and compare with its map. Raises BundleError and ModelError."""
    test = bundle.manifest.selftest
    where = f"{bundle.path}:{test.saliency}"
    try:
        expected = np.load(io.BytesIO(bytes(bundle.members[test.saliency])), allow_pickle=False)
    except ValueError as error:
        raise BundleError(f"the expected map is not readable ({error})", where=where) from error
    # With the bundle's chunk: its map was made with it.
    explanation = explainer.explain(
        reference_frame(bundle),
        tuple(test.target),
        samples=test.samples,
        seed=test.seed,
        chunk=bundle.manifest.method.chunk,
    )
    found = explanation.saliency
    if expected.shape != found.shape:
        raise BundleError(f"the expected map has shape {expected.shape}, not {found.shape}", where=where)
    difference = np.abs(found - expected)
    correlation = rank_correlation(found.ravel(), expected.ravel())
    if correlation is None:  # of a flat map, which has no order
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
