"""Decoding foreign files in a child process, so that no file can stop or end this one. See docs/adr/0029.

The child gets a file's name or its bytes, and puts the pixels into memory that both processes have mapped.
Bytes go through memory, too: a process that is killed leaves no file behind. Time and memory of the child are
limited by the system. When a file ends the child, that file is refused, and another child is started at once.
While a file takes long another child is started beside, so that the next file does not wait for one.
"""

from __future__ import annotations

import logging
import mmap
import os
import socket
import sys
import tempfile
import time
import weakref
from collections import deque
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from gagrad_edge.errors import FrameError
from gagrad_runtime.frame.decoder_child import Reply, Request
from gagrad_runtime.frame.decoder_process import DecoderProcess
from gagrad_runtime.frame.frame import ARRAY, Frame, load_frame

if TYPE_CHECKING:
    from gagrad_runtime.frame.arrays import Colour

WAIT = 100.0
"""Longest wait for a file's pixels, seconds: beside the limit of processor time, for a child that sleeps.
Less than a watchdog waits."""
SPARE = 0.3
"""Seconds of a file after which another child is started: the first may have to be ended."""
AGAIN = 60.0
"""Seconds until another child is tried where one did not start."""
KEPT = 2
"""Memories that are kept for further frames: to take new pages from the system costs 25 ms for 12 MP."""
_log = logging.getLogger(__name__)


class SlowError(FrameError):
    """A file was not decoded within ``ChildDecoder.patience``; it may be with more time."""


def _nameless() -> int:
    """Return the descriptor of memory, or of a file without a name, that is gone with its last user."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("gagrad-edge", os.MFD_CLOEXEC)
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


class _Memory:
    """Memory that is shared with the child."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.descriptor = _nameless()
        self._map: mmap.mmap | None = None

    def close(self) -> None:
        """Close it. It stays as long as arrays use it."""
        os.close(self.descriptor)
        self._map = None

    def view(self, size: int) -> mmap.mmap:
        """Return its first ``size`` bytes or more, to be read."""
        if self._map is None or len(self._map) < size:
            self._map = mmap.mmap(self.descriptor, os.fstat(self.descriptor).st_size, prot=mmap.PROT_READ)
        return self._map


