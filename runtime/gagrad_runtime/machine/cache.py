"""Folder for caches: compiled engines, chunk sizes, opened bundles. In the user's XDG cache folder."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def cache_folder(name: str) -> Path | None:
    """Return ``$XDG_CACHE_HOME/gagrad-edge/NAME``, which may not exist; None for a user without a home."""
    root = cache_root()
    return None if root is None else root / name


def cache_root() -> Path | None:
    """Return the folder of all caches, which may not exist; None for a user without a home."""
    try:
        cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    except RuntimeError:
        return None
    return Path(cache) / "gagrad-edge"


def size_of(folder: Path) -> int:
    """Return the bytes of all files under ``folder``; those that cannot be read count for nothing."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += Path(parent, name).lstat().st_size
    return total
