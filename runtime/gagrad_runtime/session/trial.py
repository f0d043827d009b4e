"""The first time a device meets a bundle, its engine opens the graphs in a child process.

A malformed graph can crash an engine's loader, make it search for ever or take all memory, and none of that
can be caught in the process where it happens. So the child tries it, within limits, and what it came through
is remembered by bundle and engine. Not done for bundles that a trust policy vouches for: their signers
exported them, which opened and ran every graph.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from gagrad_edge import errors
from gagrad_edge.atomic import make_folder, write_atomic
from gagrad_edge.errors import BundleError, GagradError, OutputError
from gagrad_runtime.backend.graphs import largest_batch
from gagrad_runtime.machine.cache import cache_folder

if TYPE_CHECKING:
    from gagrad_edge.bundle.archive import Buffer
    from gagrad_edge.bundle.bundle import Bundle
    from gagrad_edge.manifest import GraphRole
    from gagrad_runtime.backend import Backend
    from gagrad_runtime.backend.base import BuildProgress

SECONDS, SLOW_SECONDS = 120.0, 3600.0
"""Time to open a bundle: on the engine that exporters verify with, and on one that compiles for a device."""
MEMORY, SLOW_MEMORY = 1 << 30, 8 << 30
"""Bytes that the child may hold beside GROWTH times the graphs; the second with a device's driver."""
GROWTH = 8
_POLL = 0.02
_DONE = "done"
_PROGRESS = "progress "
_CHILD = "import sys; sys.path[:] = sys.argv[2:]; from gagrad_runtime.session.trial import child; child()"

_log = logging.getLogger(__name__)


def try_opening(
    bundle: Bundle,
    backend: Backend,
    device: str,
    *,
    seconds: float | None = None,
    memory: int | None = None,
    progress: BuildProgress | None = None,
) -> None:
    """Open the graphs of ``bundle`` in a child, as ``backend`` on ``device``, unless that was done before.

    ``seconds`` and ``memory`` (bytes) replace the limits; ``progress`` is called while the child compiles.
    Raises BundleError when the child crashes or exceeds them, and what the engine itself has against a graph:
    ModelError or DeviceError.
    """
    mark = _mark(bundle, backend)
    if mark is not None and mark.exists():
        return
    if getattr(sys, "frozen", False) or not sys.executable:
        _log.warning("the graphs are not tried in a child process: this program has no Python of its own")
        return
    graphs = _graphs(bundle, backend)
    size = sum(len(data) for _, data, _ in graphs)
    fast = backend.verified
    _run(
        graphs,
        device,
        where=str(bundle.path),
        seconds=seconds or (SECONDS if fast else SLOW_SECONDS),
        memory=memory or (MEMORY if fast else SLOW_MEMORY) + GROWTH * size,
        quiet=fast,
        progress=progress,
    )
    if mark is not None:
        with contextlib.suppress(OutputError):
            make_folder(mark.parent)
            write_atomic(mark, [])


def _mark(bundle: Bundle, backend: Backend) -> Path | None:
    """Return the file whose presence says that this was done; None where nothing can be kept."""
    folder = cache_folder("opened")
    key = hashlib.sha256(f"{bundle.sha256} {backend.description}".encode()).hexdigest()
    return None if folder is None else folder / key


def _graphs(bundle: Bundle, backend: Backend) -> list[tuple[GraphRole, Buffer, int]]:
    """Return role, bytes (views) and largest batch of each graph that ``backend`` may be asked for.

    The batch as well, so that an engine which the child compiles and keeps is the one that is used then.
    """
    manifest, found = bundle.manifest, {}
    for entry in manifest.graphs:
        chosen = manifest.graph(entry.role, backend.target, entry.variant, backend.precision)
        found[entry.role, entry.variant] = bundle.members[chosen.file]
    return [(role, data, largest_batch(manifest, role)) for (role, _), data in found.items()]


