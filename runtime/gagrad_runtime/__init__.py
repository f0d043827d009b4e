"""The device side: a bundle and a frame in, an explanation out. Needs no onnx, no torch, no network."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from gagrad_edge import errors
from gagrad_runtime.explanation import presentation

# OpenCV reads this variable when it is imported. Frames are measured before they are decoded
# (decoding.MAX_PIXELS); this is for a file whose header Pillow and OpenCV read differently.
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", "100000000")

if TYPE_CHECKING:
    from pathlib import Path

    from gagrad_runtime.answer.prediction import Detection, Prediction
    from gagrad_runtime.explanation.cautions import Caution
    from gagrad_runtime.explanation.explanation import Explanation, Provenance
    from gagrad_runtime.explanation.scale import GoodScale
    from gagrad_runtime.frame.frame import Frame, load_frame
    from gagrad_runtime.question.methods import METHODS
    from gagrad_runtime.question.target import Target
    from gagrad_runtime.reference.reference import Reference
    from gagrad_runtime.report.report import Report
    from gagrad_runtime.report.roi import Roi, read_roi
    from gagrad_runtime.sampling.rcap import Rcap
    from gagrad_runtime.session.explainer import Explainer
    from gagrad_runtime.trust import Policy

__all__ = [
    "METHODS",
    "Caution",
    "Detection",
    "Explainer",
    "Explanation",
    "Frame",
    "GoodScale",
    "Policy",
    "Prediction",
    "Provenance",
    "Rcap",
    "Reference",
    "Report",
    "Roi",
    "Target",
    "errors",
    "load",
    "load_frame",
    "read_roi",
]

_HOME = {
    "METHODS": "gagrad_runtime.question.methods",
    "Caution": "gagrad_runtime.explanation.cautions",
    "Explainer": "gagrad_runtime.session.explainer",
    "Explanation": "gagrad_runtime.explanation.explanation",
    "Frame": "gagrad_runtime.frame.frame",
    "GoodScale": "gagrad_runtime.explanation.scale",
    "Policy": "gagrad_runtime.trust",
    "Detection": "gagrad_runtime.answer.prediction",
    "Prediction": "gagrad_runtime.answer.prediction",
    "Provenance": "gagrad_runtime.explanation.explanation",
    "Rcap": "gagrad_runtime.sampling.rcap",
    "Reference": "gagrad_runtime.reference.reference",
    "Report": "gagrad_runtime.report.report",
    "Roi": "gagrad_runtime.report.roi",
    "Target": "gagrad_runtime.question.target",
    "load_frame": "gagrad_runtime.frame.frame",
    "read_roi": "gagrad_runtime.report.roi",
}
"""The module of each public name."""


def load(
    bundle: str | Path,
    *,
    device: str = "auto",
    threads: int | None = None,
    trust: Policy | str | Path | None = None,
    trial: bool | None = None,
    good: str | Path | bool | None = None,
) -> Explainer:
    """Check the bundle at ``bundle``, compile its graphs on ``device`` and return the explainer.

    ``device`` is ``auto`` or a name that ``gagrad-edge doctor`` lists; ``threads`` limits a CPU backend
    (default: one per physical core). An engine other than the one the bundle was verified with is first
    tried on the bundle's own frame; one that fails is replaced, with a warning and a note in each record.
    ``trust`` is a policy or its file that says whose bundles to load (docs/trust.md); by default the device's
    own, and without one any bundle that is intact. ``trial``: open the graphs in a child process first,
    within limits, as a malformed one can crash an engine; by default the first time that this device meets a
    bundle that no policy trusts. ``good`` is the file of good parts that ``calibrate`` wrote, with
    which maps, colours and cautions compare: by default the one beside the bundle (``part.good``), if there;
    False for none. Raises BundleError, TrustError when the policy refuses it,
    ModelError, DeviceError, SettingError or MissingPackageError.
    """
    from gagrad_runtime.session.opening import load as load_explainer  # noqa: PLC0415 - keeps `import` fast

    return load_explainer(bundle, device=device, threads=threads, trust=trust, trial=trial, good=good)


def _report(explanation: Explanation) -> Report:
    """Return the report of ``explanation`` without a region and without a scale of good parts."""
    from gagrad_runtime.report.report import Report  # noqa: PLC0415 - pictures need OpenCV and Pillow

    return Report(explanation)


presentation.register(_report)


def __getattr__(name: str) -> object:
    """Import a public name when it is first asked for, so that ``import gagrad_runtime`` stays fast."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415

    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    """Return the public names, also those that are not imported yet: editors complete them."""
    return sorted(__all__)
