"""Opening and running a bundle's graphs in a child process, the first time that a device gets the bundle.

A malformed graph can crash an engine, let it loop for ever or use up all memory, when it is opened or only
when it is run, and the process where this happens cannot catch it. So a child process opens the graphs first
and runs each once on the self-test's frame, within limits. What it took is stored by bundle and engine, and
holds as long as it is within the limits of the day. Bundles that a trust policy trusts need no trial: their
signers exported them, and the export opened and ran every graph.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from gagrad_edge.atomic import make_folder, write_atomic
from gagrad_edge.errors import BundleError, OutputError
from gagrad_edge.manifest import WEIGHTS
from gagrad_runtime.backend.graphs import largest_batch
from gagrad_runtime.machine.cache import cache_folder
from gagrad_runtime.session.trial_child import DONE, PROGRESS, STEPS, Head, error_of, peak_memory

if TYPE_CHECKING:
    from pathlib import Path

    from gagrad_edge.bundle.archive import Buffer
    from gagrad_edge.bundle.bundle import Bundle
    from gagrad_edge.bundle.graph_file import GraphFile
    from gagrad_edge.manifest import GraphKey
    from gagrad_runtime.backend import Backend
    from gagrad_runtime.backend.base import BuildProgress

SECONDS, SLOW_SECONDS = 120.0, 3600.0
"""Seconds to open a graph or to run it once: on ONNX Runtime's CPU provider, and on an engine that compiles
for a device."""
GRAPHS = 10
"""Seconds for all graphs of a bundle, as a multiple of those for one."""
MEMORY, SLOW_MEMORY = 1 << 30, 8 << 30
"""Bytes that the child may use beside GROWTH and PIXEL; the second with a device's driver."""
GROWTH = 8
"""Memory of an opened graph as a multiple of the size of its file and its tensors, at most."""
PIXEL = 16 << 10
"""Bytes of activations and their gradients for each pixel of the image, at most: transformers at a high
resolution have the most."""
_POLL = 0.02
_TRIAL = "opened and run"
"""Part of the key of what is remembered: another trial is another key."""
_CHILD = (
    "import sys; sys.path[:] = sys.argv[2:]; from gagrad_runtime.session.trial_child import child; child()"
)

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
    fast = backend.verified
    height, width = bundle.manifest.input.shape[1:]

    def limits_of(size: int) -> Limits:
        return Limits(
            seconds or (SECONDS if fast else SLOW_SECONDS),
            memory or ((MEMORY if fast else SLOW_MEMORY) + GROWTH * size + PIXEL * height * width),
            size,
        )

    passed = _passed_file(bundle, backend)
    took = None if passed is None else _earlier(passed)
    if took is not None and took.within(limits_of(took.size)):
        return
    graphs = _graphs(bundle, backend)
    limits = limits_of(sum(graph.file.size for graph in graphs))
    if getattr(sys, "frozen", False) or not sys.executable:
        _log.warning("the graphs are not tried in a child process: this program has no Python of its own")
        return
    took = _run(bundle, graphs, device, limits, quiet=fast, progress=progress)
    if passed is not None:
        with contextlib.suppress(OutputError):
            make_folder(passed.parent)
            write_atomic(passed, [msgspec.json.encode(took)])


class Limits(msgspec.Struct, frozen=True):
    """Limits of a trial, or what it took."""

    seconds: float
    """Of the longest step: to open a graph, or to run it."""
    memory: int
    """Peak of the resident memory, bytes; 0 where the system does not report it."""
    size: int
    """Of the graphs with their tensors, bytes."""

    def within(self, limits: Limits) -> bool:
        """Tell whether what was taken is within ``limits``."""
        return self.seconds <= limits.seconds and self.memory <= limits.memory


@dataclass(frozen=True)
class _Graph:
    """One graph of the trial."""

    key: GraphKey
    file: GraphFile
    rows: int
    """The largest batch, so that the engine that the child compiles and keeps is the one used afterwards."""


def _earlier(passed: Path) -> Limits | None:
    """Return what an earlier trial of the same graphs took; None where none passed."""
    try:
        return msgspec.json.decode(passed.read_bytes(), type=Limits)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None


def _passed_file(bundle: Bundle, backend: Backend) -> Path | None:
    """Return the file with what the trial took, once it has passed; None where nothing can be stored."""
    folder = cache_folder("opened")
    key = hashlib.sha256(f"{bundle.sha256} {backend.description} {_TRIAL}".encode()).hexdigest()
    return None if folder is None else folder / key


def _graphs(bundle: Bundle, backend: Backend) -> list[_Graph]:
    """Return the graphs that ``backend`` may be asked for."""
    manifest = bundle.manifest
    return [
        _Graph(key, bundle.graph_file(key), largest_batch(manifest, key.role))
        for key in manifest.keys(backend.target, backend.precision)
    ]


