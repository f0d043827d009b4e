"""Decoding foreign files in a child process, so that no file can stop or end this one. See docs/adr/0029.

The child gets a file's name and puts the pixels into memory that both processes have mapped. Time and memory
are limited there, by the system. When a file ends the child, that file is refused, and another child is
started at once.
"""

from __future__ import annotations

import contextlib
import logging
import mmap
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import weakref
from collections import deque
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from gagrad_edge.errors import FrameError
from gagrad_runtime.frame.decoder_child import READY, Reply, Request
from gagrad_runtime.frame.frame import Frame, load_frame

if TYPE_CHECKING:
    from gagrad_runtime.frame.arrays import Colour

WAIT = 100.0
"""Longest wait for a file's pixels, seconds: beside the limit of processor time, for a child that sleeps.
Less than a watchdog waits."""
START = 30.0
"""Longest wait for a child's start, seconds."""
AGAIN = 60.0
"""Seconds until another child is tried where one did not start."""
KEPT = 2
"""Memories that are kept for further frames: to take new pages from the system costs 25 ms for 12 MP."""
_CHILD = (
    "import sys; sys.path[:] = sys.argv[2:]; from gagrad_runtime.frame.decoder_child import child; child()"
)
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
_KILLED = -9
_log = logging.getLogger(__name__)


class SlowError(FrameError):
    """A file was not decoded within ``ChildDecoder.patience``; it may be with more time."""


class _Memory:
    """Memory that is shared with the child."""

    def __init__(self, number: int) -> None:
        self.number = number
        if hasattr(os, "memfd_create"):
            self.descriptor = os.memfd_create("gagrad-edge pixels", os.MFD_CLOEXEC)
        else:  # a file without a name
            with tempfile.TemporaryFile() as file:
                self.descriptor = os.dup(file.fileno())
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
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._ready = False
        self._has: set[int] = set()
        """Numbers of the memories that the child has."""
        self._free: list[_Memory] = []
        self._returned: deque[_Memory] = deque()
        """Memories whose frame is gone; from any thread."""
        self._dropped: list[int] = []
        self._number = 0
        self._failed = float("-inf")
        if hasattr(socket, "send_fds") and sys.executable and not getattr(sys, "frozen", False):
            self._start()
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
        """End the child. Frames that were loaded stay."""
        self._stop()
        for memory in [*self._free, *self._returned]:
            memory.close()
        self._free.clear()
        self._returned.clear()

    def load(self, path: str, colour: Colour = "rgb") -> Frame:
        """Return the frame in the file ``path``, as ``load_frame`` does.

        Raises SlowError, and FrameError, also for a file that takes too long or too much memory, or that
        crashes the decoder.
        """
        reply = Reply()
        for _ in range(2):  # where there was not enough memory another process may have taken it
            if not self._is_ready():
                return load_frame(path, colour=colour)
            memory = self._memory()
            reply = self._ask(Request(os.fsencode(path), colour, memory.number, self._dropped), memory)
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

    def _memory(self) -> _Memory:
        """Return one that no frame uses, and give back those that are too many."""
        while self._returned:
            self._free.append(self._returned.popleft())
        while len(self._free) > KEPT:
            memory = self._free.pop(0)
            memory.close()
            if memory.number in self._has:
                self._dropped.append(memory.number)
                self._has.discard(memory.number)
        if self._free:
            return self._free.pop()
        self._number += 1
        return _Memory(self._number)

    def _ask(self, request: Request, memory: _Memory) -> Reply:
        """Return the child's reply, or one that says how the child ended; then there is a new child.

        Raises SlowError when ``patience`` is over.
        """
        assert self._socket is not None  # noqa: S101 - the child is ready
        data = b""
        try:
            descriptors = [] if memory.number in self._has else [memory.descriptor]
            socket.send_fds(self._socket, [msgspec.json.encode(request) + b"\n"], descriptors)
            self._has.add(memory.number)
            self._dropped = []
            until = time.monotonic() + (self.patience or WAIT)
            while not data.endswith(b"\n"):
                self._socket.settimeout(max(0.001, until - time.monotonic()))
                part = self._socket.recv(1 << 16)
                if not part:
                    raise ConnectionError
                data += part
            return msgspec.json.decode(data, type=Reply)
        except TimeoutError:
            self._renew()
            if self.patience:
                raise SlowError("it is not decoded yet", where=os.fsdecode(request.path)) from None
            problem, killed = f"it was not done after {WAIT:.0f} s", False
        except OSError:  # the other end is closed
            problem, killed = self._death()
            self._renew()
        return Reply(
            what=f"the file cannot be decoded: {problem}",
            where=os.fsdecode(request.path),
            hint="save the frame again, as PNG or as a plain JPEG or TIFF",
            greedy=killed,
        )

    def _renew(self) -> None:
        self._stop()
        self._start()

    def _death(self) -> tuple[str, bool]:
        """Return how the child ended, in words, and whether the system killed it."""
        assert self._process is not None  # noqa: S101 - one was asked
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(5)
        code = self._process.returncode or 0
        if code == -getattr(signal, "SIGPROF", 0):
            return "it takes far longer than its size allows", False
        if code == _KILLED:
            return "the system ended the decoder, probably for want of memory", True
        name = signal.Signals(-code).name if -65 < code < 0 else f"code {code}"
        return f"it crashed the decoder ({name})", False

    def _is_ready(self) -> bool:
        """Wait for the child's start; return whether there is one."""
        if self._process is not None and self._process.poll() is not None:
            self._stop()
        if self._process is None and time.monotonic() - self._failed >= AGAIN:
            self._start()
        if self._socket is None or self._ready:
            return self._ready
        said = b""
        with contextlib.suppress(OSError):
            self._socket.settimeout(START)
            said = self._socket.recv(len(READY), socket.MSG_WAITALL)
        self._ready = said == READY
        if not self._ready:
            self._stop()
            self._failed = time.monotonic()
            _log.error("images are decoded in the station's own process: its child does not start")
        return self._ready

    def _start(self) -> None:
        """Start a child, without waiting for it."""
        ours, its = socket.socketpair()
        with its:
            # The parent's sys.path and nothing else: the child imports nothing from the folder where it is
            # started. What libraries print is not the station's log.
            command = [sys.executable, "-c", _CHILD, str(its.fileno()), *sys.path]
            try:
                self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and code
                    command,
                    pass_fds=[its.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    env={**os.environ, **_ONE_THREAD},
                )
            except OSError as error:
                ours.close()
                self._failed = time.monotonic()
                _log.error("images are decoded in the station's own process: %s", error)
                return
        self._socket = ours

    def _stop(self) -> None:
        """End the child, if there is one."""
        process, self._process = self._process, None
        if self._socket is not None:
            self._socket.close()
        self._socket, self._ready = None, False
        self._has, self._dropped = set(), []
        if process is not None:
            process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):  # it waits for a share, and cannot be ended
                process.wait(1)
