"""The process that decodes, seen from its parent: its start, its socket, and how it ended."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time

from gagrad_runtime.frame.decoder_child import READY

START = 30.0
"""Longest wait for a child's start, seconds."""
_CHILD = (
    "import sys; sys.path[:] = sys.argv[2:]; from gagrad_runtime.frame.decoder_child import child; child()"
)
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
_KILLED = -9


class DecoderProcess:
    """A child that was started and may not be ready yet. Raises OSError when none can be started."""

    def __init__(self) -> None:
        self.memories: set[int] = set()
        """Numbers of the memories that it has."""
        self.dropped: list[int] = []
        """Those that it does not need any more."""
        self._ready = False
        self._socket, its = socket.socketpair()
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
            except OSError:
                self._socket.close()
                raise

    @property
    def pid(self) -> int:
        """Process number."""
        return self._process.pid

    @property
    def ended(self) -> bool:
        """Whether it has ended."""
        return self._process.poll() is not None

    def wait(self) -> bool:
        """Wait for its start; return whether it is ready."""
        if not self._ready:
            said = b""
            with contextlib.suppress(OSError):
                self._socket.settimeout(START)
                said = self._socket.recv(len(READY), socket.MSG_WAITALL)
            self._ready = said == READY
        return self._ready

    def send(self, line: bytes, memory: int, descriptor: int, files: list[int]) -> None:
        """Send ``line`` with the descriptor of ``memory``, if the child does not have it, and ``files``.

        Raises OSError.
        """
        socket.send_fds(self._socket, [line], [*([] if memory in self.memories else [descriptor]), *files])
        self.memories.add(memory)
        self.dropped = []

    def receive_line(self, data: bytearray, until: float) -> None:
        """Add to ``data`` what comes, to the end of a line.

        Raises TimeoutError at the time ``until``, and OSError when the child has ended.
        """
        while not data.endswith(b"\n"):
            self._socket.settimeout(max(0.001, until - time.monotonic()))
            part = self._socket.recv(1 << 16)
            if not part:
                raise ConnectionError
            data += part

    def death(self) -> tuple[str, bool]:
        """Return how it ended, in words, and whether the system killed it."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(5)
        code = self._process.returncode or 0
        if code == -getattr(signal, "SIGPROF", 0):
            return "it takes far longer than its size allows", False
        if code == _KILLED:
            return "the system ended the decoder, probably for want of memory", True
        name = signal.Signals(-code).name if -65 < code < 0 else f"code {code}"
        return f"it crashed the decoder ({name})", False

    def drop(self, memory: int) -> None:
        """Let it give ``memory`` back with its next file."""
        if memory in self.memories:
            self.dropped.append(memory)
            self.memories.discard(memory)

    def stop(self) -> None:
        """End it."""
        self._socket.close()
        self._process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):  # it waits for a share, and cannot be ended
            self._process.wait(1)
