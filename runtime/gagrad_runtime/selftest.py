"""Does this machine give the map that the exporter gave? The bundle's own frame, explained again."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gagrad_edge.errors import BundleError
from gagrad_runtime.decoding import decode

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
    backend: str

    @property
    def passed(self) -> bool:
        """Whether enough pixels agree."""
        return self.agreement >= self.required


def run_selftest(bundle: Bundle, explainer: Explainer) -> SelfTestResult:
    """Explain the bundle's reference frame and compare with its map. Raises BundleError and ModelError."""
    test = bundle.manifest.selftest
    where = f"{bundle.path}:{test.saliency}"
    frame, _ = decode(bytes(bundle.members[test.frame]), where=f"{bundle.path}:{test.frame}")
    try:
        expected = np.load(io.BytesIO(bytes(bundle.members[test.saliency])), allow_pickle=False)
    except ValueError as error:
        raise BundleError(f"the expected map is not readable ({error})", where=where) from error
    # With the bundle's chunk: its map was made with it.
    found = explainer.explain(
        frame,
        tuple(test.target),
        samples=test.samples,
        seed=test.seed,
        chunk=bundle.manifest.method.chunk,
    ).saliency
    if expected.shape != found.shape:
        raise BundleError(f"the expected map has shape {expected.shape}, not {found.shape}", where=where)
    difference = np.abs(found - expected)
    return SelfTestResult(
        agreement=float((difference <= test.tolerance).mean()),
        required=test.agreement,
        worst=float(difference.max()),
        backend=explainer.backend.description,
    )
