"""The SQLite connection of a station's index: one per process, used by one thread at a time.

Write-ahead log with ``synchronous=FULL``: NORMAL loses committed rows in a power cut.
``locking_mode=EXCLUSIVE`` keeps the log's index in this process's memory: in a mapped file, as it is
otherwise, a write to a disk that has become read-only is a SIGBUS, which nobody can catch (seen with ext4).
"""

from __future__ import annotations

import sqlite3
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


class Index:
    """The connection. Every method raises sqlite3.Error when the disk or the file does not allow it."""

    def __init__(self, path: Path) -> None:
        self._mutex = threading.RLock()
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._connection.executescript(
            "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
        )

    def close(self) -> None:
        """Close the connection."""
        with self._mutex:
            self._connection.close()

    def rows(self, query: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Return all rows of ``query``."""
        with self._mutex:
            return self._connection.execute(query, values).fetchall()

    def row(self, query: str, values: Sequence[object] = ()) -> tuple[Any, ...] | None:
        """Return the first row of ``query``, or None."""
        with self._mutex:
            found: tuple[Any, ...] | None = self._connection.execute(query, values).fetchone()
            return found

    def script(self, statements: str) -> None:
        """Run ``statements``, which make tables."""
        with self._mutex:
            self._connection.executescript(statements)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Run the block as one transaction: committed when the block ends, rolled back when it raises."""
        with self._mutex:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                # SQLite has already rolled back after a full disk.
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