def _run(
    graphs: list[tuple[GraphRole, Buffer, int]],
    device: str,
    *,
    where: str,
    seconds: float,
    memory: int,
    quiet: bool,
    progress: BuildProgress | None,
) -> None:
    head = msgspec.json.encode([(role, len(data), rows) for role, data, rows in graphs]) + b"\n"
    # With the parent's path and nothing else: the folder where it was started is not the child's business.
    command = [sys.executable, "-c", _CHILD, device, *sys.path]
    said_to = subprocess.DEVNULL if quiet else None
    process = subprocess.Popen(  # noqa: S603 - our own interpreter and code
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said_to
    )
    # By a thread: ``communicate`` forgets its input when it is interrupted to look at the limits.
    feeding = threading.Thread(target=_feed, args=(process.stdin, [head, *(data for _, data, _ in graphs)]))
    process.stdin = None
    feeding.start()
    lines: list[str] = []
    reading = threading.Thread(target=_read, args=(process.stdout, lines, progress))
    reading.start()
    began, problem = time.monotonic(), ""
    with process:
        while True:
            try:
                process.wait(timeout=_POLL)
                break
            except subprocess.TimeoutExpired:
                if time.monotonic() - began > seconds:
                    problem = f"it was not done after {seconds:g} s"
                elif _resident(process.pid) > memory:
                    problem = f"it took more than {memory / 2**20:.0f} MiB of memory"
                if problem:
                    process.kill()
            except BaseException:
                process.kill()
                reading.join()
                raise
        reading.join()
    feeding.join()
    if lines and lines[-1] == _DONE and process.returncode == 0:
        return
    error = None if problem or not lines else _error(lines[-1])
    if error is not None:
        raise error
    graph = next((line for line in reversed(lines) if line.startswith("graph ")), "the engine")
    raise BundleError(
        f"opening {graph} failed in a child process: {problem or _death(process.returncode)}",
        where=where,
        hint="do not use this bundle unless you know who made it; if you do, export it again, and report it",
    )


def _feed(pipe: Any, pieces: list[Buffer]) -> None:
    # A child that is dead takes no more.
    with contextlib.suppress(BrokenPipeError), pipe:
        for piece in pieces:
            pipe.write(piece)


def _read(pipe: Any, lines: list[str], progress: BuildProgress | None) -> None:
    """Append the child's lines to ``lines``, and pass those about progress to ``progress``."""
    for data in pipe:
        line = data.decode("utf-8", "replace").rstrip("\n")
        if not line.startswith(_PROGRESS):
            lines.append(line)
        elif progress is not None:
            progress(*msgspec.json.decode(line.removeprefix(_PROGRESS), type=tuple[int, int, str]))


def _death(code: int) -> str:
    if code < 0:
        with contextlib.suppress(ValueError):
            return f"the engine crashed ({signal.Signals(-code).name})"
    return f"the engine ended with code {code}"


def _resident(pid: int) -> int:
    """Return the bytes of memory that process ``pid`` holds; 0 where the system does not tell."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, LookupError, ValueError):
        return 0


def child() -> None:
    """Open the graphs that stdin brings on the device that is the first argument; tell each on stdout."""
    device = sys.argv[1]
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what an engine prints is no answer

    def say(line: str) -> None:
        answer.write(line + "\n")
        answer.flush()

    from gagrad_runtime.backend import open_backend  # noqa: PLC0415 - the parent does not need it here

    entries = msgspec.json.decode(sys.stdin.buffer.readline(), type=list[tuple[str, int, int]])
    try:
        backend = open_backend(device, threads=1)
        backend.progress = lambda *step: say(_PROGRESS + msgspec.json.encode(step).decode())
        for role, size, rows in entries:
            say(f"graph {role!r}")
            backend.open(role, sys.stdin.buffer.read(size), rows)
    except GagradError as error:
        say(_encoded(error))
        return
    say(_DONE)
    # Some engines fall over when they are taken down; that is no fault of the bundle.
    os._exit(0)


class _Refusal(msgspec.Struct):
    """An error on its way to the parent. Not pickled: the child has read what nobody vouches for."""

    kind: str
    what: str
    where: str | None
    hint: str | None
    choices: list[str]


def _encoded(error: GagradError) -> str:
    found = _Refusal(type(error).__name__, error.what, error.where, error.hint, list(error.choices))
    return msgspec.json.encode(found).decode()


def _error(line: str) -> GagradError | None:
    """Return the error in ``line``, if it is one."""
    try:
        found = msgspec.json.decode(line, type=_Refusal)
    except msgspec.DecodeError:
        return None
    kind = getattr(errors, found.kind, None)
    if not (isinstance(kind, type) and issubclass(kind, GagradError)):
        return None
    return kind(found.what, where=found.where, hint=found.hint, choices=found.choices)
