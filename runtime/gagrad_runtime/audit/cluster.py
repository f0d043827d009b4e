"""The engine ``ray``: the same shards as tasks of Ray Core, on a cluster that is there or on this machine.

Not Ray Data: its checkpoint kept nothing of an unfinished run, and hung when it was resumed. Ray's own
retries are off, as it does not say at which image a worker died: the driver gives a lost shard out again, as
``local`` does.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gagrad_edge
from gagrad_edge.errors import DeviceError, GagradError, OutputError
from gagrad_runtime.audit.deaths import NOWHERE, Deaths
from gagrad_runtime.audit.packages import RAY, package
from gagrad_runtime.audit.plan import PLAN, SHARDS
from gagrad_runtime.audit.worker import make_shard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from gagrad_runtime.audit.worker import Work

_AHEAD = 2
"""Shards given out for each worker: one that is made, and one that waits."""
_SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",  # else it reports to its makers
    "RAY_raylet_start_wait_time_s": "120",  # a loaded machine is slow to start it
}
_STORE = 80 * 2**20
"""Bytes of Ray's store of objects when it is started here: nothing but numbers goes through it."""
_PATIENCE = 10
"""Seconds until a host that says nothing is given up."""
_LOST = ("WorkerCrashedError", "NodeDiedError", "OutOfMemoryError", "LocalRayletDiedError", "ObjectLostError")
"""Ray's errors when a worker ended, its node, or the way to it."""


def workers_of(address: str, *, gpu: bool) -> int:
    """Return how many tasks the cluster at ``address`` has room for.

    Raises DeviceError and MissingPackageError.
    """
    with _connected(address, 1) as ray:
        return max(int(ray.cluster_resources().get("GPU" if gpu else "CPU", 0)), 1)


def run_ray(
    work: Work,
    numbers: Sequence[int],
    workers: int,
    on_done: Callable[[int], None] = lambda _: None,
    *,
    address: str | None = None,
    gpu: bool = False,
) -> None:
    """Make the shards ``numbers``, as ``run_local`` does, with at most so many tasks at a time.

    ``address`` is that of a cluster, as ``ray.init`` takes it; without one Ray is started here and ended
    afterwards. With ``gpu`` each task has one to itself. Raises what a worker raises, DeviceError, and
    MissingPackageError.
    """
    with _connected(address, workers) as ray:
        _Run(ray, work, deque(numbers), workers, on_done, gpu=gpu).run()


@contextlib.contextmanager
def _connected(address: str | None, workers: int) -> Iterator[Any]:
    """Connect to Ray, and leave it afterwards."""
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    ray = package("ray", install=RAY)
    _check_heard(address)
    here = {"num_cpus": workers, "include_dashboard": False, "object_store_memory": _STORE}
    try:
        ray.init(
            address=address or "local",
            log_to_driver=False,
            logging_level="ERROR",
            **({} if address else here),
        )
    except (ConnectionError, OSError, RuntimeError, ValueError) as error:
        said = str(error).strip().splitlines()
        raise DeviceError(
            f"Ray cannot be reached ({said[0] if said else type(error).__name__})",
            where="address",
            hint="`ray status` on the head shows whether the cluster runs; where it asks for a token, set "
            "RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH here, too",
        ) from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _check_heard(address: str | None) -> None:
    """Raise DeviceError where nothing listens at an address ``HOST:PORT``: Ray would try for minutes."""
    host, colon, port = (address or "").rpartition("://")[2].rpartition(":")
    if not colon or not port.isdecimal():
        return  # such as ``auto``
    try:
        socket.create_connection((host.strip("[]"), int(port)), _PATIENCE).close()
    except (OSError, OverflowError) as error:
        raise DeviceError(
            f"Ray cannot be reached ({error})",
            where="address",
            hint="`ray status` on the head shows whether the cluster runs",
        ) from error


