"""What made an explanation, gathered from the bundle, the engine and the question."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gagrad_runtime.explanation.explanation import Provenance

if TYPE_CHECKING:
    from gagrad_edge.manifest import Manifest
    from gagrad_runtime.backend import Backend
    from gagrad_runtime.question.settings import Settings
    from gagrad_runtime.session.query import Answer


def provenance(
    manifest: Manifest, sha256: str, backend: Backend, settings: Settings, answer: Answer
) -> Provenance:
    """Return the provenance of ``answer``; ``sha256`` is the bundle's."""
    twin = manifest.verification.float_twin
    return Provenance(
        bundle=manifest.name,
        bundle_sha256=sha256,
        backend=backend.description,
        backend_notes=tuple(backend.notes),
        samples=answer.samples,
        seed=settings.seed,
        percentile=settings.percentile,
        noise_std=settings.noise_std,
        chunk=answer.chunk,
        straight_through=manifest.model.straight_through,
        float_twin=None if twin is None else twin.map_correlation,
        method=settings.method.name,
        guide=settings.guide,
        stopped=answer.stopped,
        perturbation=settings.perturb,
    )
