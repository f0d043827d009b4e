"""The locks by which one process has a folder of results."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from gagrad_edge.atomic import make_folder
from gagrad_edge.errors import OutputError
from gagrad_runtime.machine.lock import acquire, acquire_folder, release

if TYPE_CHECKING:
    from pathlib import Path


class Occupancy:
    """The folder, made if it is missing, and locked. Raises OutputError when another process has it.

    Both the folder itself and a file in it are locked: the folder because the file may be deleted, the file
    because not every system locks folders.
    """

    def __init__(self, folder: Path) -> None:
        make_folder(folder)
        self.folder = folder
        self._descriptors: list[int] = []
        try:
            if (descriptor := acquire_folder(folder)) is not None:
                self._descriptors.append(descriptor)
            self._descriptors.append(acquire(folder / ".lock"))
        except BaseException as error:
            self.release()
            if isinstance(error, BlockingIOError):
                raise OutputError(
                    "another process keeps its results there",
                    where=str(folder),
                    hint="stop the other `gagrad-edge watch`, or give this one another folder",
                ) from error
            raise
        self._identity = _identity(folder)

    @property
    def in_place(self) -> bool:
        """Whether the folder that is locked is still the one of that name."""
        try:
            return _identity(self.folder) == self._identity
        except OSError:
            return False

    def release(self) -> None:
        """Release the locks."""
        while self._descriptors:
            release(self._descriptors.pop())


def _identity(folder: Path) -> tuple[int, int]:
    found = os.stat(folder)  # noqa: PTH116 - once per step of the loop
    return found.st_dev, found.st_ino
