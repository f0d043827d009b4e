"""The results of a station: an index in SQLite, and the result files beside it.

The index is authoritative. Files are written before the row that names them, and a row is on the disk before
its event is published. A file without a row is left over from a power cut and removed at the next start. Rows
are ordered by their number, not by the clock, which may jump.
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from msgspec.structs import replace

from gagrad_edge.errors import OutputError
from gagrad_runtime.report.naming import ENDINGS, safe_stem
from gagrad_runtime.station import attempts, findings, noted, outbox
from gagrad_runtime.station.events import ExplainedEvent, FrameEvent
from gagrad_runtime.station.keeping import FRAME, FRAME_LAYER, MAP_LAYER
from gagrad_runtime.station.noted import Noted
from gagrad_runtime.station.upkeep import Upkeep, failure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from gagrad_runtime.station.events import Event, HealthEvent, IndexEvent, SourceEvent
    from gagrad_runtime.station.findings import Finding

State = Literal["verdict", "waiting", "explained", "dropped", "failed", "quarantined"]
"""State of a row. ``verdict``: no explanation was asked for; ``waiting``: for its explanation, also after a
restart; ``dropped``: the explanation was not made in time or not stored; ``failed``: the model gave no map;
``quarantined``: no usable image."""

_LATE = "INSERT INTO result (id, name, sha256, created, state) VALUES (?, ?, ?, ?, 'waiting')"
_WITH_FILES = "state = 'explained' AND stem != ''"
"""Condition on a row whose explanation is its own, and not another row's that is used again."""
T = TypeVar("T")
_NUMBER = re.compile(r"\.?(\d{8,15})-")
"""The row's number at the beginning of the names of its files."""


@dataclass(frozen=True)
class Row:
    """One frame that the station has seen."""

    id: int
    name: str
    sha256: str
    """SHA-256 of the frame's content."""
    created: str
    """What the clock showed, UTC; for people, nothing is ordered by it."""
    verdict: str | None
    probability: float | None
    state: State
    reason: str
    stem: str
    """Beginning of the names of the row's files; empty without files."""
    bytes: int
    finding: Finding | None = None
    """What its explanation says; None without one, and for one of an earlier version or index."""
    noted: Noted = field(default_factory=Noted)
    """What was known of the frame at its verdict."""


