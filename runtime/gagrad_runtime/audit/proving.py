"""The clusters of an audit as the command asks for them: the bundle is opened, and asked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gagrad_runtime.audit.intervention import BundleAsker
from gagrad_runtime.audit.reading import finished
from gagrad_runtime.audit.shortcuts import find
from gagrad_runtime.session.opening import open_session

if TYPE_CHECKING:
    from collections.abc import Callable

    from gagrad_runtime.audit.decisions import Findings
    from gagrad_runtime.audit.plan import Plan


def prove(
    folder: Path,
    bundle: Path | None = None,
    *,
    asked: int = 60,
    device: str = "auto",
    threads: int | None = None,
    trust: Path | None = None,
    progress: Callable[[int, int], None] = lambda _, __: None,
) -> tuple[Plan, Findings, Path | None]:
    """Return the plan of the audit in ``folder`` and its clusters, proven with the bundle that it asked.

    The path is that of an earlier ``findings.json`` that was kept: see ``find``. ``bundle`` is where that
    bundle is now, if not where the audit found it. Raises InputError for an audit that is not finished or
    explains too little, and what opening a bundle raises: another bundle is refused.
    """
    plan = finished(folder)
    session = open_session(
        bundle or Path(plan.asked.bundle), device, threads=threads, trust=trust, sha256=plan.asked.sha256
    )
    with session:
        asker, spec = BundleAsker(session.explainer), session.explainer.manifest.input
        return (plan, *find(folder, plan, asker, spec, asked=asked, progress=progress))
