"""Graphs as ONNX Runtime has optimised them for this processor, kept for the next start.

Most of the time that a graph takes to open goes into the layout of its weights: ONNX Runtime rearranges
them into blocks for the processor, in memory of its own, for each graph again. What comes out is kept: the
optimised graph as a plan (``plans.py``), and its tensors in a pack, a file that the plans name. A tensor that
another pack has is not stored again. The next session maps the packs and rearranges nothing, and all graphs
of a process share one mapping. See docs/adr/0048-optimised-graphs-are-kept.md.

A plan is found by the bytes of its graph, which name its tensors by their hashes. So before a plan is made,
every tensor is hashed: a bundle that gives other numbers under these names must not get one. On each start
the hashes of the kept tensors are computed, and the plan's code is checked: what a flash memory has lost is
made again.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import secrets
import shutil
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

import msgspec

from gagrad_edge.atomic import write_atomic
from gagrad_edge.bundle.hashing import sha256_of_each
from gagrad_edge.bundle.mapping import contents, release
from gagrad_edge.bundle.onnx_wire import DTYPES, at, inline, relocated
from gagrad_edge.errors import BundleError, OutputError
from gagrad_runtime.backend.plans import SUFFIX, Plans, plan_key
from gagrad_runtime.machine.regular import open_regular

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from gagrad_edge.bundle.archive import Buffer
    from gagrad_edge.bundle.graph_file import GraphFile
    from gagrad_edge.bundle.onnx_wire import External

GRAPH, TENSORS = "graph.onnx", "tensors.bin"
"""Names of the files that the engine writes."""
SMALLEST = 4096
"""Bytes from which a tensor is in a pack."""
LIMIT = 4 << 30
"""Bytes of all packs; a graph beyond them is kept only if others have not been used for a day."""
RESERVE = 1 << 30
"""Bytes that stay free on the disk."""
TRIES = 2
"""Processes that may die while they keep a graph, before it is left alone for a week."""
DAY, WEEK = 24 * 3600.0, 7 * 24 * 3600.0
_ALIGNMENT = 64
"""Where tensors in a pack begin, bytes: at lines of the cache."""
_FORM = 1
"""Part of each key: another number where what is kept is made in another way."""
_PACKS, _NEW, _TRIES = "packs", ".new-", ".tries"
_END = b"\n"
"""Between the list of a plan's tensors and its graph."""
_log = logging.getLogger(__name__)


class _Place(msgspec.Struct, frozen=True, array_like=True):
    """Where a tensor is."""

    sha256: str
    pack: str
    offset: int
    size: int


@dataclass(eq=False)
class _Pack:
    """A pack that is mapped, and the hashes of the tensors in it that were checked."""

    content: memoryview
    checked: set[str] = field(default_factory=set)

    def at(self, place: _Place) -> memoryview:
        """Return the bytes of a tensor; fewer where the file ends before."""
        return self.content[place.offset : place.offset + place.size]


@dataclass(frozen=True)
class OptimisedGraph:
    """One graph, to be opened without any further optimisation."""

    data: bytes
    """The ONNX file, which refers to ``packs`` by their names."""
    packs: dict[str, _Pack]
    """They must live as long as a session that uses their tensors where they are."""

    @property
    def files(self) -> dict[str, memoryview]:
        """The contents of the packs by name."""
        return {name: pack.content for name, pack in self.packs.items()}


