"""What belongs to the machine that the tests run on: its policy, state and cache, which no test may touch.

``tests/conftest.py`` imports this module before any test runs, and gives the tests folders of their own.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

_CACHE = Path.home() / ".cache"
MACHINE = (
    Path("/etc/gagrad-edge"),
    Path("/var/lib/gagrad-edge"),
    *{folder / "gagrad-edge": None for folder in (_CACHE, Path(os.environ.get("XDG_CACHE_HOME") or _CACHE))},
)
"""Folders of the device or user whose machine this is. The variables are read before they are replaced."""
_FILE_EVENTS = frozenset(
    ("open", "os.listdir", "os.scandir", "os.mkdir", "os.rename", "os.remove", "sqlite3.connect")
)
touched: list[str] = []
"""Paths below ``MACHINE`` that the running test has touched; emptied before each test."""


def _watch_paths(event: str, arguments: tuple[Any, ...]) -> None:
    """Audit hook: note and refuse access to a folder of ``MACHINE``."""
    if event not in _FILE_EVENTS:
        return
    if not isinstance(arguments[0], str | bytes | os.PathLike):
        return
    path = os.path.abspath(os.fsdecode(arguments[0]))  # noqa: PTH100 - pathlib would be slow here
    if any(path == str(folder) or path.startswith(f"{folder}{os.sep}") for folder in MACHINE):
        touched.append(path)
        raise PermissionError(f"a test may not touch {path}: it belongs to the machine")


# For the whole process: there is no way to take an audit hook away again.
sys.addaudithook(_watch_paths)
