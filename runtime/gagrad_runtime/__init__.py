"""The device side: a bundle and a frame in, an explanation out. Needs no onnx, no torch, no network."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

# OpenCV reads it when it is loaded. Frames are measured before they are decoded (decoding.MAX_PIXELS); this
# is for a file whose header one parser reads otherwise than the other.
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", "100000000")

if TYPE_CHECKING:
    from pathlib import Path

    from gagrad_runtime.explanation.explanation import Explanation
    from gagrad_runtime.question.target import Target
    from gagrad_runtime.sampling.rcap import Rcap
    from gagrad_runtime.session.explainer import Explainer
    from gagrad_runtime.trust import Policy

__all__ = ["Explainer", "Explanation", "Policy", "Rcap", "Target", "load"]

_HOME = {
    "Explainer": "session.explainer",
    "Explanation": "explanation.explanation",
    "Rcap": "sampling.rcap",
    "Target": "question.target",
    "Policy": "trust",
}


def load(
    bundle: str | Path,
    *,
    device: str = "auto",
    threads: int | None = None,
    trust: Policy | str | Path | None = None,
    trial: bool | None = None,
) -> Explainer:
    """Check the bundle at ``bundle``, compile its graphs on ``device`` and return the explainer.

    ``device`` is ``auto`` or a name that ``gagrad-edge doctor`` lists; ``threads`` limits a CPU backend
    (default: one per physical core). An engine other than the one the bundle was verified with is first
    tried on the bundle's own frame; one that fails is replaced, with a warning and a note in each record.
    ``trust`` is a policy or its file that says whose bundles to load (docs/trust.md); by default the device's
    own, and without one any bundle that is intact. ``trial``: open the graphs in a child process first,
    within limits, as a malformed one can crash an engine; by default the first time that this device meets a
    bundle for which no policy vouches. Raises BundleError, TrustError when the policy refuses it,
    ModelError, DeviceError, SettingError or MissingPackageError.
    """
    from gagrad_runtime.session.opening import load as load_explainer  # noqa: PLC0415 - keeps `import` fast

    return load_explainer(bundle, device=device, threads=threads, trust=trust, trial=trial)


def __getattr__(name: str) -> object:
    """Import a public class when it is first asked for, so that ``import gagrad_runtime`` stays fast."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415

    return getattr(import_module(f"gagrad_runtime.{_HOME[name]}"), name)
