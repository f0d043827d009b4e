"""One process at a time in a folder of results."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

from gagrad_edge.atomic import output_error
from gagrad_edge.errors import OutputError

if TYPE_CHECKING:
    from pathlib import Path


def hold(path: Path) -> int:
    """Hold the lock file; the system lets go of it when the process dies. Raises OutputError."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise output_error(path, error) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise OutputError(
            "another process keeps its results there",
            where=str(path.parent),
            hint="stop the other `gagrad-edge watch`, or give this one another folder with -o",
        ) from error
    return descriptor
