"""An audit as the command asks for it: the bundle is checked once, and each worker opens it."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any

from gagrad_edge.errors import SettingError
from gagrad_runtime.audit import forecast
from gagrad_runtime.audit.cluster import run_ray, workers_of
from gagrad_runtime.audit.local import run_local
from gagrad_runtime.audit.plan import Asked
from gagrad_runtime.audit.run import run_audit
from gagrad_runtime.audit.worker import Opening
from gagrad_runtime.backend import open_backend
from gagrad_runtime.report.roi import read_roi
from gagrad_runtime.session.good import good_parts
from gagrad_runtime.trust import admit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from gagrad_runtime.audit.run import Done

ENGINES = ("local", "ray")
"""Names of what makes the shards."""


def audit_images(
    bundle: Path,
    sources: Sequence[str],
    output: Path,
    *,
    plan_only: bool = False,
    budget: str | None = None,
    workers: int | None = None,
    one_in: int = 1000,
    roi: Path | None = None,
    good: Path | bool | None = None,
    settings: dict[str, Any] | None = None,
    device: str = "auto",
    threads: int | None = None,
    trust: Path | None = None,
    engine: str = "local",
    address: str | None = None,
    say: Callable[[list[str]], None] = lambda _: None,
    progress: Callable[[int, int], None] = lambda _, __: None,
) -> Done:
    """Look at all images of ``sources`` with ``bundle``, into the folder ``output``; see ``run_audit``.

    ``engine`` is one of ``ENGINES``, and ``address`` that of a Ray cluster, by default this machine alone.
    ``workers`` is by default one for each core, with one thread each, where the CPU computes, and else one;
    on a cluster, one for each of its cores, or of its GPUs.
    Raises what opening a bundle raises, and what ``run_audit`` does.
    """
    seconds = None if budget is None else forecast.seconds_of(budget)
    if one_in < 0:
        raise SettingError(f"{one_in} is no number of images", where="one_in", hint="0 for none, 1 for all")
    if engine not in ENGINES:
        raise SettingError(f"there is no engine {engine!r}", where="engine", choices=ENGINES)
    if address is not None and engine != "ray":
        raise SettingError("only Ray has an address", where="address", hint="choose ray as `engine`, too")
    if roi is not None:
        read_roi(roi)  # before the work, not in each worker
    checked = admit(bundle, trust).bundle
    reference = good_parts(checked, good, trust)
    on_cpu = open_backend(device).verified
    if workers is None and address is not None:
        workers = workers_of(address, gpu=not on_cpu)
    if workers is None:
        workers = _cores() if on_cpu else 1
    if threads is None and on_cpu and workers > 1:
        threads = max(_cores() // workers, 1) if address is None else 1
    asked = Asked(
        bundle=str(bundle.absolute()),
        sha256=checked.sha256,
        good_sha256=None if reference is None else reference.sha256,
        roi=None if roi is None else str(roi.absolute()),
        settings={name: value for name, value in (settings or {}).items() if value is not None},
        one_in=one_in,
    )
    opening = Opening(
        device=device,
        threads=threads,
        trust=None if trust is None else str(trust.absolute()),
        good=good if isinstance(good, bool) or good is None else str(good.absolute()),
    )
    return run_audit(
        output,
        sources,
        asked,
        opening,
        spec=checked.manifest.input,
        budget=seconds,
        workers=workers,
        plan_only=plan_only,
        engine=run_local if engine == "local" else partial(run_ray, address=address, gpu=not on_cpu),
        say=say,
        progress=progress,
    )


def _cores() -> int:
    """Return the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
