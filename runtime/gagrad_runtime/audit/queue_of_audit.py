"""A queue as the command asks for it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gagrad_edge.errors import BundleError
from gagrad_runtime.audit.answers import labelled
from gagrad_runtime.audit.queue_folder import write_queue
from gagrad_runtime.audit.reading import finished
from gagrad_runtime.trust import admit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gagrad_runtime.audit.queue_folder import Made


def make_queue(
    folder: Path,
    output: Path,
    *,
    wanted: int = 200,
    bundle: Path | None = None,
    known: Sequence[Path] = (),
    trust: Path | None = None,
    progress: Callable[[int, int], None] = lambda _, __: None,
) -> Made:
    """Write a queue of ``wanted`` images of the audit in ``folder`` as the folder ``output``.

    ``bundle`` is where the audit's bundle is now; of it only the manifest is read. ``known`` are lists of
    images that have a label. Raises InputError for an audit that is not finished, and BundleError for another
    bundle.
    """
    plan = finished(folder)
    path = bundle or Path(plan.asked.bundle)
    checked = admit(path, trust).bundle
    if checked.sha256 != plan.asked.sha256:
        raise BundleError("this is another bundle than the audit asked", where=str(path))
    manifest = checked.manifest
    return write_queue(
        folder,
        plan,
        manifest.input,
        manifest.output.classes or (),
        output,
        wanted=wanted,
        labelled=labelled(known),
        progress=progress,
    )
