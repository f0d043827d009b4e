"""The results of a station: one index in SQLite, and beside it the files.

The index is the truth. A row is written, with everything synchronised to the disk, before anyone is told of
it; files come before the row that names them, and a file that no row names is left over from a power cut
and removed at the next start. Rows are ordered by their number and never by the clock, which may jump.
"""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from gagrad_edge.atomic import make_folder
from gagrad_edge.errors import OutputError
from gagrad_runtime.machine.lock import hold
from gagrad_runtime.report.naming import ENDINGS, safe_stem
from gagrad_runtime.station import outbox
from gagrad_runtime.station.index import Index
from gagrad_runtime.station.keeping import FRAME

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

State = Literal["verdict", "waiting", "explained", "dropped", "failed", "quarantined"]
"""``verdict``: no explanation asked for; ``waiting`` for one, also over a restart; ``dropped``: asked for,
and not made in time or not stored; ``failed``: the model gave no map; ``quarantined``: no image."""

_VERSION = 1
"""Of the schema, in the index's ``user_version``; 0 had no outbox and is a part of this one."""
_SCHEMA = (
    """
CREATE TABLE IF NOT EXISTS result (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL, sha256 TEXT NOT NULL,
  created TEXT NOT NULL,
  verdict TEXT, probability REAL,
  state TEXT NOT NULL, reason TEXT NOT NULL DEFAULT '',
  stem TEXT NOT NULL DEFAULT '', bytes INTEGER NOT NULL DEFAULT 0,
  UNIQUE (name, sha256)
);
CREATE INDEX IF NOT EXISTS state ON result (state, id);
"""
    + outbox.SCHEMA
)
_NUMBER = re.compile(r"\.?(\d{8,})-")
"""What the names of a row's files begin with."""


@dataclass(frozen=True)
class Row:
    """One frame that was seen."""

    id: int
    name: str
    sha256: str
    """Of the file."""
    created: str
    """What the clock showed, UTC; for people only."""
    verdict: str | None
    probability: float | None
    state: State
    reason: str
    stem: str
    """What the names of its files begin with; empty without files."""
    bytes: int


