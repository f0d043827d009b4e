"""The one way to open a bundle on a device.

In this order: the trust policy decides about the bundle, a child process opens its graphs for the first time,
the canary proves that the device computes what the exporter computed, and the device remembers the bundle's
version.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from gagrad_edge.errors import BundleError, DeviceError, ModelError, VerificationError
from gagrad_runtime.backend import open_backend
from gagrad_runtime.backend.graphs import Graphs
from gagrad_runtime.session.answers import examine_first
from gagrad_runtime.session.canary import examine
from gagrad_runtime.session.explainer import Explainer
from gagrad_runtime.session.good import good_parts
from gagrad_runtime.session.proof import Proof
from gagrad_runtime.session.trial import try_opening
from gagrad_runtime.trust import admit

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from gagrad_edge.bundle.bundle import Bundle
    from gagrad_runtime.backend import Backend
    from gagrad_runtime.backend.base import BuildProgress
    from gagrad_runtime.trust import Policy, TrustDecision

LAST = "cpu"
"""The device that replaces one that fails: the engine that the exporter verified the graphs with."""
Prove = Literal["auto", "always", "never"]
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Session:
    """A bundle that is open on a device. Close it, or use it as a context manager."""

    bundle: Bundle
    explainer: Explainer
    decision: TrustDecision | None
    """What the trust policy decided; None on a device without a policy."""

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Free the engine's memory."""
        self.explainer.close()


@dataclass(frozen=True)
class Compiled:
    """One graph that was compiled, or all of them that were opened in a child process."""

    name: str
    seconds: float
    size: int | None = None
    """Bytes of the compiled graph; None where the engine keeps none."""


def open_session(
    bundle: str | Path,
    device: str = "auto",
    *,
    threads: int | None = None,
    trust: Policy | str | Path | None = None,
    prove: Prove = "auto",
    trial: bool | None = None,
    remember: bool = False,
    sha256: str | None = None,
    good: str | Path | bool | None = False,
    progress: BuildProgress | None = None,
    on_decision: Callable[[TrustDecision], None] | None = None,
    on_compiled: Callable[[Compiled], None] | None = None,
) -> Session:
    """Open the bundle at ``bundle`` on ``device``, if the device's trust policy allows it.

    - ``trust``: a policy or its file; by default the device's policy.
    - ``prove``: when the canary compares the device with the bundle's own map: ``auto`` on every engine but
      the one that the exporter verified with, in full once a week (``proof.py``); ``always`` in full; or
      ``never`` (for measuring just this device). A device that computes wrong numbers is tried again with
      batches of one, and then replaced by the CPU, with a warning and a note in each record. A device that is
      missing, or that does not compile a graph, is replaced only where ``device`` is ``auto``.
    - ``trial``: whether a child process opens the graphs first, within limits; by default for bundles that no
      policy trusts, once for each bundle and engine.
    - ``remember``: whether the device refuses older versions of the product from now on.
    - ``sha256``: of a bundle that was checked before; another one is refused.
    - ``good``: file of good parts to compare with; None takes the one beside the bundle, if there.
    - ``progress``: called as (done, total, label) while an engine is built.
    - ``on_decision``: called with the policy's decision, also with one that refuses the bundle.
    - ``on_compiled``: called after each graph; with it all graphs of the bundle are compiled, not the usual
      ones only.

    Raises BundleError, TrustError, ModelError, DeviceError, OutputError, SettingError and
    MissingPackageError.
    """
    admission = admit(bundle, trust, on_decision=on_decision)
    checked = admission.bundle
    if sha256 is not None and checked.sha256 != sha256:
        raise BundleError("it was changed while it was checked", where=str(bundle), hint="run it again")
    opener = _Opener(
        checked, device, threads, trial=not admission.trusted if trial is None else trial, progress=progress
    )
    reference = good_parts(checked, good, trust)
    explainer = opener.open(prove, on_compiled)
    try:
        if reference is not None:
            explainer.use_reference(reference)
        if remember:
            admission.commit()
    except BaseException:
        explainer.close()
        raise
    return Session(checked, explainer, admission.decision)


