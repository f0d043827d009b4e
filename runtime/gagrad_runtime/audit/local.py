"""The engine ``local``: a pool of processes on this machine, in which a dead one is replaced.

``concurrent.futures`` gives up when a worker dies, and ``multiprocessing.Pool`` waits for ever.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import traceback
from collections import deque
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any

from gagrad_edge.errors import DeviceError, GagradError
from gagrad_runtime.audit.deaths import NOWHERE, Deaths
from gagrad_runtime.audit.worker import make_shard
from gagrad_runtime.machine.child import die_first, die_with_the_parent

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from multiprocessing.connection import Connection

    from gagrad_runtime.audit.worker import Work

_SPAWN = multiprocessing.get_context("spawn")


class WorkerEndedError(DeviceError):
    """A process ended by itself, at ``image`` or ``NOWHERE``."""

    image = NOWHERE


class _Worker:
    """One process, what it is busy with, and at which image it is."""

    def __init__(self) -> None:
        ours, theirs = _SPAWN.Pipe()
        self.pipe: Connection = ours
        self.at: Any = _SPAWN.RawValue("q", NOWHERE)
        """Number of the image, in memory that outlives the process."""
        self.busy: int | None = None
        self.process = _SPAWN.Process(target=_serve, args=(theirs, self.at), daemon=True)
        self.process.start()
        theirs.close()

    def give(self, shard: int, function: Callable[..., Any], *arguments: Any) -> None:
        """Have the process call ``function``; a process that is dead is found by ``wait``."""
        self.busy = shard
        with contextlib.suppress(OSError):
            self.pipe.send((function, arguments))

    def answer(self) -> Any:
        """Return what the function returned; None where the process ended. Raises what it raised."""
        try:
            value, error = self.pipe.recv()
        except (EOFError, OSError):
            return None
        if error is not None:
            raise error
        return value

    def end(self) -> None:
        """End the process now."""
        self.process.kill()
        self.process.join()
        self.pipe.close()


def _serve(pipe: Connection, at: Any) -> None:
    """Call what comes through ``pipe``, until it is closed."""
    die_with_the_parent()
    die_first()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal sends it to all; the driver ends the workers

    def begin(number: int) -> None:
        at.value = number

    while True:
        try:
            function, arguments = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            pipe.send((function(*arguments, begin), None))
        except GagradError as error:
            pipe.send((None, error))
        except Exception:  # noqa: BLE001 - a defect of ours: the driver shows where
            pipe.send((None, RuntimeError(f"in a worker:\n{traceback.format_exc()}")))
        begin(NOWHERE)


def _shard(work: Work, number: int, given_up: frozenset[int], begin: Callable[[int], None]) -> int:
    return make_shard(work, number, given_up=given_up, begin=begin)


def call(function: Callable[..., Any], *arguments: Any) -> Any:
    """Return what ``function`` returns in a process of its own; its last argument is ``begin``.

    Raises what it raises, and WorkerEndedError when the process ends.
    """
    worker = _Worker()
    try:
        worker.give(0, function, *arguments)
        value = worker.answer()
        if value is None:
            raise _ends_early(worker)
        return value
    finally:
        worker.end()


def run_local(
    work: Work, numbers: Sequence[int], workers: int, on_done: Callable[[int], None] = lambda _: None
) -> None:
    """Make the shards ``numbers`` with so many processes; ``on_done`` is called with each one's number.

    A shard whose worker dies is made again. An image at which a worker died three times becomes a row with an
    error. Raises what a worker raises, and DeviceError where workers end before any image.
    """
    crew = [_Worker() for _ in range(min(workers, len(numbers)))]
    try:
        _Run(work, deque(numbers), crew, on_done).run()
    finally:
        for worker in crew:
            worker.end()


class _Run:
    """The driver's state."""

    def __init__(
        self, work: Work, queue: deque[int], crew: list[_Worker], on_done: Callable[[int], None]
    ) -> None:
        self.work, self.queue, self.crew, self.on_done = work, queue, crew, on_done
        self.deaths = Deaths(work.shard, len(crew))

    def run(self) -> None:
        """Give out shards until none is left."""
        while True:
            for worker in self.crew:
                if worker.busy is None and self.queue:
                    self._give(worker, self.queue.popleft())
            busy = [worker for worker in self.crew if worker.busy is not None]
            if not busy:
                return
            ready = wait([*(one.pipe for one in busy), *(one.process.sentinel for one in busy)])
            for worker in busy:
                if worker.pipe in ready:
                    self._take(worker)
                elif worker.process.sentinel in ready and not worker.pipe.poll():
                    self._replace(worker)

    def _give(self, worker: _Worker, number: int) -> None:
        worker.give(number, _shard, self.work, number, self.deaths.given_up(number))

    def _take(self, worker: _Worker) -> None:
        if worker.answer() is None:
            self._replace(worker)
            return
        assert worker.busy is not None  # noqa: S101 - only busy ones are waited for
        self.deaths.shard_done()
        self.on_done(worker.busy)
        worker.busy = None

    def _replace(self, worker: _Worker) -> None:
        """Put a new process in the place of a dead one, and queue its shard again."""
        worker.process.join()
        image, shard = int(worker.at.value), worker.busy
        if not self.deaths.add(image):
            raise _ends_early(worker)
        worker.end()
        self.crew[self.crew.index(worker)] = _Worker()
        if shard is not None:
            self.queue.appendleft(shard)


def _ends_early(worker: _Worker) -> WorkerEndedError:
    worker.process.join(1)
    error = WorkerEndedError(
        f"the processes that look at the images end (exit code {worker.process.exitcode})",
        where="workers",
        hint="take fewer `workers` if memory runs out; `gagrad-edge verify` tries the bundle by itself",
    )
    error.image = int(worker.at.value)
    return error
