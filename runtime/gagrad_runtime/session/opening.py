"""From a file and a device's name to an explainer that has shown on this device that it computes rightly."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from gagrad_edge.errors import BundleError, DeviceError, ModelError
from gagrad_runtime.backend import open_backend
from gagrad_runtime.session.canary import examine
from gagrad_runtime.session.explainer import Explainer
from gagrad_runtime.session.trial import try_opening
from gagrad_runtime.trust import admit

if TYPE_CHECKING:
    from pathlib import Path

    from gagrad_edge.bundle.bundle import Bundle
    from gagrad_runtime.backend import Backend
    from gagrad_runtime.trust import Admission, Policy

LAST = "cpu"
"""The device that is left when another fails: the engine that the exporter verified with."""
_log = logging.getLogger(__name__)


def load(
    bundle: str | Path,
    *,
    device: str = "auto",
    threads: int | None = None,
    trust: Policy | str | Path | None = None,
    trial: bool | None = None,
) -> Explainer:
    """Return the explainer of a bundle; see ``gagrad_runtime.load``."""
    admission = admit(bundle, trust)
    trial = not admission.vouched if trial is None else trial
    explainer = open_explainer(admission.bundle, device, threads=threads, trial=trial)
    try:
        admission.settle()
    except BaseException:
        explainer.close()
        raise
    return explainer


def open_plainly(admission: Admission, device: str = "auto", *, threads: int | None = None) -> Explainer:
    """Return an explainer on just this ``device``, without the canary: to examine or to measure it."""
    backend = open_backend(device, threads=threads)
    if not admission.vouched:
        try_opening(admission.bundle, backend, device)
    return Explainer(admission.bundle, backend)


def open_explainer(
    bundle: Bundle, device: str = "auto", *, threads: int | None = None, trial: bool = False
) -> Explainer:
    """Return an explainer whose engine passed the canary, on ``device`` or else on the CPU.

    A device that is not there is an error, and so is a graph that it does not compile, unless ``device`` is
    ``auto``. One that computes wrong numbers is tried again with batches of one and then replaced, loudly.
    With ``trial`` an engine first opens the graphs in a child process (``first_opening``).
    """
    backend = open_backend(device, threads=threads)
    if backend.verified:
        if trial:
            try_opening(bundle, backend, device)
        return Explainer(bundle, backend)
    try:
        if trial:
            try_opening(bundle, backend, device)
        explainer, problem = examined(bundle, backend)
    except (ModelError, DeviceError, BundleError) as error:
        if device != "auto":
            raise
        explainer, problem = None, error.what
    if explainer is not None:
        return explainer
    last = open_backend(LAST, threads=threads)
    if trial:
        try_opening(bundle, last, LAST)
    _note(last, f"{backend.description} was not used: {problem}")
    return Explainer(bundle, last)


def examined(bundle: Bundle, backend: Backend) -> tuple[Explainer | None, str]:
    """Return an explainer on ``backend`` if it passes the canary, if need be with batches of one.

    Else None, and what was wrong. Raises ModelError and DeviceError.
    """
    explainer = Explainer(bundle, backend)
    failed = [str(finding) for finding in examine(bundle, explainer) if not finding.passed]
    if failed:
        _note(backend, f"batches of one only, as {'; '.join(failed)}")
        explainer.one_row_at_a_time()
        failed = [str(finding) for finding in examine(bundle, explainer) if not finding.passed]
    if failed:
        explainer.close()
        return None, "; ".join(failed)
    return explainer, ""


def _note(backend: Backend, text: str) -> None:
    """Say it now, and in each record from here on."""
    backend.notes.append(text)
    _log.warning("%s: %s", backend.description, text)
