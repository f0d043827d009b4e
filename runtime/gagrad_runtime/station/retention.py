"""Retention: which results a station removes. Oldest first by row number, because the clock may be wrong."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from gagrad_runtime.station.keeping import prune_quarantine

if TYPE_CHECKING:
    from gagrad_runtime.station.config import RetentionTable
    from gagrad_runtime.station.store import Store


def prune(
    store: Store, *, keep: int | None = None, size: int | None = None, disk_share: float | None = None
) -> int:
    """Remove the oldest explanations until at most ``keep`` with at most ``size`` bytes are left.

    With ``disk_share``, 0 to 1, also while more than that share of the disk is used, by whatever program.
    Returns the number of explanations removed. Raises OutputError.
    """
    removed = 0
    while store.kept and (
        (keep is not None and store.kept > keep)
        or (size is not None and store.size > size)
        or (disk_share is not None and _disk_used(store) > disk_share)
    ):
        oldest = store.oldest_explained()
        if oldest is None:
            break
        store.remove(*oldest)
        removed += 1
    return removed


def apply(store: Store, limits: RetentionTable) -> None:
    """Keep explanations and rows of ``store`` within ``limits``. Raises OutputError."""
    size = None if limits.max_mb is None else round(limits.max_mb * 1e6)
    prune(store, keep=limits.keep, size=size, disk_share=limits.disk_share)
    if limits.keep_rows is not None:
        store.delete_rows(limits.keep_rows)


def apply_to_quarantine(store: Store, limits: RetentionTable) -> None:
    """Keep the files that are no images within ``limits``: all of them go before an explanation goes."""
    most = limits.quarantine_mb if limits.max_mb is None else min(limits.quarantine_mb, limits.max_mb)
    prune_quarantine(store.folder, round(most * 1e6))
    if limits.disk_share is not None and _disk_used(store) > limits.disk_share:
        prune_quarantine(store.folder, 0)


def make_room(store: Store) -> int:
    """Remove a tenth of the explanations, at least one; return the number removed. Raises OutputError."""
    return prune(store, keep=max(0, store.kept - max(1, store.kept // 10)))


def _disk_used(store: Store) -> float:
    # As `df` counts it: what the system keeps for itself is neither used nor free for a station.
    usage = shutil.disk_usage(store.folder)
    return usage.used / (usage.used + usage.free)