class _Run:
    """The driver's state."""

    def __init__(
        self,
        ray: Any,
        work: Work,
        queue: deque[int],
        workers: int,
        on_done: Callable[[int], None],
        *,
        gpu: bool,
    ) -> None:
        self.ray, self.work, self.queue, self.workers, self.on_done = ray, work, queue, workers, on_done
        needed = {"CPU": work.opening.threads or 1, "GPU": int(gpu)}
        _check_room(ray, needed)
        self.task = ray.remote(num_cpus=needed["CPU"], num_gpus=needed["GPU"], max_retries=0)(_shard)
        self.given: dict[Any, int] = {}
        """Shards by their tasks."""
        self.deaths = Deaths(work.shard, workers)
        self.lost = tuple(getattr(ray.exceptions, name) for name in _LOST)

    def run(self) -> None:
        """Give out shards until none is left."""
        while self.queue or self.given:
            while self.queue and len(self.given) < self.workers * _AHEAD:
                number = self.queue.popleft()
                left_out = self.deaths.given_up(number)
                self.given[self.task.remote(gagrad_edge.__version__, self.work, number, left_out)] = number
            (done, *_), _ = self.ray.wait(list(self.given), num_returns=1)
            number = self.given.pop(done)
            try:
                error = self.ray.get(done)
            except self.lost as lost:
                self._again(number, lost)
                continue
            if error is not None:
                raise error
            self.deaths.shard_done()
            self.on_done(number)

    def _again(self, number: int, lost: Exception) -> None:
        """Queue a shard again whose worker died. Raises DeviceError where workers end before any image."""
        image = _read_mark(_mark(self.work, number))
        if not self.deaths.add(image):
            raise DeviceError(
                f"the workers of Ray end ({str(lost).partition(chr(10))[0]})",
                where="workers",
                hint="take fewer `workers` if memory runs out",
            ) from lost
        self.queue.appendleft(number)


def _check_room(ray: Any, needed: dict[str, int]) -> None:
    """Raise DeviceError where no node can take a task: Ray would wait for one for ever."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if not any(all(node.get(name, 0) >= count for name, count in needed.items()) for node in nodes):
        asked = ", ".join(f"{count} {name}" for name, count in needed.items() if count)
        raise DeviceError(
            f"no node of Ray has what a task takes ({asked})",
            where="threads",
            hint="take fewer `threads`, or a `device` that the nodes have",
        )


def _shard(version: str, work: Work, number: int, given_up: frozenset[int]) -> GagradError | None:
    """Make one shard in a worker of Ray; an error of ours is returned, as Ray would wrap it."""
    try:
        _check_node(version, Path(work.folder))
        with _marking(_mark(work, number)) as begin:
            make_shard(work, number, given_up=given_up, begin=begin)
    except GagradError as error:
        return error
    return None


def _check_node(version: str, folder: Path) -> None:
    """Raise DeviceError and OutputError where a node has another version of us, or another disk."""
    if gagrad_edge.__version__ != version:
        raise DeviceError(
            f"gagrad-edge {gagrad_edge.__version__} runs there, and {version} here",
            where=os.uname().nodename,
            hint="install the same version on all nodes",
        )
    if not (folder / PLAN).is_file():
        raise OutputError(
            f"the audit is not seen on the node {os.uname().nodename}",
            where=str(folder),
            hint="bundle, images and output need the same paths on all nodes, on a disk that they share",
        )


def _mark(work: Work, number: int) -> Path:
    """Return the file in which a worker writes at which image of the shard it is; the next run removes it."""
    return Path(work.folder) / SHARDS / f".{number:06d}.at.part"


@contextlib.contextmanager
def _marking(mark: Path) -> Iterator[Callable[[int], None]]:
    """Write each image's number to ``mark``: what a killed process has written is there."""
    with mark.open("wb", buffering=0) as stream:

        def begin(image: int) -> None:
            stream.seek(0)
            stream.write(f"{image:<20}".encode())

        yield begin
    mark.unlink(missing_ok=True)


def _read_mark(mark: Path) -> int:
    """Return at which image a worker died; ``NOWHERE`` where it was at none."""
    try:
        image = int(mark.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return NOWHERE
    mark.unlink(missing_ok=True)
    return image