def _run(
    bundle: Bundle,
    graphs: list[_Graph],
    device: str,
    limits: Limits,
    *,
    quiet: bool,
    progress: BuildProgress | None,
) -> Limits:
    """Run the child and return what it took. Raises what ``try_opening`` raises."""
    members = _members(bundle, graphs)
    head = Head(
        str(bundle.path),
        len(bundle.manifest_bytes),
        {name: len(data) for name, data in members.items()},
        [(graph.key.role, graph.key.variant, len(graph.file.data), graph.rows) for graph in graphs],
    )
    pieces: list[Buffer] = [msgspec.json.encode(head) + b"\n", bundle.manifest_bytes, *members.values()]
    # The parent's sys.path and nothing else: the child does not import from the folder where it is started.
    command = [sys.executable, "-c", _CHILD, device, *sys.path]
    # An engine that compiles for minutes shows its progress on stderr.
    stderr = subprocess.DEVNULL if quiet else None
    process = subprocess.Popen(  # noqa: S603 - our own interpreter and code
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr
    )
    # By a thread: ``communicate`` loses its input when it is interrupted in order to check the limits.
    feeding = threading.Thread(
        target=_feed, args=(process.stdin, [*pieces, *(graph.file.data for graph in graphs)])
    )
    process.stdin = None
    feeding.start()
    lines: list[str] = []
    reading = threading.Thread(target=_read, args=(process.stdout, lines, progress))
    reading.start()
    with process:
        try:
            took, problem = _watched(process, lines, limits)
        except BaseException:
            process.kill()
            raise
        finally:
            reading.join()
    feeding.join()
    if lines and lines[-1].startswith(DONE) and process.returncode == 0 and not problem:
        # The child's own figure: a peak may lie between two looks at it.
        peak = max(took.memory, int(lines.pop().removeprefix(DONE)))
        if peak <= limits.memory:
            return Limits(took.seconds, peak, limits.size)
        problem = _greedy(limits)
    error = None if problem or not lines else error_of(lines[-1])
    if error is not None:
        raise error
    graph = next((line for line in reversed(lines) if line.startswith(STEPS)), "opening the engine")
    raise BundleError(
        f"{graph} failed in a child process: {problem or _death(process.returncode)}",
        where=str(bundle.path),
        hint="do not use this bundle unless you know who made it; if you do, export it again, and report it",
    )


def _members(bundle: Bundle, graphs: list[_Graph]) -> dict[str, Buffer]:
    """Return the members that the child needs beside the graphs: the frame, and the stored tensors."""
    weights = bundle.weights
    hashes = {weights.source(one.sha256): None for graph in graphs for one in graph.file.references}
    names = [bundle.manifest.selftest.frame, *(WEIGHTS + name for name in hashes)]
    return {name: bundle.members[name] for name in names if name in bundle.members}


def _watched(process: subprocess.Popen[bytes], lines: list[str], limits: Limits) -> tuple[Limits, str]:
    """Wait for the child's end; return what it took, and why it was killed, empty when it was not."""
    problem = ""
    began = step = time.monotonic()
    reported, longest, peak = 0, 0.0, 0
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=_POLL)
            return Limits(longest, peak, limits.size), problem
        now, peak = time.monotonic(), max(peak, peak_memory(process.pid))
        if len(lines) > reported:
            reported, step = len(lines), now
        longest = max(longest, now - step)
        if longest > limits.seconds or now - began > GRAPHS * limits.seconds:
            problem = f"it was not done after {min(now - began, limits.seconds):g} s"
        elif peak > limits.memory:
            problem = _greedy(limits)
        if problem:
            process.kill()


def _greedy(limits: Limits) -> str:
    return f"it took more than {limits.memory / 2**20:.0f} MiB of memory"


def _feed(pipe: Any, pieces: list[Buffer]) -> None:
    # A child that has died reads no more.
    with contextlib.suppress(BrokenPipeError), pipe:
        for piece in pieces:
            pipe.write(piece)


def _read(pipe: Any, lines: list[str], progress: BuildProgress | None) -> None:
    """Append the child's lines to ``lines``, and pass those about progress to ``progress``."""
    for data in pipe:
        line = data.decode("utf-8", "replace").rstrip("\n")
        if not line.startswith(PROGRESS):
            lines.append(line)
        elif progress is not None:
            progress(*msgspec.json.decode(line.removeprefix(PROGRESS), type=tuple[int, int, str]))


def _death(code: int) -> str:
    if code < 0:
        with contextlib.suppress(ValueError):
            return f"the engine crashed ({signal.Signals(-code).name})"
    return f"the engine ended with code {code}"