def load(
    bundle: str | Path,
    *,
    device: str = "auto",
    threads: int | None = None,
    trust: Policy | str | Path | None = None,
    trial: bool | None = None,
    good: str | Path | bool | None = None,
    progress: BuildProgress | None = None,
) -> Explainer:
    """Return the explainer of a bundle in use; see ``gagrad_runtime.load``."""
    return open_session(
        bundle,
        device,
        threads=threads,
        trust=trust,
        trial=trial,
        good=good,
        remember=True,
        progress=progress,
    ).explainer


@dataclass(frozen=True)
class _Opener:
    """The steps after admission of a bundle: compile its graphs, prove them, make the explainer."""

    bundle: Bundle
    device: str
    threads: int | None
    trial: bool
    progress: BuildProgress | None

    def open(self, prove: Prove, on_compiled: Callable[[Compiled], None] | None) -> Explainer:
        backend = self._backend(self.device)
        proven = prove == "always" or (prove == "auto" and not backend.verified)
        if not proven:
            self._prepare(backend, self.device, on_compiled)
            return Explainer(self.bundle, backend)
        explainer: Explainer | None = None
        try:
            self._prepare(backend, self.device, on_compiled)
            explainer, problem = _examined(self.bundle, backend, again=prove == "always")
        except (ModelError, DeviceError, BundleError) as error:
            if self.device != "auto":
                raise
            problem = error.what
        return explainer or self._replacement(backend, problem)

    def _backend(self, device: str) -> Backend:
        backend = open_backend(device, threads=self.threads, keep=True)
        backend.progress = self.progress
        return backend

    def _prepare(
        self, backend: Backend, device: str, on_compiled: Callable[[Compiled], None] | None = None
    ) -> None:
        """Open the graphs in a child process, if asked to; with ``on_compiled`` compile all graphs here."""
        if self.trial:
            began = time.perf_counter()
            try_opening(self.bundle, backend, device, progress=self.progress)
            if on_compiled is not None:
                on_compiled(Compiled("all, in a child", time.perf_counter() - began))
        if on_compiled is None:
            return
        graphs = Graphs(self.bundle, backend, opened=())
        entries = self.bundle.manifest.graphs
        for role, variant in dict.fromkeys((entry.role, entry.variant) for entry in entries):
            if role in ("predict", "cam") and variant != graphs.usual(role):
                continue  # the other one of the two is used
            began = time.perf_counter()
            size = graphs.runner(role, variant).size
            on_compiled(Compiled(f"{role} {variant}".strip(), time.perf_counter() - began, size))
        graphs.close()

    def _replacement(self, failed: Backend, problem: str) -> Explainer:
        """Return an explainer on the CPU instead of ``failed``; VerificationError if that is the CPU."""
        if failed.verified:
            raise VerificationError(
                f"the engine computes something else than the bundle says: {problem}",
                where=f"{self.bundle.path} on {failed.description}",
                hint="do not trust explanations of this device; report the output of `gagrad-edge doctor`",
            )
        last = self._backend(LAST)
        self._prepare(last, LAST)
        _note(last, f"{failed.description} was not used: {problem}")
        return Explainer(self.bundle, last)


def _examined(bundle: Bundle, backend: Backend, *, again: bool) -> tuple[Explainer | None, str]:
    """Return an explainer on ``backend`` that passed the canary, if need be with batches of one.

    Or None, and what was wrong. One that has passed in the last week is asked two questions, unless
    ``again``. Raises ModelError and DeviceError.
    """
    explainer, proof = Explainer(bundle, backend), Proof(bundle, backend)
    if not again and proof.holds():
        first = examine_first(bundle, explainer)
        if first and all(finding.passed for finding in first):
            return explainer, ""
    failed = [str(finding) for finding in examine(bundle, explainer) if not finding.passed]
    if not failed:
        proof.keep()
        return explainer, ""
    _note(backend, f"batches of one only, as {'; '.join(failed)}")
    explainer.one_row_at_a_time()
    failed = [str(finding) for finding in examine(bundle, explainer) if not finding.passed]
    if failed:
        explainer.close()
        return None, "; ".join(failed)
    return explainer, ""


def _note(backend: Backend, text: str) -> None:
    """Log ``text`` as a warning, and put it into each record from now on."""
    backend.notes.append(text)
    _log.warning("%s: %s", backend.description, text)
