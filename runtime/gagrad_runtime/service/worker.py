"""Worker: the one thread of a session, with a queue that never grows beyond what can be kept.

Whether a request is taken is decided at once, from how long such requests took lately: one that would wait
too long for its budget is refused, so that those that are taken keep theirs.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gagrad_runtime.service.pace import Recent
from gagrad_runtime.service.refusals import BUSY, RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

ANSWER = 0.005
"""Seconds of a budget that are kept for the way back."""
MARGIN = 1.3
"""What a wait may be longer than expected, for a budget that is kept: a busy machine is not even."""
RESTING = 10.0
"""Seconds without a request after which memory is given back."""
_log = logging.getLogger(__name__)


class LeftError(Exception):
    """The client has gone; nobody waits for the result."""


@dataclass(frozen=True)
class Done:
    """What a job gave."""

    result: Any
    least: float
    """Seconds that it would have taken with the fewest samples."""


@dataclass(eq=False)
class Ticket:
    """A request that was taken."""

    job: Callable[[Ticket], Done]
    kind: Hashable
    """Requests of one kind take about the same time."""
    deadline: float | None
    """Value of ``time.perf_counter()`` at which the answer is due; None: no budget."""
    future: Future[Any] = field(default_factory=Future)
    began: float | None = None
    left: bool = False
    """Whether the client has gone."""

    @property
    def remaining(self) -> float | None:
        """Seconds that the job may take from now on; None without a budget."""
        return None if self.deadline is None else self.deadline - ANSWER - time.perf_counter()

    def check(self, *progress: int) -> None:  # noqa: ARG002 - what a callback of the sampling gets
        """Raise LeftError when the client has gone. Called between the chunks of samples."""
        if self.left:
            raise LeftError


class Worker:
    """Runs jobs, one after the other, in a thread of its own.

    ``limit`` is the most that wait. ``rest`` is called there when there was no job for RESTING seconds.
    """

    def __init__(self, name: str, limit: int, rest: Callable[[], None] = lambda: None) -> None:
        self._limit = limit
        self._rest = rest
        self._queue: deque[Ticket] = deque()
        self._running: Ticket | None = None
        self._whole, self._least = Recent(), Recent()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=f"service {name}", daemon=True)
        self._thread.start()

    @property
    def ready(self) -> bool:
        """Whether requests are taken."""
        return not self._closed and self._thread.is_alive()

    @property
    def waiting(self) -> int:
        """Number of requests that wait."""
        return len(self._queue)

    def submit(
        self, job: Callable[[Ticket], Done], *, kind: Hashable = None, deadline: float | None = None
    ) -> Ticket:
        """Take ``job`` and return its ticket, at once. Raises RefusedError when it would not be kept."""
        ticket = Ticket(job, kind, deadline)
        with self._changed:
            self._check(kind, deadline)
            self._queue.append(ticket)
            self._changed.notify()
        return ticket

    def check(self, *, kind: Hashable = None, deadline: float | None = None) -> None:
        """Raise RefusedError when a request would not be taken now, before all of it has come."""
        with self._changed:
            self._check(kind, deadline)

    def leave(self, ticket: Ticket) -> None:
        """Give up ``ticket``: a waiting job is dropped, a running one ends after its chunk of samples."""
        with self._changed:
            ticket.left = True
            if ticket in self._queue:
                self._queue.remove(ticket)
        ticket.future.cancel()

    def close(self, seconds: float = 3) -> bool:
        """Drop what waits, and end the thread after its chunk of samples.

        Return whether it has ended within ``seconds``.
        """
        self.close_soon()
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def close_soon(self) -> None:
        """Begin to close, without waiting."""
        with self._changed:
            self._closed = True
            dropped = list(self._queue)
            self._queue.clear()
            if self._running is not None:
                self._running.left = True
            self._changed.notify()
        for ticket in dropped:
            ticket.future.cancel()

    def _check(self, kind: Hashable, deadline: float | None) -> None:
        now = time.perf_counter()
        wait = self._wait(now)
        if self._closed:
            raise RefusedError(BUSY, "the service is stopping", retry_after=5)
        if len(self._queue) >= self._limit:
            raise RefusedError(BUSY, f"{self._limit} requests wait already", retry_after=wait)
        # An idle worker tries: one slow request must not close the service to all others of its kind.
        idle = self._running is None and not self._queue
        least = self._least.usual(kind) if idle else self._least.slowest(kind)
        if deadline is not None and now + MARGIN * (wait + least) + ANSWER > deadline:
            raise RefusedError(
                BUSY,
                "the budget would not be kept: such a request takes "
                f"{1000 * least:.0f} ms at least, after a wait of {1000 * wait:.0f} ms",
                retry_after=wait,
            )

    def _wait(self, now: float) -> float:
        """Return the seconds until a new request would begin."""
        ahead = 0.0
        if self._running is not None and self._running.began is not None:
            ahead = max(0.0, self._expected(self._running) - (now - self._running.began))
        return ahead + sum(map(self._expected, self._queue))

    def _expected(self, ticket: Ticket) -> float:
        return self._whole.slowest(ticket.kind)

    def _run(self) -> None:
        rested = True
        while True:
            with self._changed:
                self._running = None
                self._changed.wait_for(lambda: self._queue or self._closed, None if rested else RESTING)
                if self._closed:
                    return
                ticket = self._running = self._queue.popleft() if self._queue else None
                began = time.perf_counter()
                if ticket is not None:
                    ticket.began = began
            rested = ticket is None
            if ticket is None:
                self._rest()
            else:
                self._do(ticket, began)

    def _do(self, ticket: Ticket, began: float) -> None:
        if not ticket.future.set_running_or_notify_cancel():
            return
        try:
            if ticket.remaining is not None and ticket.remaining <= 0:
                raise RefusedError(BUSY, "the budget was over before the work began", retry_after=1)
            done = ticket.job(ticket)
        except BaseException as error:  # noqa: BLE001 - whoever waits for the future gets it
            if not isinstance(error, Exception):
                _log.exception("a job ended unusually")
            ticket.future.set_exception(error)
            return
        with self._changed:
            self._whole.add(ticket.kind, time.perf_counter() - began)
            self._least.add(ticket.kind, done.least)
        ticket.future.set_result(done.result)
