"""Folder for caches: compiled engines, chunk sizes, opened bundles. In the user's XDG cache folder."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder(name: str) -> Path | None:
    """Return ``$XDG_CACHE_HOME/gagrad-edge/NAME``, which may not exist; None for a user without a home."""
    try:
        cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    except RuntimeError:
        return None
    return Path(cache) / "gagrad-edge" / name
