"""The connection to a station's SQLite index: one for the process, used by one thread at a time.

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
    """All methods raise sqlite3.Error when the disk or the file does not allow it."""

    def __init__(self, path: Path) -> None:
        self._mutex = threading.RLock()
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._connection.executescript(
            "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
        )

    def close(self) -> None:
        """Let go of the file."""
        with self._mutex:
            self._connection.close()

    def rows(self, query: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Return all rows."""
        with self._mutex:
            return self._connection.execute(query, values).fetchall()

    def row(self, query: str, values: Sequence[object] = ()) -> tuple[Any, ...] | None:
        """Return the first row, if there is one."""
        with self._mutex:
            found: tuple[Any, ...] | None = self._connection.execute(query, values).fetchone()
            return found

    def script(self, statements: str) -> None:
        """Run statements that make tables."""
        with self._mutex:
            self._connection.executescript(statements)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Run the block as one transaction: on the disk when it ends, and none of it when it raises."""
        with self._mutex:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                # A full disk has ended the transaction by itself.
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
