"""Worker: one job at a time, a queue that is never longer than what can be kept, jobs that are given up."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from gagrad_runtime.service import pace
from gagrad_runtime.service import worker as module
from gagrad_runtime.service.refusals import RefusedError
from gagrad_runtime.service.worker import Done, LeftError, Ticket, Worker

LONG = 30.0


@pytest.fixture
def worker() -> Iterator[Worker]:
    """Return a worker with room for two that wait."""
    found = Worker("test", 2)
    yield found
    found.close()


def takes(seconds: float, least: float = 0.0) -> Callable[[Ticket], Done]:
    """Return a job of this duration that would have taken ``least`` seconds with the fewest samples."""

    def job(ticket: Ticket) -> Done:
        time.sleep(seconds)
        return Done(seconds, least)

    return job


class Held:
    """A job that runs until it is released, as sampling does: it looks whether somebody waits."""

    def __init__(self) -> None:
        self.began = threading.Event()
        self.released = threading.Event()
        self.steps = 0

    def __call__(self, ticket: Ticket) -> Done:
        """Run until ``released``, or until the client has gone."""
        self.began.set()
        while not self.released.wait(0.005):
            self.steps += 1
            ticket.check()
        return Done(self.steps, 0.0)


def until_idle(worker: Worker) -> None:
    """Wait until the worker's thread has nothing to do; a result comes a moment before."""
    end = time.monotonic() + LONG
    while worker._running is not None and time.monotonic() < end:
        time.sleep(0.001)


def in_ms(milliseconds: float) -> float:
    """Return the deadline in so many milliseconds."""
    return time.perf_counter() + milliseconds / 1000


def test_jobs_run_one_after_the_other_in_their_order(worker: Worker) -> None:
    """Never two at a time."""
    running: list[int] = []
    order: list[int] = []

    def job(number: int) -> Callable[[Ticket], Done]:
        def run(ticket: Ticket) -> Done:
            running.append(number)
            assert len(running) == 1
            time.sleep(0.01)
            order.append(running.pop())
            return Done(number, 0.0)

        return run

    held = Held()
    worker.submit(held)
    held.began.wait(LONG)
    tickets = [worker.submit(job(number)) for number in range(2)]
    held.released.set()
    assert [ticket.future.result(LONG) for ticket in tickets] == [0, 1] == order


def test_one_more_than_the_queue_holds_is_refused_at_once(worker: Worker) -> None:
    """With 503, and with the time after which to try again; what waits is not touched."""
    held = Held()
    worker.submit(held)
    held.began.wait(LONG)
    tickets = [worker.submit(takes(0)) for _ in range(2)]
    began = time.perf_counter()
    with pytest.raises(RefusedError, match="2 requests wait") as refused:
        worker.submit(takes(0))
    assert time.perf_counter() - began < 0.1
    assert refused.value.status == 503
    assert refused.value.retry_after is not None
    held.released.set()
    assert [ticket.future.result(LONG) for ticket in tickets] == [0, 0]


def test_a_budget_that_the_queue_would_not_keep_is_refused(worker: Worker) -> None:
    """By how long such jobs took lately; one without a budget, or with a longer one, is taken."""
    worker.submit(takes(0.2, least=0.1), kind="slow").future.result(LONG)
    held = Held()
    worker.submit(held, kind="slow")
    held.began.wait(LONG)
    with pytest.raises(RefusedError, match="budget would not be kept"):
        worker.submit(takes(0.2), kind="slow", deadline=in_ms(150))
    kept = worker.submit(takes(0.2), kind="slow", deadline=in_ms(LONG * 1000))
    held.released.set()
    assert kept.future.result(LONG) == 0.2