class OptimisedGraphs:
    """The optimised graphs in ``folder``, which no other user may write.

    ``setting`` is what they depend on beside the graphs: engine and processor. Nothing is kept where
    ``folder`` is None or cannot be used.
    """

    def __init__(self, folder: Path | None, setting: str) -> None:
        self._plans = Plans(folder, level=logging.DEBUG)
        self._setting = setting
        self._mapped: WeakValueDictionary[str, _Pack] = WeakValueDictionary()
        self._warned = False

    def get(
        self, file: GraphFile, write: Callable[[Path], None], same: Callable[[OptimisedGraph], bool]
    ) -> OptimisedGraph | None:
        """Return the graph in ``file`` as it was optimised; None where it is not kept.

        Where it is not there yet, ``write`` opens the graph and has the engine write GRAPH and TENSORS into a
        folder, and ``same`` tells whether what was kept of them computes the same. Errors of both are the
        caller's, and then nothing is kept. Nobody waits for another process that keeps the same graph.

        Raises BundleError where a tensor of ``file`` is not what its name says.
        """
        if self._plans.folder is None:
            return None
        key = plan_key(bytes(file.data), self._setting, _FORM)
        opened: list[OptimisedGraph | None] = []

        def good(plan: bytes) -> bool:
            if not plan:
                return not self._is_old(self._plans.folder, key + SUFFIX, WEEK)
            try:
                opened[:] = [self._opened(plan, key)]
            except _DamagedError as error:
                self._warn(error)
                return False
            return True

        try:
            plan = self._plans.get(key, lambda: self._make(key, file, write, same), good, wait=False)
            return opened[0] if opened else self._opened(plan, key)
        except (_NotNowError, _DamagedError, OutputError, OSError) as error:
            _log.debug("an optimised graph is not kept: %s", error)
            return None

    def release(self) -> None:
        """Give back the pages of the packs; they come back from the page cache when they are used."""
        release([pack.content for pack in self._mapped.values()])

    def _opened(self, plan: bytes, key: str = "") -> OptimisedGraph | None:
        """Return the graph of ``plan``, None for an empty one. Raises _DamagedError."""
        if not plan:
            return None
        places, data = _parts(plan)
        packs = {name: self._pack(name) for name in dict.fromkeys(place.pack for place in places)}
        self._check(places, packs)
        path = self._plans.path(key) if key else None
        if path is not None:
            with contextlib.suppress(OSError):
                os.utime(path)  # so that it counts as used
        return OptimisedGraph(data, packs)

    def _check(self, places: Sequence[_Place], packs: Mapping[str, _Pack]) -> None:
        """Hash the tensors that were not hashed in this process yet. Raises _DamagedError."""
        new = [place for place in places if place.sha256 not in packs[place.pack].checked]
        found = sha256_of_each([packs[place.pack].at(place) for place in new])
        for place, sha256 in zip(new, found, strict=True):
            if sha256 != place.sha256:
                raise _DamagedError(str(self._folder() / place.pack))
            packs[place.pack].checked.add(sha256)

    def _pack(self, name: str) -> _Pack:
        """Return a pack, mapped once in a process. Raises _DamagedError."""
        pack = self._mapped.get(name)
        if pack is None:
            path = self._folder() / name
            try:
                with open_regular(path) as stream:
                    size = os.fstat(stream.fileno()).st_size
                    pack = _Pack(contents(stream, size, small=SMALLEST))
            except FileNotFoundError as error:
                raise _DamagedError(f"{path} is missing") from error
            self._mapped[name] = pack
        return pack

    def _make(
        self,
        key: str,
        file: GraphFile,
        write: Callable[[Path], None],
        same: Callable[[OptimisedGraph], bool],
    ) -> bytes:
        """Return the plan of a graph; empty for one that cannot be kept. Raises _NotNowError, OutputError."""
        folder = self._folder()
        folder.mkdir(mode=0o700, exist_ok=True)
        file.check()
        with self._attempt(key) as workplace:
            self._make_room(file.size)
            write(workplace)
            try:
                plan = self._adopted(workplace)
            except BundleError as error:  # tensors in places where the engine only may look for them
                _log.debug("an optimised graph cannot be kept: %s", error)
                return b""
            kept = self._opened(plan)
            if kept is None or not same(kept):
                _log.info("an optimised graph is not kept: it was not seen to compute the same bits again")
                return b""
            return plan

    @contextlib.contextmanager
    def _attempt(self, key: str) -> Iterator[Path]:
        """Give a folder for the engine's files, and remove it.

        An attempt that ends with its process is counted, by the length of a file. Raises _NotNowError where
        there were too many: if memory was too little, each start would end there.
        """
        folder = self._folder()
        workplace, counter = folder / f"{_NEW}{key}", folder / f"{key}{_TRIES}"
        if self._is_old(folder, counter.name, WEEK):
            counter.unlink(missing_ok=True)
        tried = counter.stat().st_size if counter.exists() else 0
        if tried >= TRIES:
            raise _NotNowError(f"{tried} processes ended while they kept it")
        shutil.rmtree(workplace, ignore_errors=True)
        write_atomic(counter, [bytes(tried + 1)], durable=False)
        try:
            workplace.mkdir(mode=0o700)
            yield workplace
        finally:
            shutil.rmtree(workplace, ignore_errors=True)
            counter.unlink(missing_ok=True)

    def _adopted(self, workplace: Path) -> bytes:
        """Return the plan of what the engine wrote; tensors that no pack has are stored in a new one."""
        written = workplace / TENSORS
        source = memoryview(b"")
        if written.exists():
            with written.open("rb") as stream:
                source = contents(stream, written.stat().st_size)
        known = {place.sha256: place for _, places in self._all_plans() for place in places}
        placed: dict[str, _Place] = {}
        pieces: list[Buffer] = []
        # A name of its own: a damaged pack may still be mapped somewhere.
        name, end = secrets.token_hex(16), 0

        def place(one: External) -> list[Buffer]:
            nonlocal end
            begin, size = int(one.entries["offset"]), int(one.entries["length"])
            data = source[begin : begin + size]
            if one.code not in DTYPES or len(data) != size:
                return inline(data)
            sha256 = hashlib.sha256(data).hexdigest()
            found = placed.get(sha256) or known.get(sha256)
            if found is None or (found.pack != name and not self._has(found)):
                found = _Place(sha256, name, end, size)
                padding = -size % _ALIGNMENT
                pieces.extend((data, bytes(padding)))
                end += size + padding
            placed[sha256] = found
            return at(found.pack, offset=found.offset, length=size)

        graph = relocated((workplace / GRAPH).read_bytes(), place, where=GRAPH)
        if pieces:  # a pack that a power cut has cut is found by the hashes
            write_atomic(self._folder() / name, pieces, mode=0o600, durable=False)
        return msgspec.json.encode(list(placed.values())) + _END + graph

    def _has(self, place: _Place) -> bool:
        """Tell whether a pack has the tensor."""
        try:
            self._check([place], {place.pack: self._pack(place.pack)})
        except _DamagedError:
            return False
        return True

    def _folder(self) -> Path:
        """Return the folder of the packs. Raises _NotNowError where nothing can be stored."""
        if self._plans.folder is None:
            raise _NotNowError("no folder")
        return self._plans.folder / _PACKS

    def _all_plans(self) -> Iterator[tuple[Path, list[_Place]]]:
        """Yield the plans that this device wrote, with their tensors; the last used one last."""
        for path in sorted(self._folder().parent.glob(f"*{SUFFIX}"), key=_last_used):
            plan = self._plans.read(path.name.removesuffix(SUFFIX))
            yield path, [] if plan is None else _parts(plan)[0]

    def _make_room(self, size: int) -> None:
        """Remove what was not used for a day and stands in the way of ``size`` bytes, and what nobody needs.

        Raises _NotNowError where they would not fit into LIMIT or onto the disk, and OSError.
        """
        folder = self._folder()
        # The engine's files, the pack, and a reserve for everybody else.
        if shutil.disk_usage(folder).free < 4 * size + RESERVE:
            raise _NotNowError("the disk is nearly full")
        plans = [(path, {place.pack for place in places}) for path, places in self._all_plans()]
        sizes = {path.name: path.stat().st_size for path in folder.iterdir() if path.is_file()}
        while True:
            named = set().union(*(packs for _, packs in plans))
            total = sum(sizes.get(name, 0) for name in named)
            if total + size <= LIMIT or not plans or time.time() - _last_used(plans[0][0]) < DAY:
                break
            plans.pop(0)[0].unlink(missing_ok=True)
        for path in (*folder.iterdir(), *folder.parent.glob(".*")):
            # Younger ones may belong to a process that is at work.
            most = WEEK if path.suffix == _TRIES else DAY
            if path.name not in named and time.time() - _last_used(path) > most:
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)
        if sum(path.stat().st_size for path in folder.iterdir() if path.is_file()) + size > LIMIT:
            raise _NotNowError("what is kept of other graphs takes all that may be kept")

    def _is_old(self, folder: Path | None, name: str, seconds: float) -> bool:
        """Tell whether the file is there and was not used for so long."""
        path = None if folder is None else folder / name
        return path is not None and path.exists() and time.time() - _last_used(path) > seconds

    def _warn(self, error: Exception) -> None:
        """Say once in a process that something was damaged."""
        if not self._warned:
            _log.warning(
                "what was kept of a graph is damaged and not used (%s); where it can be, it is made again",
                error,
            )
            self._warned = True


def _last_used(path: Path) -> float:
    """Return when a file was last written or marked; now for one that is gone."""
    try:
        return path.lstat().st_mtime
    except OSError:
        return time.time()


def _parts(plan: bytes) -> tuple[list[_Place], bytes]:
    """Return where the tensors of ``plan`` are, and its ONNX file; both empty for an empty plan."""
    places, _, graph = plan.partition(_END)
    return msgspec.json.decode(places, type=list[_Place]) if places else [], graph


class _NotNowError(Exception):
    """Nothing can be kept at this moment."""


class _DamagedError(Exception):
    """What was kept is not what it was."""
