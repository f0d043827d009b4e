"""Run many small trials in child processes: a trial that crashes its process is counted, and the run goes on."""

from __future__ import annotations

import multiprocessing
import os
import resource
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    Batch = Callable[[int, int, Any], Counter[str]]


@dataclass
class Tally:
    """Outcomes by name, the child processes that died, and the peak memory of a child."""

    outcomes: Counter[str] = field(default_factory=Counter)
    deaths: list[int] = field(default_factory=list)
    """First seeds of the batches whose process died."""
    peak: int = 0
    """Peak memory of a child process, in bytes."""


def in_batches(run: Batch, total: int, size: int, argument: Any, seconds: int = 600) -> Tally:
    """Run ``run(first seed, count, argument)`` for ``total`` seeds, in a new process for every ``size`` seeds."""
    context = multiprocessing.get_context("spawn")
    tally = Tally()
    for first in range(0, total, size):
        ours, theirs = context.Pipe(duplex=False)
        count = min(size, total - first)
        child = context.Process(target=_child, args=(theirs, run, first, count, argument))
        child.start()
        theirs.close()
        try:
            if not ours.poll(seconds):
                raise EOFError
            outcomes, peak = ours.recv()
            tally.outcomes += outcomes
            tally.peak = max(tally.peak, peak)
        except EOFError:
            tally.deaths.append(first)
            child.kill()
        child.join()
        print(f"\r{first + count} of {total}", end="", flush=True)
    print()
    return tally


def _child(pipe: Any, run: Batch, first: int, count: int, argument: Any) -> None:
    # Decoders written in C print thousands of warnings to stderr.
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    outcomes = run(first, count, argument)
    pipe.send((outcomes, 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss))
