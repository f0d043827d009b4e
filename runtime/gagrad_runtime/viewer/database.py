"""The viewer's database: one file, one thread that writes, several that read.

What the writing thread is given while it commits is committed together next time, so that two hundred
stations cost a few synchronisations of the disk a second and not two hundred. Nothing is acknowledged before
the commit that holds it is on the disk (``synchronous=FULL``).
"""

from __future__ import annotations

import contextlib
import logging
import queue
import sqlite3
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, TypeVar

from gagrad_edge.atomic import make_folder, output_error
from gagrad_edge.errors import OutputError
from gagrad_runtime.machine import lock
from gagrad_runtime.viewer.schema import VERSION, bring_up

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    _Job = tuple[Callable[[sqlite3.Connection], Any], Future[Any]]

NAME = "viewer.sqlite"
BATCH = 256
"""Most writes of one transaction."""
WAITING = 2048
"""Most writes that wait; beyond it the answer is 503, and stations keep their events meanwhile."""
_CACHE_KB = 4096
"""Memory of a connection for pages of the file."""
_log = logging.getLogger(__name__)
T = TypeVar("T")


class BusyError(Exception):
    """More writes wait than are taken."""


class FullError(Exception):
    """The database cannot be written: the disk is full, or read-only."""


class Database:
    """The database in ``folder``, locked against a second viewer. Raises OutputError."""

    def __init__(self, folder: Path) -> None:
        make_folder(folder)
        self.folder = folder
        self._path = folder / NAME
        try:
            self._lock = lock.acquire(folder / ".viewer.lock", mode=0o600)
        except BlockingIOError as error:
            raise OutputError(
                "another viewer keeps its data here", where=str(folder), hint="give another folder"
            ) from error
        self._connection = self._opened()
        self._queue: queue.Queue[_Job | None] = queue.Queue(WAITING)
        self._readers = threading.local()
        self._open: list[sqlite3.Connection] = []
        self._closed = False
        self.full = False
        """Whether the last commit failed."""
        self._thread = threading.Thread(target=self._write_all, name="viewer-writes", daemon=True)
        self._thread.start()

    def write(self, job: Callable[[sqlite3.Connection], T]) -> Future[T]:
        """Run ``job`` in a transaction in the writing thread; its result comes after the commit.

        The future raises FullError when the transaction cannot be written, and what ``job`` raises: its own
        changes are undone then, and those of others stay. Raises BusyError.
        """
        future: Future[T] = Future()
        try:
            self._queue.put_nowait((job, future))
        except queue.Full:
            raise BusyError from None
        return future

    def reader(self) -> sqlite3.Connection:
        """Return this thread's connection for reading."""
        found: sqlite3.Connection | None = getattr(self._readers, "connection", None)
        if found is None:
            found = self.connected()
            found.execute("PRAGMA query_only=ON")
            self._readers.connection = found
            self._open.append(found)
        return found

    def close(self) -> None:
        """Write what waits, and close."""
        if self._closed:
            return
        self._closed = True
        self._queue.put(None)
        self._thread.join()
        for connection in [self._connection, *self._open]:
            connection.close()
        lock.release(self._lock)

    def connected(self) -> sqlite3.Connection:
        """Return a new connection; the caller closes it."""
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False, timeout=10)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute(f"PRAGMA cache_size=-{_CACHE_KB}")
        return connection

    def _opened(self) -> sqlite3.Connection:
        """Return the connection of the writing thread. Raises OutputError."""
        try:
            connection = self.connected()
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version > VERSION:
                raise OutputError(
                    f"the viewer's data have version {version}, and this gagrad-edge reads {VERSION}",
                    where=str(self._path),
                    hint="use the newer gagrad-edge, or give another folder",
                )
            if version < VERSION:
                bring_up(connection, version)
        except sqlite3.Error as error:
            lock.release(self._lock)
            raise OutputError(
                f"the viewer's data cannot be read ({error})",
                where=str(self._path),
                hint="put back a copy of the folder, or move this one away: then a new history begins",
            ) from error
        except OSError as error:
            raise output_error(self._path, error) from error
        return connection

    def _write_all(self) -> None:
        """Write what comes, many in one transaction, until the end."""
        ended = False
        while not ended:
            jobs = []
            for job in self._batch():
                if job is None:
                    ended = True
                elif job[1].set_running_or_notify_cancel():  # else nobody waits for it any more
                    jobs.append(job)
            if jobs:
                self._write(jobs)

    def _batch(self) -> Iterator[_Job | None]:
        yield self._queue.get()
        with contextlib.suppress(queue.Empty):
            for _ in range(BATCH):
                yield self._queue.get_nowait()

    def _write(self, jobs: list[_Job]) -> None:
        connection, done = self._connection, []
        try:
            connection.execute("BEGIN IMMEDIATE")
            for job, future in jobs:
                done.append((future, *_run(connection, job)))
            connection.execute("COMMIT")
        except Exception as error:  # noqa: BLE001 - none of them is stored
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            if len(jobs) > 1:  # one alone may be the cause
                for one in jobs:
                    self._write([one])
                return
            if not self.full:
                _log.error("nothing can be stored, and nothing is acknowledged until it can: %s", error)
            self.full = True
            jobs[0][1].set_exception(FullError(str(error)))
            return
        if self.full:
            _log.warning("events are stored again")
        self.full = False
        for future, result, problem in done:
            if problem is None:
                future.set_result(result)
            else:
                future.set_exception(problem)


def _run(
    connection: sqlite3.Connection, job: Callable[[sqlite3.Connection], T]
) -> tuple[T | None, Exception | None]:
    """Return what ``job`` returns, or what it raises, with its changes undone.

    Raises what says that nothing can be written at all: then all of the transaction is void.
    """
    connection.execute("SAVEPOINT one")
    try:
        result, problem = job(connection), None
    except (OSError, OutputError, sqlite3.OperationalError):
        raise
    except Exception as error:
        if type(error) is sqlite3.DatabaseError:  # the file is damaged
            raise
        connection.execute("ROLLBACK TO one")
        result, problem = None, error
    connection.execute("RELEASE one")
    return result, problem
