"""SHA-256 of many pieces at once, on all cores."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gagrad_edge.bundle.archive import Buffer


def sha256_of_each(pieces: Sequence[Buffer]) -> list[str]:
    """Return the SHA-256 of each of ``pieces``, in hexadecimal."""
    found = [""] * len(pieces)
    # The largest first, so that all threads end at about the same time. One task for each thread: a task for
    # each piece would take as long as a small piece.
    waiting = iter(sorted(range(len(pieces)), key=lambda index: len(pieces[index]), reverse=True))

    def work() -> None:
        for index in waiting:
            found[index] = hashlib.sha256(pieces[index]).hexdigest()  # gives up the interpreter's lock

    threads = os.cpu_count() or 1
    with ThreadPoolExecutor(threads) as pool:
        for task in [pool.submit(work) for _ in range(threads)]:
            task.result()
    return found