class Store:
    """The results in one folder, for one process at a time. Close it, or use it as a context manager.

    ``sinks`` are the names of those who are told, through an outbox of at most ``limit`` events.
    Raises OutputError when the folder cannot be used or another process has it.
    """

    def __init__(self, folder: Path, *, sinks: Sequence[str] = (), limit: int = 100_000) -> None:
        make_folder(folder)
        self._limit = limit if sinks else 0
        self.folder = folder
        self._lock = hold(folder / ".lock")
        try:
            self.index = Index(folder / "index.sqlite")
            self._migrate()
            outbox.enrol(self.index, sinks)
            self.removed = self._tidy()
            query = "SELECT count(*), coalesce(sum(bytes), 0) FROM result WHERE state = 'explained'"
            self.kept, self.size = self.index.rows(query)[0]
        except sqlite3.Error as error:
            os.close(self._lock)
            raise self._failure(error) from error
        except OutputError:
            os.close(self._lock)
            raise

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the folder."""
        self.index.close()
        if self._lock >= 0:
            os.close(self._lock)
        self._lock = -1

    def add(
        self,
        name: str,
        sha256: str,
        created: str,
        *,
        state: State,
        verdict: str | None = None,
        probability: float | None = None,
        reason: str = "",
        event: dict[str, Any] | None = None,
    ) -> int:
        """Keep a frame that was seen, and return its number. Raises OutputError.

        ``event`` is what the sinks are told of it; the number is added.
        """
        statement = (
            "INSERT INTO result (name, sha256, created, verdict, probability, state, reason) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)"
        )
        values = (name, sha256, created, verdict, probability, state, reason)
        return self._write(statement, values, None, event)

    def settle(
        self,
        number: int,
        state: State,
        *,
        stem: str = "",
        size: int = 0,
        reason: str = "",
        event: dict[str, Any] | None = None,
    ) -> None:
        """Say what became of an explanation; its files, if any, are on the disk. Raises OutputError."""
        statement = "UPDATE result SET state = ?, stem = ?, bytes = ?, reason = ? WHERE id = ?"
        self._write(statement, (state, stem, size, reason, number), number, event)
        if state == "explained":
            self.kept, self.size = self.kept + 1, self.size + size
        elif (frame := self._frame_of_row(number)) is not None:
            _remove([frame])

    def tell(self, event: dict[str, Any]) -> None:
        """Tell the sinks of something that is no result. Raises OutputError."""
        if self._limit:
            try:
                with self.index.transaction() as connection:
                    outbox.put(connection, event, self._limit)
            except sqlite3.Error as error:
                raise self._failure(error) from error

    def has(self, name: str, sha256: str) -> bool:
        """Tell whether this file was seen."""
        query = "SELECT 1 FROM result WHERE name = ? AND sha256 = ?"
        return self.index.row(query, (name, sha256)) is not None

    def rows(self, state: State | None = None) -> list[Row]:
        """Return the rows, oldest first."""
        condition, values = ("", ()) if state is None else (" WHERE state = ?", (state,))
        found = self.index.rows(f"SELECT * FROM result{condition} ORDER BY id", values)  # noqa: S608
        return [Row(*row) for row in found]

    def counts(self) -> dict[str, int]:
        """Return how many rows there are of each state."""
        return dict(self.index.rows("SELECT state, count(*) FROM result GROUP BY state"))

    def oldest_explained(self) -> tuple[int, str, int] | None:
        """Return number, stem and bytes of the oldest explanation that is kept."""
        query = "SELECT id, stem, bytes FROM result WHERE state = 'explained' ORDER BY id LIMIT 1"
        row = self.index.row(query)
        return None if row is None else (row[0], row[1], row[2])

    def remove(self, number: int, stem: str, size: int) -> None:
        """Remove an explanation; its row stays, as ``dropped``: that a frame was seen is not forgotten.

        Raises OutputError.
        """
        # The row first: a file without a row goes at the next start, a row without its file is a lie.
        self.settle(number, "dropped", reason="removed to make room")
        _remove(self._files(stem))
        self.kept, self.size = self.kept - 1, self.size - size

    def forget(self, keep: int) -> int:
        """Remove the oldest rows, and their files, until ``keep`` are left; return how many went.

        Rows that wait for an explanation stay. Raises OutputError.
        """
        newest = self.last
        query = "SELECT id, state, stem, bytes FROM result WHERE id <= ? AND state != 'waiting' LIMIT 1000"
        gone = self.index.rows(query, (newest - keep,))
        for number, state, stem, size in gone:
            self._write("DELETE FROM result WHERE id = ?", (number,), number, None)
            if state == "explained":
                _remove(self._files(stem))
                self.kept, self.size = self.kept - 1, self.size - size
        return len(gone)

    def frame_of(self, stem: str) -> Path | None:
        """Return the stream's frame that is kept for a row, if there is one."""
        path = self.folder / (stem + FRAME)
        return path if path.exists() else None

    def _frame_of_row(self, number: int) -> Path | None:
        row = self.index.row("SELECT name FROM result WHERE id = ?", (number,))
        return None if row is None else self.frame_of(stem_of(number, row[0]))

    @property
    def last(self) -> int:
        """The number of the newest row; 0 without one."""
        return int(self.index.rows("SELECT coalesce(max(id), 0) FROM result")[0][0])

    def newest(self, prefix: str) -> str | None:
        """Return the name of the newest frame whose name begins so."""
        query = "SELECT name FROM result WHERE substr(name, 1, ?) = ? ORDER BY id DESC LIMIT 1"
        row = self.index.row(query, (len(prefix), prefix))
        return None if row is None else str(row[0])

    def files_size(self, stem: str) -> int:
        """Return the bytes of the files of ``stem``."""
        return sum(path.stat().st_size for path in self._files(stem))

    def _files(self, stem: str) -> list[Path]:
        endings = [*ENDINGS.values(), FRAME]
        paths = [self.folder / (stem + ending) for ending in endings] if stem else []
        return [path for path in paths if path.exists()]

    def _migrate(self) -> None:
        """Bring the index to this schema. Raises OutputError for one of a later gagrad-edge."""
        version = self.index.rows("PRAGMA user_version")[0][0]
        if version > _VERSION:
            raise OutputError(
                f"the index of results has the form {version}, and this gagrad-edge knows {_VERSION}",
                where=str(self.folder / "index.sqlite"),
                hint="use the newer gagrad-edge, or give another folder with -o",
            )
        self.index.script(_SCHEMA + f"PRAGMA user_version={_VERSION};")

    def _tidy(self) -> int:
        """Remove what a power cut or a kill left behind; return how many files that were."""
        left = []
        for path in self.folder.iterdir():
            if not (number := _NUMBER.match(path.name)):
                continue
            query = "SELECT name, state FROM result WHERE id = ?"
            row = self.index.row(query, (int(number.group(1)),))
            # Only what one of our rows would have written: other things in the folder are somebody else's.
            stem = path.name.removeprefix(".").split(".")[0]
            ours = row is not None and stem == stem_of(int(number.group(1)), row[0])
            half = path.name.startswith(".") and path.suffix == ".part"
            needed = row is not None and row[1] == "waiting" and path.name == stem + FRAME
            state = row[1] if row is not None else ""
            if ours and (half or (state != "explained" and not needed)):
                left.append(path)
        _remove(left)
        return len(left)

    def _write(
        self, statement: str, values: Sequence[object], number: int | None, event: dict[str, Any] | None
    ) -> int:
        """Change a row and add its event to the outbox in one transaction; return the row's number.

        ``number`` is None for a row that is made by it. Raises OutputError.
        """
        try:
            with self.index.transaction() as connection:
                made = connection.execute(statement, values).lastrowid or 0
                number = made if number is None else number
                if event is not None and self._limit:
                    outbox.put(connection, {**event, "id": number}, self._limit)
        except sqlite3.Error as error:
            raise self._failure(error) from error
        return number

    def _failure(self, error: sqlite3.Error) -> OutputError:
        return OutputError(
            f"the index of results cannot be written ({error})",
            where=str(self.folder / "index.sqlite"),
            hint="free some space, and check that this user may write there; a damaged index can be moved "
            "away, then a new one is begun",
        )


def stem_of(number: int, name: str) -> str:
    """Return what the names of the files of row ``number``, of the frame ``name``, begin with; no dots."""
    return f"{number:08d}-{safe_stem(name, ending=True)}".replace(".", "_")


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        with contextlib.suppress(OSError):
            path.unlink()
