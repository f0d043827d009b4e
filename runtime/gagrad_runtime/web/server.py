"""The HTTP server of the viewer and of the service: one process, one event loop, bounded in every direction.

granian reads and writes the connections in threads of its own, so that a slow client holds up nobody. The
limits are those that were measured to be needed: a head of a request has HEAD_BYTES and HEAD_SECONDS, of
connections there are at most ``connections``, and the process ends within ENDING seconds of SIGTERM, also
while a client holds a stream of events open. Bodies are bounded by the application, before they are read.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import signal
import socket
import ssl
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gagrad_edge.errors import MissingPackageError, OutputError, SettingError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HEAD_BYTES = 16 << 10
"""Most bytes of a request's first line and headers; beyond it the answer is 431. The guard counts them."""
HEAD_SECONDS = 5.0
"""Longest time for them."""
BUFFER = 64 << 10
"""Buffer of a connection, bytes. A head that fits into it is refused by the guard, with a body that says so;
beyond it granian answers, without one."""
LARGE_BODIES = 256 << 10
"""Buffer of a connection, bytes, for bodies of megabytes: each part of a body is as large, and takes the
event loop once."""
CONNECTIONS = 512
"""Most connections at a time, by default; more wait in the system's queue until one ends."""
ENDING = 3.5
"""Longest time from SIGTERM to the end of the process, seconds."""
_BACKLOG = 256
_QUIET = {"version": 1, "incremental": True, "handlers": {}, "loggers": {}, "root": {}}
"""Leaves the logging of the program as it is: granian would set up its own."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Tls:
    """The server's certificate, with its chain, and the key to it: two PEM files."""

    certificate: Path
    key: Path


class Stopping:
    """Tells the application that the server is to end: streams end then, and long work is given up."""

    def __init__(self) -> None:
        self._callbacks: list[Callable[[], None]] = []
        self.asked = False
        """Whether the end was asked for."""

    def call(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` in the event loop when the end is asked for."""
        self._callbacks.append(callback)

    def ask(self) -> None:
        """Ask for the end; in the event loop."""
        if not self.asked:
            self.asked = True
            for callback in self._callbacks:
                callback()


def serve(
    app: Any,
    host: str,
    port: int,
    *,
    tls: Tls | None = None,
    connections: int = CONNECTIONS,
    buffer: int = BUFFER,
    stopping: Stopping | None = None,
    ready: Callable[[str], None] = lambda _: None,
) -> None:
    """Serve the ASGI application ``app`` until SIGTERM, SIGINT or ``stopping.ask()``.

    ``buffer`` are the bytes of each connection's buffer. ``port`` 0 takes a free one.
    ``ready`` is called with the address, ``http://127.0.0.1:8080``, when connections are taken. Call it in
    the main thread. Raises OutputError when the address cannot be used, SettingError for a certificate that
    cannot, and MissingPackageError.
    """
    stopping = stopping or Stopping()
    check_tls(tls)
    listening = listen(host, port)
    where = address(*listening.getsockname()[:2], tls=tls is not None)
    server = _granian(app, listening, tls=tls, connections=connections, buffer=buffer)
    asyncio.run(_run(server, where, stopping, ready))


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens at ``host`` and ``port``. Raises OutputError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except (OSError, UnicodeError) as error:
        number = getattr(error, "errno", None)
        taken = number == errno.EADDRINUSE
        said = os.strerror(number) if isinstance(number, int) and number > 0 else str(error)
        raise OutputError(
            f"nothing can be served there ({said})",
            where=address(host, port, tls=False).removeprefix("http://"),
            hint="another program has this port: give another with `port`; 0 takes a free one"
            if taken
            else "give an address of this machine with `host`, and a port above 1023 with `port`",
        ) from error


def address(host: str, port: int, *, tls: bool) -> str:
    """Return the address that a browser is given."""
    named = f"[{host}]" if ":" in host else host
    return f"{'https' if tls else 'http'}://{named}:{port}"


def check_tls(tls: Tls | None) -> None:
    """Raise SettingError when the certificate or its key cannot be used."""
    if tls is None:
        return
    try:
        head = tls.key.read_text(encoding="ascii", errors="replace")
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(tls.certificate, tls.key, _no_passphrase)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise SettingError(
            f"the certificate or its key cannot be used ({getattr(error, 'strerror', None) or error})",
            where="certificate, key",
            hint="give two PEM files: the certificate with its chain, and the key that belongs to it",
        ) from error
    if "-----BEGIN PRIVATE KEY-----" not in head:
        raise SettingError(
            "the key is in an older form",
            where="key",
            hint=f"openssl pkcs8 -topk8 -nocrypt -in {tls.key} -out key.pem writes it as it is needed",
        )


def _no_passphrase() -> str:
    raise ValueError("it is encrypted, and a server that starts by itself has nobody to ask")


def _granian(app: Any, listening: socket.socket, *, tls: Tls | None, connections: int, buffer: int) -> Any:
    """Return granian's server for ``listening``. Raises MissingPackageError."""
    try:
        from granian.constants import HTTPModes, Interfaces, SSLProtocols  # noqa: PLC0415 - an extra
        from granian.http import HTTP1Settings  # noqa: PLC0415
        from granian.net import SocketHolder  # type: ignore[attr-defined]  # noqa: PLC0415
        from granian.server.embed import Server  # noqa: PLC0415
    except ImportError as error:
        raise MissingPackageError(
            f"a server needs the package granian ({error})", hint='pip install "gagrad-edge[viewer]"'
        ) from error
    http1 = HTTP1Settings(header_read_timeout=int(HEAD_SECONDS * 1000), max_buffer_size=buffer)
    server: Any = Server(
        app,
        interface=Interfaces.ASGI,
        http=HTTPModes.http1,
        websockets=False,
        backlog=_BACKLOG,
        backpressure=connections,
        runtime_blocking_threads=8,
        http1_settings=http1,
        log_enabled=False,
        log_dictconfig=_QUIET,
        ssl_cert=None if tls is None else tls.certificate,
        ssl_key=None if tls is None else tls.key,
        ssl_protocol_min=SSLProtocols.tls12,
    )

    def ours() -> None:
        # Our own socket: granian's would share a port with another program of the same user, silently.
        holder: Any = SocketHolder
        server._shd, server._ssp = holder(listening.detach(), False, _BACKLOG), None

    server._init_shared_socket = ours
    return server


async def _run(server: Any, where: str, stopping: Stopping, ready: Callable[[str], None]) -> None:
    loop = asyncio.get_running_loop()

    def end() -> None:
        threading.Thread(target=_end_process, name="ending", daemon=True).start()
        stopping.ask()

    stopping.call(server.stop)
    for number in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(NotImplementedError, ValueError, RuntimeError):  # not in the main thread
            loop.add_signal_handler(number, end)
    server.on_startup(lambda: loop.call_soon(ready, where))
    await server.serve()
    if server.interrupt_children:
        raise OutputError("the server ended by itself", where=where, hint="start it again; the log says why")


def _end_process() -> None:
    """End the process ENDING seconds after the signal: what was acknowledged is stored."""
    time.sleep(ENDING)
    _log.warning("an answer did not end within %.1f s of the signal; it is not waited for", ENDING)
    os._exit(0)