class ChildDecoder:
    """Loads frames from files, in a child process. For one thread; close it.

    Where a child cannot be started frames are decoded in this process, within the same bounds of a file's
    header; the log says so.
    """

    def __init__(self) -> None:
        self.patience: float | None = None
        """Seconds after which ``load`` gives up with SlowError; None: WAIT, and an error for good."""
        self._process: DecoderProcess | None = None
        self._spare: DecoderProcess | None = None
        """Takes the place of ``_process`` when that is ended; there is none until a file takes long."""
        self._free: list[_Memory] = []
        self._returned: deque[_Memory] = deque()
        """Memories whose frame is gone; from any thread."""
        self._number = 0
        self._failed = float("-inf")
        if hasattr(socket, "send_fds") and sys.executable and not getattr(sys, "frozen", False):
            self._process = self._started()
        else:
            self._failed = float("inf")
            _log.warning("images are decoded in this process: it cannot start a child of its own")

    def __enter__(self) -> ChildDecoder:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """Process number of the child; None without one."""
        return None if self._process is None else self._process.pid

    def close(self) -> None:
        """End the children. Frames that were loaded stay."""
        for process in (self._process, self._spare):
            if process is not None:
                process.stop()
        self._process = self._spare = None
        for memory in [*self._free, *self._returned]:
            memory.close()
        self._free.clear()
        self._returned.clear()

    def load(self, source: str | bytes, colour: Colour = "rgb", name: str = ARRAY) -> Frame:
        """Return the frame in the file ``source``, a path or the file's bytes, as ``load_frame`` does.

        ``name`` stands for the path where there is none. Raises SlowError, and FrameError, also for a file
        that takes too long or too much memory, or that crashes the decoder.
        """
        if isinstance(source, str):
            return self._loaded(source, source, colour, [])
        if not source:
            raise FrameError("there are no bytes to read a frame from", where=name)
        file = _nameless()
        try:
            with os.fdopen(os.dup(file), "wb") as stream:
                stream.write(source)
            return self._loaded(source, name, colour, [file])
        finally:
            os.close(file)

    def _loaded(self, source: str | bytes, path: str, colour: Colour, files: list[int]) -> Frame:
        """Return the frame; ``files`` has the descriptor of a file without a name."""
        reply = Reply()
        for _ in range(2):  # where there was not enough memory another process may have taken it
            if (process := self._ready()) is None:
                return load_frame(source, colour=colour, name=path)
            memory = self._memory(process)
            request = Request(os.fsencode(path), colour, memory.number, process.dropped, nameless=bool(files))
            reply = self._ask(process, request, memory, files)
            if reply.shape:
                return self._frame(reply, memory, path)
            self._returned.append(memory)
            if not reply.greedy:
                break
            self._renew()  # what is left of a failure may fill this one's memory
        error = FrameError(reply.what, where=reply.where, hint=reply.hint, choices=reply.choices)
        if reply.errno is None:
            raise error
        raise error from OSError(reply.errno, os.strerror(reply.errno))

    def _frame(self, reply: Reply, memory: _Memory, path: str) -> Frame:
        kind = np.dtype(np.uint16 if reply.kind == "uint16" else np.uint8)
        count = int(np.prod(reply.shape, dtype=np.int64))
        values = np.frombuffer(memory.view(count * kind.itemsize), kind, count)
        # The frame's pixels are a view of ``values``: the memory is free once no array uses it.
        weakref.finalize(values, self._returned.append, memory).atexit = False
        pixels = values.reshape(reply.shape)
        return Frame(pixels, path, notes=tuple(reply.notes), exif=reply.exif, white=reply.white)

    def _memory(self, process: DecoderProcess) -> _Memory:
        """Return one that no frame uses, and give back those that are too many."""
        while self._returned:
            self._free.append(self._returned.popleft())
        while len(self._free) > KEPT:
            memory = self._free.pop(0)
            memory.close()
            process.drop(memory.number)
        if self._free:
            return self._free.pop()
        self._number += 1
        return _Memory(self._number)

    def _ask(self, process: DecoderProcess, request: Request, memory: _Memory, files: list[int]) -> Reply:
        """Return the child's reply, or one that says how the child ended; then there is a new child.

        Raises SlowError when ``patience`` is over.
        """
        try:
            process.send(msgspec.json.encode(request) + b"\n", memory.number, memory.descriptor, files)
            return self._reply(process)
        except TimeoutError:
            self._renew()
            if self.patience:
                raise SlowError("it is not decoded yet", where=os.fsdecode(request.path)) from None
            problem, killed = f"it was not done after {WAIT:.0f} s", False
        except OSError:  # the other end is closed
            problem, killed = process.death()
            self._renew()
        return Reply(
            what=f"the file cannot be decoded: {problem}",
            where=os.fsdecode(request.path),
            hint="save the frame again, as PNG or as a plain JPEG or TIFF",
            greedy=killed,
        )

    def _reply(self, process: DecoderProcess) -> Reply:
        """Wait for the child's reply, and start another child when it takes long. Raises OSError."""
        data = bytearray()
        until = time.monotonic() + (self.patience or WAIT)
        first = until if self._spare else min(until, time.monotonic() + SPARE)
        try:
            process.receive_line(data, first)
        except TimeoutError:
            if first == until:
                raise
            self._spare = self._started()
            process.receive_line(data, until)
        return msgspec.json.decode(data, type=Reply)

    def _renew(self) -> None:
        """End the child, and put the spare one or a new one in its place."""
        before, self._process, self._spare = self._process, self._spare, None
        if before is not None:
            before.stop()
        if self._process is None:
            self._process = self._started()

    def _ready(self) -> DecoderProcess | None:
        """Wait for the child's start, and return it; None where there is none."""
        if self._process is not None and self._process.ended:
            self._renew()
        if self._process is None and time.monotonic() - self._failed >= AGAIN:
            self._process = self._started()
        if self._process is None or self._process.wait():
            return self._process
        self._process.stop()
        self._process = None
        self._failed = time.monotonic()
        _log.error("images are decoded in the station's own process: its child does not start")
        return None

    def _started(self) -> DecoderProcess | None:
        """Start a child, without waiting for it; None where there cannot be one."""
        try:
            return DecoderProcess()
        except OSError as error:
            self._failed = time.monotonic()
            _log.error("images are decoded in the station's own process: %s", error)
            return None
