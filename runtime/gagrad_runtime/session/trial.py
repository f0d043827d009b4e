"""Opening a bundle's graphs in a child process, the first time that a device gets the bundle.

A malformed graph can crash an engine's loader, let it loop for ever or use up all memory, and the process
where this happens cannot catch it. So a child process opens the graphs first, within limits, and success is
stored by bundle and engine. Bundles that a trust policy trusts need no trial: their signers exported them,
and the export opened and ran every graph.
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
"""Seconds to open a bundle: on ONNX Runtime's CPU provider, and on an engine that compiles for a device."""
MEMORY, SLOW_MEMORY = 1 << 30, 8 << 30
"""Bytes that the child may use beside GROWTH times the graphs' size; the second with a device's driver."""
GROWTH = 8
"""Memory of an opened graph as a multiple of its file's size, at most."""
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
    """Open the graphs of ``bundle`` in a child, as ``backend`` on ``device``, unless that succeeded before.

    ``seconds`` and ``memory`` (bytes) replace the limits; ``progress`` is called while the child compiles.
    Raises BundleError when the child crashes or exceeds a limit, and ModelError or DeviceError when the
    engine refuses a graph.
    """
    passed = _passed_file(bundle, backend)
    if passed is not None and passed.exists():
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
    if passed is not None:
        with contextlib.suppress(OutputError):
            make_folder(passed.parent)
            write_atomic(passed, [])


def _passed_file(bundle: Bundle, backend: Backend) -> Path | None:
    """Return the empty file that exists once the trial has passed; None where nothing can be stored."""
    folder = cache_folder("opened")
    key = hashlib.sha256(f"{bundle.sha256} {backend.description}".encode()).hexdigest()
    return None if folder is None else folder / key


def _graphs(bundle: Bundle, backend: Backend) -> list[tuple[GraphRole, Buffer, int]]:
    """Return role, bytes (views) and largest batch of each graph that ``backend`` may be asked for.

    With the batch, so that the engine that the child compiles and keeps is the one that is used afterwards.
    """
    manifest = bundle.manifest
    return [
        (key.role, bundle.members[manifest.graph(key).file], largest_batch(manifest, key.role))
        for key in manifest.keys(backend.target, backend.precision)
    ]


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
    # The parent's sys.path and nothing else: the child does not import from the folder where it is started.
    command = [sys.executable, "-c", _CHILD, device, *sys.path]
    # An engine that compiles for minutes shows its progress on stderr.
    stderr = subprocess.DEVNULL if quiet else None
    process = subprocess.Popen(  # noqa: S603 - our own interpreter and code
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr
    )
    # By a thread: ``communicate`` loses its input when it is interrupted in order to check the limits.
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
    # A child that has died reads no more.
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
    """Return the resident memory of process ``pid`` in bytes; 0 where the system does not report it."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, LookupError, ValueError):
        return 0


def child() -> None:
    """Open the graphs from stdin on the device of the first argument, and report each graph on stdout."""
    device = sys.argv[1]
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # an engine's own output must not mix with the reports

    def report(line: str) -> None:
        answer.write(line + "\n")
        answer.flush()

    from gagrad_runtime.backend import open_backend  # noqa: PLC0415 - the parent does not need it here

    entries = msgspec.json.decode(sys.stdin.buffer.readline(), type=list[tuple[str, int, int]])
    try:
        backend = open_backend(device, threads=1)
        backend.progress = lambda *step: report(_PROGRESS + msgspec.json.encode(step).decode())
        for role, size, rows in entries:
            report(f"graph {role!r}")
            backend.open(role, sys.stdin.buffer.read(size), rows)
    except GagradError as error:
        report(_encoded(error))
        return
    report(_DONE)
    # Some engines crash when they are closed, which is no fault of the bundle.
    os._exit(0)


class _Refusal(msgspec.Struct):
    """An error on its way to the parent. JSON, not pickle, because the child has read an untrusted bundle."""

    kind: str
    what: str
    where: str | None
    hint: str | None
    choices: list[str]


def _encoded(error: GagradError) -> str:
    found = _Refusal(type(error).__name__, error.what, error.where, error.hint, list(error.choices))
    return msgspec.json.encode(found).decode()


def _error(line: str) -> GagradError | None:
    """Return the error that ``line`` encodes; None where it encodes none."""
    try:
        found = msgspec.json.decode(line, type=_Refusal)
    except msgspec.DecodeError:
        return None
    kind = getattr(errors, found.kind, None)
    if not (isinstance(kind, type) and issubclass(kind, GagradError)):
        return None
    return kind(found.what, where=found.where, hint=found.hint, choices=found.choices)
