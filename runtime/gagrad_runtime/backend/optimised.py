"""Graphs as ONNX Runtime has optimised them for this processor, kept for the next start.

Most of the time that a graph takes to open goes into the layout of its weights: ONNX Runtime rearranges
them into blocks for the processor, in memory of its own, for each graph again. What comes out is kept: the
optimised graph as a plan (``plans.py``), and each of its tensors once, in a file that its hash names. The
next session maps the tensors and rearranges nothing, and all graphs of a process share one mapping. See
docs/adr/0048-optimised-graphs-are-kept.md.

On each start the hashes of the tensors are computed, and the graph's code is checked: what a flash memory has
lost is made again.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import shutil
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from gagrad_edge.atomic import make_folder, write_atomic
from gagrad_edge.bundle.mapping import contents, release
from gagrad_edge.bundle.onnx_wire import DTYPES, at, inline, relocated
from gagrad_edge.errors import BundleError, OutputError
from gagrad_edge.manifest import WEIGHTS
from gagrad_runtime.backend.plans import SUFFIX, Plans, plan_key

if TYPE_CHECKING:
    from collections.abc import Callable

    from gagrad_edge.bundle.archive import Buffer
    from gagrad_edge.bundle.graph_file import GraphFile
    from gagrad_edge.bundle.onnx_wire import External

GRAPH, TENSORS = "graph.onnx", "tensors.bin"
"""Names of the files that the engine writes."""
SMALLEST = 4096
"""Bytes from which a tensor has a file of its own: a page, which is what a mapping takes at least."""
LIMIT = 4 << 30
"""Bytes of tensors that are kept; the graphs that were not used for longest go first."""
RESERVE = 1 << 30
"""Bytes that stay free on the disk."""
_FORM = 1
"""Part of each key: another number where what is kept is made in another way."""
_YOUNG = 24 * 3600.0
"""Seconds for which a file that no graph names may belong to a process that is at work."""
_NEW = ".new-"
_END = b"\n"
"""Between the hashes of a plan's tensors and its graph."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class OptimisedGraph:
    """One graph, to be opened without any further optimisation."""

    data: bytes
    """The ONNX file, which refers to ``tensors`` by the names of files."""
    tensors: dict[str, memoryview]
    """Contents of those files. They must live as long as a session that uses them where they are."""


