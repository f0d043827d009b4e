"""Peers that are slow or broken: ten kinds of clients of the metrics' port, and ten of receivers of a webhook."""

from __future__ import annotations

import os
import socket
import struct
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_GET = b"GET /metrics HTTP/1.1\r\nHost: x\r\n"
_HELLO = bytes.fromhex("16030100c8010000c40303") + bytes(193)
"""The beginning of TLS."""
_LINGER = struct.pack("ii", 1, 0)
"""Closing resets the connection."""


def _drip(peer: socket.socket, data: bytes, ending: threading.Event, seconds: float = 0.5) -> None:
    for number in range(1_000_000):
        if ending.wait(seconds):
            return
        peer.send(data[number % len(data) : number % len(data) + 1])


def _wait(_: socket.socket, ending: threading.Event) -> None:
    ending.wait()


def _endless(start: bytes, block: bytes) -> Callable[[socket.socket, threading.Event], None]:
    def act(peer: socket.socket, ending: threading.Event) -> None:
        peer.sendall(start)
        while not ending.wait(0.01):
            peer.sendall(block)

    return act


def _said(
    data: bytes, *, reset: bool = False, wait: bool = False
) -> Callable[[socket.socket, threading.Event], None]:
    def act(peer: socket.socket, ending: threading.Event) -> None:
        peer.sendall(data)
        if wait:
            ending.wait()
        if reset:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER)

    return act


def _deaf(peer: socket.socket, ending: threading.Event) -> None:
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    peer.sendall(_GET + b"\r\n")
    ending.wait()


CLIENTS: dict[str, Callable[[socket.socket, threading.Event], None]] = {
    "says nothing": _wait,
    "a byte each half second": lambda peer, ending: _drip(peer, _GET, ending),
    "half a request, and closes": _said(_GET),
    "a request, and resets": _said(_GET + b"\r\n", reset=True),
    "a header without an end": _endless(_GET, b"X-Y: " + b"z" * 4096 + b"\r\n"),
    "a line without an end": _endless(b"GET /", b"a" * 4096),
    "noise": _endless(b"", os.urandom(4096)),
    "TLS": _said(_HELLO, wait=True),
    "does not read its answer": _deaf,
    "requests one after the other, without reading": _endless(b"", _GET + b"\r\n"),
}
_OK = b"HTTP/1.1 200 OK\r\n"
RECEIVERS: dict[str, Callable[[socket.socket, threading.Event], None] | None] = {
    "nobody listens": None,
    "accepts, and says nothing": _wait,
    "a byte of its answer each half second": lambda peer, ending: _drip(peer, _OK, ending),
    "closes at once": _said(b""),
    "resets": _said(b"", reset=True),
    "always 500": _said(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"),
    "a header without an end": _endless(_OK, b"X-Y: " + b"z" * 4096 + b"\r\n"),
    "a body without an end": _endless(b"HTTP/1.1 500 No\r\nContent-Length: 99999999999\r\n\r\n", b"a" * 4096),
    "another protocol": _said(b"SSH-2.0-OpenSSH_9.2\r\n", wait=True),
    "sends the client on to itself": _said(b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n"),
}


def _act(
    act: Callable[[socket.socket, threading.Event], None], peer: socket.socket, ending: threading.Event
) -> None:
    with suppress(OSError), peer:
        peer.settimeout(30)
        act(peer, ending)


@contextmanager
def clients(kind: str, port: int, count: int) -> Iterator[None]:
    """Let ``count`` clients of ``kind`` be connected to ``port``, again and again, during the block."""
    ending = threading.Event()

    def run() -> None:
        while not ending.is_set():
            with suppress(OSError):
                _act(CLIENTS[kind], socket.create_connection(("127.0.0.1", port), 5), ending)
            ending.wait(0.05)

    threads = [threading.Thread(target=run, daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ending.set()
        for thread in threads:
            thread.join(5)


@contextmanager
def receiver(kind: str) -> Iterator[tuple[int, list[float]]]:
    """Give the port of a receiver of ``kind``, and the times of its connections."""
    act, ending, times = RECEIVERS[kind], threading.Event(), list[float]()
    server = socket.create_server(("127.0.0.1", 0))
    port = int(server.getsockname()[1])
    if act is None:
        server.close()
        yield port, times
        return

    def run() -> None:
        while not ending.is_set():
            with suppress(OSError):
                peer, _ = server.accept()
                times.append(time.monotonic())
                threading.Thread(target=_act, args=(act, peer, ending), daemon=True).start()

    threading.Thread(target=run, daemon=True).start()
    try:
        yield port, times
    finally:
        ending.set()
        server.close()