class Store:
    """The results in one folder, for one process at a time. Close it, or use it as a context manager.

    ``sinks`` are the names of the receivers; the outbox holds at most ``limit`` events for them.
    Raises OutputError when the folder cannot be used or another process has it.
    """

    def __init__(self, folder: Path, *, sinks: Sequence[str] = (), limit: int = 100_000) -> None:
        self._limit = limit if sinks else 0
        self.folder = folder
        self._upkeep = Upkeep(folder, sinks, self._limit)
        self.index = self._upkeep.index
        try:
            self._count()
            self.removed = self._tidy()
        except OutputError:
            self.close()
            raise

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the index and release the folder's lock."""
        self._upkeep.close()

    def heal(self) -> list[IndexEvent]:
        """Mend what happened to index and folder, and return what was mended since the last call.

        A damaged index is renewed, a deleted one and a deleted folder are restored. Raises OutputError.
        """
        if self._upkeep.heal():
            self._count()
        events = list(self._upkeep.notices)
        self._upkeep.notices.clear()
        return events

    def _run(self, work: Callable[[], T]) -> T:
        """Return what ``work`` returns; it is done again with a new index when this one is damaged.

        Raises OutputError.
        """
        try:
            try:
                return work()
            except sqlite3.Error:
                if not (self.index.damage and self._upkeep.heal()):
                    raise
                self._count()
                return work()
        except sqlite3.Error as error:
            raise failure(self.index.path, error) from error

    def _rows(self, query: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        return self._run(lambda: self.index.rows(query, values))

    def _row(self, query: str, values: Sequence[object] = ()) -> tuple[Any, ...] | None:
        return self._run(lambda: self.index.row(query, values))

    def _count(self) -> None:
        query = f"SELECT count(*), coalesce(sum(bytes), 0) FROM result WHERE {_WITH_FILES}"  # noqa: S608
        self.kept, self.size = self._rows(query)[0]
        self.epoch = str(self._rows("SELECT id FROM epoch")[0][0])
        """Identity of what numbers events and rows, see ``events.Event``."""

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
        event: FrameEvent | None = None,
    ) -> int:
        """Insert the row of a frame, and return its number. Raises OutputError.

        ``event`` is published with the row; its ``id`` becomes the row's number.
        """
        statement = (
            "INSERT INTO result (name, sha256, created, verdict, probability, state, reason) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)"
        )
        values = (name, sha256, created, verdict, probability, state, reason)
        return self._write(statement, values, None, event, attempt=(name, sha256))

    def finish(
        self,
        number: int,
        state: State,
        *,
        stem: str = "",
        size: int = 0,
        reason: str = "",
        event: FrameEvent | None = None,
    ) -> None:
        """Store how the wait of row ``number`` ended. Its files are on the disk. Raises OutputError.

        Without ``stem`` it has no files: an explanation that is used again has those of its own row.
        """
        statement = "UPDATE result SET state = ?, stem = ?, bytes = ?, reason = ? WHERE id = ?"
        self._write(statement, (state, stem, size, reason, number), number, event)
        if stem:
            self.kept, self.size = self.kept + 1, self.size + size
        elif (frame := self._frame_of_row(number)) is not None:
            _remove([frame])

    def earlier(self, name: str, sha256: str) -> int:
        """Return how many processes ended while they worked on a frame. Raises OutputError."""
        query = "SELECT count FROM attempt WHERE name = ? AND sha256 = ?"
        row = self._row(query, (name, sha256))
        return 0 if row is None else int(row[0])

    def begin(self, name: str, sha256: str) -> None:
        """Mark that the station works on a frame. ``add`` and ``finish`` take the mark away.

        Raises OutputError.
        """
        self._mark(lambda connection: attempts.begin(connection, name, sha256))

    def leave(self, name: str, sha256: str) -> None:
        """Take the mark of ``begin`` away, if it is still there: there is no result. Raises OutputError."""
        if self.earlier(name, sha256):
            self._mark(lambda connection: attempts.leave(connection, name, sha256))

    def _mark(self, change: Callable[[sqlite3.Connection], None]) -> None:
        def run() -> None:
            with self.index.transaction(lasting=False) as connection:
                change(connection)

        self._run(run)

    def publish(self, event: SourceEvent | HealthEvent) -> None:
        """Put an event that belongs to no row into the outbox. Raises OutputError."""

        def put() -> None:
            with self.index.transaction() as connection:
                outbox.put(connection, event, self._limit)

        if self._limit:
            self._run(put)

    def has(self, name: str, sha256: str) -> bool:
        """Return whether there is a row of this name and content."""
        query = "SELECT 1 FROM result WHERE name = ? AND sha256 = ?"
        return self._row(query, (name, sha256)) is not None

    def rows(self, state: State | None = None) -> list[Row]:
        """Return the rows, oldest first."""
        condition, values = ("", ()) if state is None else (" WHERE state = ?", (state,))
        found = ", ".join(f"finding.{name}" for name in findings.COLUMNS)
        notes = ", ".join(f"noted.{name}" for name in noted.COLUMNS)
        query = (
            f"SELECT {found}, {notes}, result.* FROM result LEFT JOIN finding USING (id) "  # noqa: S608
            f"LEFT JOIN noted USING (id){condition} ORDER BY result.id"
        )
        first, second = len(findings.COLUMNS), len(findings.COLUMNS) + len(noted.COLUMNS)
        return [
            Row(*(*row[second:], findings.read(row[:first]), noted.read(row[first:second])))
            for row in self._rows(query, values)
        ]

    def counts(self) -> dict[str, int]:
        """Return the number of rows by state."""
        return dict(self._rows("SELECT state, count(*) FROM result GROUP BY state"))

    def oldest_explained(self) -> tuple[int, str, int] | None:
        """Return number, stem and bytes of the oldest explanation, or None."""
        query = f"SELECT id, stem, bytes FROM result WHERE {_WITH_FILES} ORDER BY id LIMIT 1"  # noqa: S608
        row = self._row(query)
        return None if row is None else (row[0], row[1], row[2])

    def remove(self, number: int, stem: str, size: int) -> None:
        """Remove the files of an explanation. The row stays, as ``dropped``: the frame is not new.

        Raises OutputError.
        """
        # The row first: after a power cut a file without a row is removed, a row without its file would be
        # wrong.
        self.finish(number, "dropped", reason="removed to make room")
        _remove(self._files(stem))
        self.kept, self.size = self.kept - 1, self.size - size

    def delete_rows(self, keep: int) -> int:
        """Delete the oldest rows and their files until ``keep`` are left; return the number deleted.

        Rows that wait for an explanation stay. Raises OutputError.
        """
        newest = self.last
        query = "SELECT id, state, stem, bytes FROM result WHERE id <= ? AND state != 'waiting' LIMIT 1000"
        oldest = self._rows(query, (newest - keep,))
        for number, state, stem, size in oldest:
            self._write("DELETE FROM result WHERE id = ?", (number,), number, None)
            if state == "explained" and stem:
                _remove(self._files(stem))
                self.kept, self.size = self.kept - 1, self.size - size
        return len(oldest)

    def frame_of(self, stem: str) -> Path | None:
        """Return the file of the stream's frame with that ``stem``, or None."""
        path = self.folder / (stem + FRAME)
        return path if path.exists() else None

    def _frame_of_row(self, number: int) -> Path | None:
        row = self._row("SELECT name FROM result WHERE id = ?", (number,))
        return None if row is None else self.frame_of(stem_of(number, row[0]))

    @property
    def last(self) -> int:
        """The highest number that a row or a file had; 0 without one."""
        row = self._row("SELECT seq FROM sqlite_sequence WHERE name = 'result'")
        return 0 if row is None else int(row[0])

    def newest(self, prefix: str) -> str | None:
        """Return the name of the newest frame whose name begins with ``prefix``, or None."""
        query = "SELECT name FROM result WHERE substr(name, 1, ?) = ? ORDER BY id DESC LIMIT 1"
        row = self._row(query, (len(prefix), prefix))
        return None if row is None else str(row[0])

    def files_size(self, stem: str) -> int:
        """Return the size in bytes of the result files with that ``stem``."""
        return sum(path.stat().st_size for path in self._files(stem))

    def _files(self, stem: str) -> list[Path]:
        endings = [*ENDINGS.values(), FRAME, FRAME_LAYER, MAP_LAYER]
        paths = [self.folder / (stem + ending) for ending in endings] if stem else []
        return [path for path in paths if path.exists()]

    def _tidy(self) -> int:
        """Remove the files that a power cut or a kill left without a row; return their number."""
        orphans = []
        for path in self.folder.iterdir():
            if not (number := _NUMBER.match(path.name)):
                continue
            query = "SELECT name, state, stem FROM result WHERE id = ?"
            row = self._row(query, (int(number.group(1)),))
            # Only files that one of these rows could have written: the user may keep other files here.
            stem = path.name.removeprefix(".").split(".")[0]
            ours = row is not None and stem == stem_of(int(number.group(1)), row[0])
            half = path.name.startswith(".") and path.suffix == ".part"
            needed = row is not None and row[1] == "waiting" and path.name == stem + FRAME
            kept = row is not None and row[1] == "explained" and row[2]
            if ours and (half or not (kept or needed)):
                orphans.append(path)
        _remove(orphans)
        return len(orphans)

    def _write(
        self,
        statement: str,
        values: Sequence[object],
        number: int | None,
        event: Event | None,
        attempt: tuple[str, str] | None = None,
    ) -> int:
        """Run ``statement`` and put ``event`` into the outbox in one transaction; return the row's number.

        ``number`` is None when the statement inserts the row; ``attempt`` are the row's name and hash then.
        Raises OutputError.
        """

        def write() -> int:
            with self.index.transaction() as connection:
                done = connection.execute(statement, values)
                row = (done.lastrowid or 0) if number is None else number
                if done.rowcount == 0 and isinstance(event, FrameEvent):
                    # The row was in an index that was damaged; its verdict has been told.
                    connection.execute(_LATE, (row, event.file, f"row {row}", event.time))
                    connection.execute(statement, values)
                if attempt is not None:
                    attempts.end(connection, *attempt)
                else:
                    attempts.end_of_row(connection, row)
                if number is None and isinstance(event, FrameEvent):
                    noted.put(connection, row, event)
                if isinstance(event, ExplainedEvent):
                    findings.put(connection, row, event)
                if event is not None and self._limit:
                    outbox.put(connection, replace(event, id=row), self._limit)
            return row

        row = self._run(write)
        self._upkeep.newest = max(self._upkeep.newest, row)
        return row


def stem_of(number: int, name: str) -> str:
    """Return the beginning of the file names of row ``number``, of the frame ``name``; without dots."""
    return f"{number:08d}-{safe_stem(name, ending=True)}".replace(".", "_")


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        with contextlib.suppress(OSError):
            path.unlink()
