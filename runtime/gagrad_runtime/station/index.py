"""The SQLite connection of a station's index: one per process, used by one thread at a time.

Write-ahead log with ``synchronous=FULL``: NORMAL loses committed rows in a power cut.
``locking_mode=EXCLUSIVE`` keeps the log's index in this process's memory: in a mapped file, as it is
otherwise, a write to a disk that has become read-only is a SIGBUS, which nobody can catch (seen with ext4).
"""

from __future__ import annotations

import sqlite3
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


class Index:
    """The connection. Every method raises sqlite3.Error when the disk or the file does not allow it.

    ``exchange`` puts another file in the place of a damaged or deleted one; who uses the index keeps it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.damage = ""
        """What SQLite said of a file that is no whole database; empty while none was met."""
        self._mutex = threading.RLock()
        self._connection = _connected(path)
        self._identity = _identity(path)

    def close(self) -> None:
        """Close the connection."""
        with self._mutex:
            self._connection.close()

    @property
    def in_place(self) -> bool:
        """Whether the file that is open is still the one at ``path``."""
        try:
            return _identity(self.path) == self._identity
        except OSError:
            return False

    @contextmanager
    def exchange(self) -> Iterator[sqlite3.Connection]:
        """Give the connection to a block that puts another file at ``path``, and then open that one.

        No other thread uses the index meanwhile. When the block raises the old connection stays.
        """
        with self._mutex:
            before = self._connection
            yield before
            after = _connected(self.path)
            self._connection, self._identity, self.damage = after, _identity(self.path), ""
            with suppress(sqlite3.Error):
                before.close()

    def rows(self, query: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Return all rows of ``query``."""
        with self._noticing():
            return self._connection.execute(query, values).fetchall()

    def row(self, query: str, values: Sequence[object] = ()) -> tuple[Any, ...] | None:
        """Return the first row of ``query``, or None."""
        with self._noticing():
            found: tuple[Any, ...] | None = self._connection.execute(query, values).fetchone()
            return found

    def script(self, statements: str) -> None:
        """Run ``statements``, which make tables."""
        with self._noticing():
            self._connection.executescript(statements)

    @contextmanager
    def _noticing(self) -> Iterator[None]:
        """Hold the mutex; remember when SQLite says that the file is damaged."""
        with self._mutex:
            try:
                yield
            except sqlite3.Error as error:
                if is_damage(error):
                    self.damage = str(error)
                raise

    @contextmanager
    def _synchronous(self, lasting: bool) -> Iterator[None]:
        if lasting:
            yield
            return
        self._connection.execute("PRAGMA synchronous=NORMAL")
        try:
            yield
        finally:
            self._connection.execute("PRAGMA synchronous=FULL")

    @contextmanager
    def transaction(self, *, lasting: bool = True) -> Iterator[sqlite3.Connection]:
        """Run the block as one transaction: committed when the block ends, rolled back when it raises.

        What is not ``lasting`` survives the end of the process and may be lost in a power cut.
        """
        with self._noticing(), self._synchronous(lasting):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                # SQLite has already rolled back after a full disk.
                if self._connection.in_transaction:
                    with suppress(sqlite3.Error):  # of a damaged file the first error counts
                        self._connection.execute("ROLLBACK")
                raise


def _connected(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        connection.executescript(
            "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
        )
    except BaseException:
        connection.close()
        raise
    return connection


def _identity(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino


def is_damage(error: sqlite3.Error) -> bool:
    """Return whether ``error`` says that the file is no whole index, and not e.g. that the disk is full.

    Python raises the class itself, and none of its children, for SQLITE_CORRUPT and SQLITE_NOTADB.
    """
    return type(error) is sqlite3.DatabaseError or str(error).startswith(
        ("no such", "malformed", "Could not decode")
    )