def test_what_was_slow_is_forgotten(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    """One bad moment does not refuse a budget for ever, though no request is taken that could tell better."""
    worker.submit(takes(0, least=100.0), kind="slow").future.result(LONG)
    with pytest.raises(RefusedError, match="budget would not be kept"):
        worker.submit(takes(0), kind="slow", deadline=in_ms(5000))
    monkeypatch.setattr(pace, "FORGOTTEN", 0.0)
    assert worker.submit(takes(0), kind="slow", deadline=in_ms(5000)).future.result(LONG) == 0


def test_one_slow_request_does_not_close_an_idle_worker(worker: Worker) -> None:
    """While others wait the slowest counts; with nobody before it a request is tried by what is usual."""
    for least in (0.0, 0.0, 100.0):
        worker.submit(takes(0, least=least), kind="part").future.result(LONG)
    until_idle(worker)
    assert worker.submit(takes(0), kind="part", deadline=in_ms(5000)).future.result(LONG) == 0
    held = Held()
    worker.submit(held, kind="other")
    held.began.wait(LONG)
    with pytest.raises(RefusedError, match="budget would not be kept"):
        worker.submit(takes(0), kind="part", deadline=in_ms(5000))
    held.released.set()


def test_a_budget_that_ends_in_the_queue_is_not_worked_on(worker: Worker) -> None:
    """Nobody can use the result any more."""
    held = Held()
    worker.submit(held)
    held.began.wait(LONG)
    late = worker.submit(takes(0), kind="unknown", deadline=in_ms(20))
    time.sleep(0.05)
    held.released.set()
    with pytest.raises(RefusedError, match="before the work began"):
        late.future.result(LONG)


def test_a_client_that_leaves_takes_its_job_with_it(worker: Worker) -> None:
    """A job that waits gives up its place at once; one that runs ends after its chunk of samples."""
    held = Held()
    running = worker.submit(held)
    held.began.wait(LONG)
    waiting = [worker.submit(takes(0)) for _ in range(2)]
    worker.leave(waiting[0])
    assert worker.waiting == 1
    worker.leave(running)
    assert waiting[1].future.result(LONG) == 0
    assert waiting[0].future.cancelled()
    with pytest.raises(LeftError):
        running.future.result(LONG)
    assert not held.released.is_set()


def test_an_error_is_the_jobs_own(worker: Worker) -> None:
    """Whoever asked gets it, and the next job runs."""

    def fails(ticket: Ticket) -> Done:
        raise MemoryError

    with pytest.raises(MemoryError):
        worker.submit(fails).future.result(LONG)
    assert worker.submit(takes(0)).future.result(LONG) == 0
    assert worker.ready


def test_closing_drops_what_waits_and_what_runs() -> None:
    """And takes nothing more."""
    worker = Worker("test", 2)
    held = Held()
    running = worker.submit(held)
    held.began.wait(LONG)
    waiting = worker.submit(takes(0))
    worker.close(LONG)
    assert waiting.future.cancelled()
    with pytest.raises(LeftError):
        running.future.result(LONG)
    assert not worker.ready
    with pytest.raises(RefusedError, match="stopping"):
        worker.submit(takes(0))


def test_memory_is_given_back_once_when_nobody_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a while without a request, in the worker's thread; a request that comes then is answered."""
    monkeypatch.setattr(module, "RESTING", 0.02)
    rested: list[str] = []
    worker = Worker("test", 2, lambda: rested.append(threading.current_thread().name))
    try:
        time.sleep(0.06)
        assert rested == []  # nothing was done yet
        worker.submit(takes(0)).future.result(LONG)
        end = time.monotonic() + LONG
        while not rested and time.monotonic() < end:
            time.sleep(0.005)
        time.sleep(0.06)
        assert rested == ["service test"]
        assert worker.submit(takes(0)).future.result(LONG) == 0
    finally:
        worker.close()


def test_a_request_is_judged_before_all_of_it_has_come(worker: Worker) -> None:
    """As ``submit`` judges it, and without taking a place."""
    worker.check(deadline=in_ms(1000))
    with pytest.raises(RefusedError, match="budget"):
        worker.check(deadline=in_ms(1))
    assert worker.waiting == 0
    worker.close()
    with pytest.raises(RefusedError, match="stopping"):
        worker.check()
