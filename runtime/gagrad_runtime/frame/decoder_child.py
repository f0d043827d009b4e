"""The child process that decodes: it gets names or bytes of files, and puts their pixels into shared memory.

Limits of time and memory hold for each file, by the size that its header states. A file that exceeds them
ends this process or is refused; ``frame.decoder`` starts another.
"""

from __future__ import annotations

import mmap
import os
import signal
import socket
import sys
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from gagrad_edge.errors import FrameError
from gagrad_runtime.frame.arrays import Colour  # noqa: TC001 - msgspec reads it at run time
from gagrad_runtime.frame.bounds import stated_pixels
from gagrad_runtime.frame.decoding import is_memory, no_memory
from gagrad_runtime.frame.frame import MAX_FILE_BYTES, load_frame, read_bytes
from gagrad_runtime.machine.child import die_first, die_with_the_parent, limit, no_core, private_memory

if TYPE_CHECKING:
    from numpy.typing import NDArray

SECONDS, SECONDS_A_PIXEL = 1.0, 0.25e-6
"""Processor time for a file, and for each of its pixels: 26 s for 100 million. The slowest kind, 16-bit
colour as PNG, takes a fifth of it on a desktop's core."""
MEMORY, MEMORY_A_BYTE, MEMORY_A_PIXEL = 128 << 20, 4, 40
"""Memory for a file, for each byte of it, and for each pixel."""
READY = b"ready\n"
_LONGEST = 1 << 20


class Request(msgspec.Struct):
    """A file to decode.

    Descriptors that come along are the memory, if the child does not have it yet, and the nameless file.
    """

    path: bytes
    """As the system has it: a name may be no UTF-8. Of a nameless file, what an error calls it."""
    colour: Colour
    memory: int
    """Number of the shared memory for the pixels."""
    dropped: list[int] = []
    """Numbers of those that are not needed any more."""
    nameless: bool = False
    """Whether the file has no name, and comes along as a descriptor."""


class Reply(msgspec.Struct, omit_defaults=True):
    """The frame whose pixels are in the shared memory, or why there is none."""

    shape: list[int] = []
    kind: str = ""
    """Type of the pixels, ``uint8`` or ``uint16``."""
    notes: list[str] = []
    exif: dict[str, str] = {}
    white: int | None = None
    what: str = ""
    where: str | None = None
    hint: str | None = None
    choices: list[str] = []
    errno: int | None = None
    """Number of the system's error that was the cause: some are over soon."""
    greedy: bool = False
    """Whether there was not enough memory."""


class _Memory:
    """Memory that is shared with the parent."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._map: mmap.mmap | None = None

    def close(self) -> None:
        """Give it back to the system, as far as this process has it."""
        os.close(self._descriptor)

    def put(self, pixels: NDArray[Any]) -> None:
        """Copy ``pixels`` to its beginning; it grows if it has to."""
        if self._map is None or len(self._map) < pixels.nbytes:
            if os.fstat(self._descriptor).st_size < pixels.nbytes:
                os.ftruncate(self._descriptor, pixels.nbytes)
            self._map = mmap.mmap(self._descriptor, os.fstat(self._descriptor).st_size)
        target = np.frombuffer(self._map, pixels.dtype, pixels.size)
        np.copyto(target.reshape(pixels.shape), pixels)


def child() -> None:
    """Decode until the other end of the socket, whose descriptor is the first argument, is closed."""
    die_with_the_parent()
    die_first()
    no_core()
    # Signals are for the station: it ends this process when it is done with it.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    connection = socket.socket(fileno=int(sys.argv[1]))
    memories: dict[int, _Memory] = {}
    connection.sendall(READY)
    while received := _received(connection):
        line, descriptors = received
        request = msgspec.json.decode(line, type=Request)
        for one in request.dropped:
            memories.pop(one).close()
        file = descriptors.pop() if request.nameless else None
        if descriptors:
            memories[request.memory] = _Memory(descriptors[0])
        reply = _answer(request, memories[request.memory], file)
        if file is not None:
            os.close(file)
        connection.sendall(msgspec.json.encode(reply) + b"\n")


def _received(connection: socket.socket) -> tuple[bytes, list[int]] | None:
    """Return the next line and the descriptors that came with it; None at the end."""
    line, descriptors = b"", list[int]()
    while not line.endswith(b"\n"):
        data, found, _, _ = socket.recv_fds(connection, _LONGEST, 2)
        if not data:
            return None
        line, descriptors = line + data, [*descriptors, *found]
    return line, descriptors


def _answer(request: Request, memory: _Memory, file: int | None) -> Reply:
    """Decode the file, which ``file`` is the descriptor of if it has no name, into ``memory``."""
    path = os.fsdecode(request.path)
    try:
        try:
            return _decoded(path, request.colour, memory, file)
        except MemoryError as error:
            raise no_memory(path) from error
    except FrameError as error:
        cause = error.__cause__
        return Reply(
            what=_text(error.what),
            where=None if error.where is None else _text(error.where),
            hint=error.hint,
            choices=list(error.choices),
            errno=cause.errno if isinstance(cause, OSError) else None,
            greedy=isinstance(cause, Exception) and is_memory(cause),
        )


def _text(text: str) -> str:
    """Return ``text`` with ``?`` for bytes of a file's name that are no UTF-8: JSON has no such texts."""
    return text.encode("utf-8", "replace").decode()


def _decoded(path: str, colour: Colour, memory: _Memory, file: int | None) -> Reply:
    held = private_memory()
    limit(SECONDS, held + MEMORY + MAX_FILE_BYTES)
    data = read_bytes(path) if file is None else os.pread(file, os.fstat(file).st_size, 0)
    pixels = stated_pixels(data, channels=colour == "channels")
    limit(
        SECONDS + SECONDS_A_PIXEL * pixels,
        held + MEMORY + MEMORY_A_BYTE * len(data) + MEMORY_A_PIXEL * pixels,
    )
    frame = load_frame(data, colour=colour, name=path)
    memory.put(frame.pixels)
    limit(0, held + MEMORY + MAX_FILE_BYTES)
    return Reply(
        shape=list(frame.pixels.shape),
        kind=frame.pixels.dtype.name,
        notes=[_text(note) for note in frame.notes],
        exif={_text(name): _text(value) for name, value in frame.exif.items()},
        white=frame.white,
    )