class OptimisedGraphs:
    """The optimised graphs in ``folder``, which no other user may write.

    ``setting`` is what they depend on beside the graphs: engine and processor. Nothing is kept where
    ``folder`` is None or cannot be used.
    """

    def __init__(self, folder: Path | None, setting: str) -> None:
        self._plans = Plans(folder, level=logging.DEBUG)
        self._setting = setting
        self._mapped: WeakValueDictionary[str, memoryview] = WeakValueDictionary()

    def get(
        self, file: GraphFile, write: Callable[[Path], None], same: Callable[[OptimisedGraph], bool]
    ) -> OptimisedGraph | None:
        """Return the graph in ``file`` as it was optimised; None where it is not kept.

        Where it is not there yet, ``write`` opens the graph and has the engine write GRAPH and TENSORS into a
        folder, and ``same`` tells whether what was kept of them computes the same. Errors of both are the
        caller's, and then nothing is kept.
        """
        if self._plans.folder is None:
            return None
        key = plan_key(bytes(file.data), self._setting, _FORM)
        opened: list[OptimisedGraph | None] = []

        def good(plan: bytes) -> bool:
            try:
                opened[:] = [self._opened(plan, key)]
            except _DamagedError as error:
                _log.warning("an optimised graph is damaged, and is made again: %s", error)
                return False
            return True

        try:
            plan = self._plans.get(key, lambda: self._make(key, file, write, same), good)
            return opened[0] if opened else self._opened(plan, key)
        except (_NotNowError, _DamagedError, OutputError) as error:
            _log.debug("an optimised graph is not kept: %s", error)
            return None

    def release(self) -> None:
        """Give back the pages of the tensors; they come back from the page cache when they are used."""
        release(list(self._mapped.values()))

    def _opened(self, plan: bytes, key: str = "") -> OptimisedGraph | None:
        """Return the graph of ``plan``, None for an empty one. Raises _DamagedError."""
        hashes, data = _parts(plan)
        if not data:
            return None
        # Hashing gives up the interpreter's lock, so threads use all cores.
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            tensors = dict(zip(hashes, pool.map(self._tensor, hashes), strict=True))
        path = self._plans.path(key) if key else None
        if path is not None:
            with contextlib.suppress(OSError):
                os.utime(path)  # so that it counts as used
        return OptimisedGraph(data, {WEIGHTS + sha256: tensor for sha256, tensor in tensors.items()})

    def _tensor(self, sha256: str) -> memoryview:
        """Return a tensor, mapped and checked once in a process. Raises _DamagedError; it is removed then."""
        found = self._mapped.get(sha256)
        if found is not None:
            return found
        path = self._folder() / sha256
        try:
            with path.open("rb") as stream:
                found = contents(stream, os.fstat(stream.fileno()).st_size, small=SMALLEST)
        except OSError as error:
            raise _DamagedError(str(error)) from error
        if hashlib.sha256(found).hexdigest() != sha256:
            with contextlib.suppress(OSError):
                path.unlink()
            raise _DamagedError(str(path))
        self._mapped[sha256] = found
        return found

    def _make(
        self,
        key: str,
        file: GraphFile,
        write: Callable[[Path], None],
        same: Callable[[OptimisedGraph], bool],
    ) -> bytes:
        """Return the plan of a graph; empty for one that cannot be kept. Raises _NotNowError, OutputError."""
        folder = self._folder()
        make_folder(folder)
        workplace = folder / f"{_NEW}{key}"
        if workplace.exists():
            # A process died here, perhaps for want of memory: the next one must not die of the same.
            shutil.rmtree(workplace, ignore_errors=True)
            _log.warning("a process ended while it kept an optimised graph; that graph is not kept")
            return b""
        # The engine's files, the tensors of their own, and a reserve for everybody else.
        if shutil.disk_usage(folder).free < 4 * file.size + RESERVE:
            raise _NotNowError("the disk is nearly full")
        try:
            workplace.mkdir()
            write(workplace)
            plan = self._adopted(workplace)
            kept = self._opened(plan)
            agrees = kept is not None and same(kept)
        except OSError as error:
            raise _NotNowError(str(error)) from error
        except BundleError as error:  # tensors in places where the engine only may look for them
            _log.debug("an optimised graph cannot be kept: %s", error)
            return b""
        finally:
            shutil.rmtree(workplace, ignore_errors=True)
        if not agrees:
            _log.info("an optimised graph is not kept: opened again, it does not compute the same bits")
            return b""
        with contextlib.suppress(OSError):
            self._sweep(set(_parts(plan)[0]))
        return plan

    def _adopted(self, folder: Path) -> bytes:
        """Return the plan of what the engine wrote to ``folder``; its tensors are stored. Raises OSError."""
        hashes: dict[str, None] = {}
        written = folder / TENSORS
        with written.open("rb") if written.exists() else tempfile.TemporaryFile() as stream:
            source = contents(stream, os.fstat(stream.fileno()).st_size)

        def place(one: External) -> list[Buffer]:
            begin, size = int(one.entries["offset"]), int(one.entries["length"])
            data = source[begin : begin + size]
            if one.code not in DTYPES or len(data) != size:
                return inline(data)
            sha256 = self._store(data)
            hashes[sha256] = None
            return at(WEIGHTS + sha256)

        graph = relocated((folder / GRAPH).read_bytes(), place, where=GRAPH)
        return " ".join(hashes).encode() + _END + graph

    def _store(self, data: memoryview) -> str:
        """Store a tensor unless it is there, and return its hash. Raises OutputError."""
        sha256 = hashlib.sha256(data).hexdigest()
        path = self._folder() / sha256
        try:
            there = path.stat().st_size == len(data)
        except OSError:
            there = False
        if not there:
            # A tensor that a power cut has cut is found by its hash.
            write_atomic(path, [data], mode=0o600, durable=False)
        return sha256

    def _folder(self) -> Path:
        """Return the folder of the tensors. Raises _NotNowError where nothing can be stored."""
        if self._plans.folder is None:
            raise _NotNowError("no folder")
        return self._plans.folder / WEIGHTS.rstrip("/")

    def _sweep(self, named: set[str]) -> None:
        """Remove the graphs that were not used for longest, beyond LIMIT, and tensors that no graph names.

        ``named`` are the hashes of tensors whose graph is about to be stored. Raises OSError.
        """
        folder = self._folder()
        sizes = {entry.name: entry.stat().st_size for entry in os.scandir(folder)}
        total = sum(sizes.get(name, 0) for name in named)
        plans = sorted(folder.parent.glob(f"*{SUFFIX}"), key=lambda path: path.stat().st_mtime, reverse=True)
        for path in plans:
            plan = self._plans.read(path.name.removesuffix(SUFFIX))
            more = set(_parts(plan or b"")[0]) - named
            total += sum(sizes.get(name, 0) for name in more)
            if plan is not None and total <= LIMIT:
                named = named | more
            else:
                path.unlink(missing_ok=True)
        for entry in list(os.scandir(folder)):
            if entry.name in named or entry.stat().st_mtime > time.time() - _YOUNG:
                continue
            if entry.is_dir(follow_symlinks=False):  # what a process left that was killed
                shutil.rmtree(entry.path, ignore_errors=True)
            else:
                Path(entry.path).unlink(missing_ok=True)


def _parts(plan: bytes) -> tuple[list[str], bytes]:
    """Return the hashes of the tensors of ``plan``, and its ONNX file; both empty for an empty plan."""
    hashes, _, graph = plan.partition(_END)
    return hashes.decode("ascii").split(), graph


class _NotNowError(Exception):
    """Nothing can be kept at this moment."""


class _DamagedError(Exception):
    """What was kept is not what it was."""
