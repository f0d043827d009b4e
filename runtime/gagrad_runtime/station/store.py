"""The results of a station: one index in SQLite, and beside it the files.

The index is the truth. A row is written, with everything synchronised to the disk, before anyone is told of
it; files come before the row that names them, and a file that no row names is left over from a power cut
and removed at the next start. Rows are ordered by their number and never by the clock, which may jump.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from gagrad_edge.atomic import make_folder, output_error
from gagrad_edge.errors import OutputError
from gagrad_runtime.results import ENDINGS, safe_stem

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

State = Literal["verdict", "waiting", "explained", "dropped", "failed", "quarantined"]
"""``verdict``: no explanation asked for; ``waiting`` for one, also over a restart; ``dropped``: asked for,
and not made in time or not stored; ``failed``: the model gave no map; ``quarantined``: no image."""

_SCHEMA = """
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

    Raises OutputError when the folder cannot be used or another process has it.
    """

    def __init__(self, folder: Path) -> None:
        make_folder(folder)
        self.folder = folder
        self._lock = _lock(folder / ".lock")
        try:
            self._index = sqlite3.connect(folder / "index.sqlite", isolation_level=None)
            # FULL: NORMAL loses committed rows in a power cut.
            self._index.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;" + _SCHEMA)
            self.removed = self._tidy()
        except sqlite3.Error as error:
            os.close(self._lock)
            raise self._failure(error) from error

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the folder."""
        self._index.close()
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
    ) -> int:
        """Keep a frame that was seen, and return its number. Raises OutputError."""
        return self._run(
            "INSERT INTO result (name, sha256, created, verdict, probability, state, reason) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            (name, sha256, created, verdict, probability, state, reason),
        )

    def settle(self, number: int, state: State, *, stem: str = "", size: int = 0, reason: str = "") -> None:
        """Say what became of an explanation; its files, if any, are on the disk. Raises OutputError."""
        self._run(
            "UPDATE result SET state = ?, stem = ?, bytes = ?, reason = ? WHERE id = ?",
            (state, stem, size, reason, number),
        )

    def has(self, name: str, sha256: str) -> bool:
        """Tell whether this file was seen."""
        query = "SELECT 1 FROM result WHERE name = ? AND sha256 = ?"
        return self._index.execute(query, (name, sha256)).fetchone() is not None

    def rows(self, state: State | None = None) -> list[Row]:
        """Return the rows, oldest first."""
        condition, values = ("", ()) if state is None else (" WHERE state = ?", (state,))
        found = self._index.execute(f"SELECT * FROM result{condition} ORDER BY id", values)  # noqa: S608
        return [Row(*row) for row in found]

    def counts(self) -> dict[str, int]:
        """Return how many rows there are of each state."""
        return dict(self._index.execute("SELECT state, count(*) FROM result GROUP BY state"))

    def prune(self, *, keep: int | None = None, size: int | None = None) -> int:
        """Remove the oldest explanations until at most ``keep`` with at most ``size`` bytes are left.

        Their rows stay, as ``dropped``: that a frame was seen is not forgotten. Returns how many went.
        """
        if keep is None and size is None:
            return 0
        kept = total = removed = 0
        for row in reversed(self.rows("explained")):
            kept, total = kept + 1, total + row.bytes
            if (keep is not None and kept > keep) or (size is not None and total > size):
                self.settle(row.id, "dropped", reason="removed to make room")
                _remove(self._files(row.stem))
                removed += 1
        return removed

    def files_size(self, stem: str) -> int:
        """Return the bytes of the files of ``stem``."""
        return sum(path.stat().st_size for path in self._files(stem))

    def _files(self, stem: str) -> list[Path]:
        paths = [self.folder / (stem + ending) for ending in ENDINGS.values()] if stem else []
        return [path for path in paths if path.exists()]

    def _tidy(self) -> int:
        """Remove what a power cut or a kill left behind; return how many files that were."""
        # Only what one of our rows would have written: other things in the folder are somebody else's.
        ours = {stem_of(row.id, row.name): row.state for row in self.rows()}
        left = []
        for path in self.folder.iterdir():
            stem = path.name.removeprefix(".").split(".")[0]
            half = path.name.startswith(".") and path.suffix == ".part"
            if stem in ours and (half or ours[stem] != "explained"):
                left.append(path)
        _remove(left)
        return len(left)

    def _run(self, statement: str, values: Iterable[object]) -> int:
        try:
            return int(self._index.execute(statement, tuple(values)).lastrowid or 0)
        except sqlite3.Error as error:
            raise self._failure(error) from error

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


def _lock(path: Path) -> int:
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
