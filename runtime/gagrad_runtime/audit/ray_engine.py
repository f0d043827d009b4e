"""The engine ``ray``: the same shards as tasks of Ray, on a cluster that is there or on this machine alone.

Ray Core's tasks, not Ray Data: its checkpoint kept nothing of an unfinished run and hung when it was resumed.
Bundle, images and folder must be reachable under the same paths on every node.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from gagrad_edge.errors import DeviceError, GagradError
from gagrad_runtime.audit.packages import RAY, package
from gagrad_runtime.audit.worker import make_shard

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gagrad_runtime.audit.worker import Work

RETRIES = 10
"""Times that Ray gives a shard to another worker when one dies, or its node."""
_WAITING = 2
"""Shards given out for each worker: one that is made, and one that waits."""


def run_ray(
    work: Work,
    numbers: Sequence[int],
    workers: int,
    on_done: Callable[[int], None] = lambda _: None,
    *,
    address: str | None = None,
) -> None:
    """Make the shards ``numbers``, as ``run_local`` does, with at most so many tasks at a time.

    ``address`` is that of a cluster, such as ``ray://head:10001``; without one Ray is started here and ended
    afterwards. Raises what a worker raises, DeviceError, and MissingPackageError.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # else it reports to its makers
    os.environ.setdefault("RAY_raylet_start_wait_time_s", "120")  # a loaded machine is slow to start it
    ray = package("ray", install=RAY)
    alone = {} if address else {"num_cpus": workers, "include_dashboard": False}
    try:
        ray.init(address=address or "local", log_to_driver=False, configure_logging=False, **alone)
    except (ConnectionError, OSError, RuntimeError, ValueError) as error:
        raise DeviceError(f"Ray cannot be reached ({error})", where="address") from error
    try:
        _run(ray, work, list(numbers), workers, on_done)
    finally:
        ray.shutdown()


def _run(ray: Any, work: Work, numbers: list[int], workers: int, on_done: Callable[[int], None]) -> None:
    task = ray.remote(num_cpus=1, max_retries=RETRIES)(_shard)
    given: dict[Any, int] = {}
    try:
        while numbers or given:
            while numbers and len(given) < workers * _WAITING:
                number = numbers.pop(0)
                given[task.remote(work, number)] = number
            (done, *_), _ = ray.wait(list(given), num_returns=1)
            error = ray.get(done)
            if error is not None:
                raise error
            on_done(given.pop(done))
    except ray.exceptions.RayError as error:
        raise DeviceError(f"Ray gave up: {str(error).partition(chr(10))[0]}", where="engine") from error


def _shard(work: Work, number: int) -> GagradError | None:
    """Make one shard in a worker of Ray; an error of ours is returned, as Ray would wrap it."""
    try:
        make_shard(work, number)
    except GagradError as error:
        return error
    return None
