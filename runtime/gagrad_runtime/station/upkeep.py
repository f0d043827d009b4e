"""The index of a folder of results, kept usable: opened, renewed when damaged, restored when deleted."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import time
from typing import TYPE_CHECKING

from gagrad_edge.atomic import output_error
from gagrad_edge.errors import OutputError
from gagrad_runtime.station import outbox, renewal, schema
from gagrad_runtime.station.index import Index, is_damage
from gagrad_runtime.station.occupancy import Occupancy

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from gagrad_runtime.station.events import IndexEvent

RETRY = 10.0
"""Seconds between two attempts to write a new index, where the first found e.g. a full disk."""
_log = logging.getLogger(__name__)


class Upkeep:
    """The index in ``folder``, which is this process's until ``close``. Raises OutputError.

    ``sinks`` and ``limit`` are those of the outbox.
    """

    def __init__(self, folder: Path, sinks: Sequence[str], limit: int) -> None:
        self.folder = folder
        self._path = folder / "index.sqlite"
        self._sinks, self._limit = tuple(sinks), limit
        self._tried = float("-inf")
        self.notices: list[IndexEvent] = []
        """What happened to the index; whoever publishes the events empties it."""
        self.newest = 0
        """Highest number of a row that was inserted since the start: frames in memory have it."""
        self._occupancy = Occupancy(folder)
        try:
            self.index = self._open()
        except sqlite3.Error as error:
            self._occupancy.release()
            raise failure(self._path, error) from error
        except OutputError:
            self._occupancy.release()
            raise

    def close(self) -> None:
        """Close the index and release the folder's lock."""
        self.index.close()
        self._occupancy.release()

    def heal(self) -> bool:
        """Put a new file in the place of a damaged or deleted index; return whether that was done.

        When all is well nothing is read from the disk. Raises OutputError; it is tried again RETRY seconds
        later.
        """
        if self._occupancy.in_place and self.index.in_place and not self.index.damage:
            return False
        if time.monotonic() - self._tried < RETRY:
            return False
        self._tried = time.monotonic()
        if not self._occupancy.in_place:
            before, self._occupancy = self._occupancy, Occupancy(self.folder)
            before.release()
        try:
            with self.index.exchange() as old:
                event = self._replace(old)
        except (sqlite3.Error, OSError) as error:
            raise failure(self._path, error) from error
        if event is None or event.state == "restored":
            self._tried = float("-inf")
        self._notice(event)
        return True

    def _open(self) -> Index:
        """Return the index, a new one if none is whole. Raises sqlite3.Error and OutputError."""
        path, reason = self._path, "it was gone"
        try:
            if path.is_file():
                return _opened(path, self._sinks)
            if path.exists():
                reason = "it is no file"
        except sqlite3.Error as error:
            if not is_damage(error):
                raise
            reason = str(error)
        try:
            with contextlib.closing(sqlite3.connect(path if path.is_file() else ":memory:")) as old:
                event = renewal.begin(path, old, reason, self._sinks, self._limit)
        except OSError as error:
            raise failure(path, error) from error
        self._notice(event)
        return Index(path)

    def _replace(self, old: sqlite3.Connection) -> IndexEvent | None:
        """Write a new file. Raises sqlite3.Error and OSError."""
        reason = self.index.damage
        if not reason:
            try:
                return renewal.restore(self._path, old, "it was gone", self._limit)
            except sqlite3.Error as error:
                if isinstance(error, sqlite3.OperationalError) and not is_damage(error):
                    raise
                reason = str(error)
        return renewal.begin(self._path, old, reason, self._sinks, self._limit, self.newest)

    def _notice(self, event: IndexEvent | None) -> None:
        if event is None:
            return
        self.notices.append(event)
        what = "a new index of results is begun" if event.state == "renewed" else "the index is written again"
        aside = f"; what was there is now {event.aside}" if event.aside else ""
        _log.error("%s: %s (%s)%s", self.folder, what, event.reason, aside)


def failure(path: Path, error: Exception) -> OutputError:
    """Return ``error``, of the index at ``path``, as OutputError."""
    if isinstance(error, OSError):
        return output_error(path, error)
    return OutputError(
        f"the index of results cannot be written ({error})",
        where=str(path),
        hint="free some space, and check that this user may write there",
    )


def _opened(path: Path, sinks: Sequence[str]) -> Index:
    """Return the index at ``path``, brought to this schema. Raises sqlite3.Error and OutputError."""
    index = Index(path)
    try:
        schema.check_version(index.rows("PRAGMA user_version")[0][0], path)
        if index.row("SELECT 1 FROM sqlite_master WHERE name = 'result'") is None:
            raise sqlite3.DatabaseError("it is empty")
        index.script(schema.TABLES)
        with index.transaction() as connection:
            schema.bring_up(connection)
            outbox.register(connection, sinks)
            schema.number_from(connection, renewal.newest_file(path.parent))
        # What the start reads anyway; damage elsewhere is met when it is read.
        index.rows("SELECT count(*), sum(bytes) FROM result WHERE state = 'explained'")
        index.row("SELECT * FROM finding LIMIT 1")
    except BaseException:
        index.close()
        raise
    return index
