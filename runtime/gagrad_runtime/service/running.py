"""Running: opens bundles, warms them up and serves them until the process is told to end."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gagrad_edge.errors import MissingPackageError, SettingError
from gagrad_runtime.machine.memory import keep_freed_memory
from gagrad_runtime.session.opening import open_session
from gagrad_runtime.web.access import check_address, read_token
from gagrad_runtime.web.guard import Rules
from gagrad_runtime.web.server import LARGE_BODIES, Stopping, Tls, serve

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from gagrad_runtime.service.models import Catalogue
    from gagrad_runtime.trust import Policy

QUEUE = 8
"""Most requests that wait for one bundle, by default."""
LARGEST_MB = 64
"""Most mebibytes of a body, by default: a colour frame of 20 megapixels."""
CONNECTIONS = 256
"""Most connections at a time."""
_SWITCH = 0.0005
"""Seconds after which a thread hands over: a refusal must not wait for a worker's Python code."""


@dataclass(frozen=True)
class Where:
    """Where the service listens, and who may ask there."""

    host: str = "127.0.0.1"
    port: int = 8000
    tls: Tls | None = None
    token_file: Path | None = None
    names: tuple[str, ...] = ()
    """Further names of this server, such as that of a proxy on this device."""


def run_service(
    bundles: Sequence[Path],
    where: Where,
    *,
    device: str = "auto",
    threads: int | None = None,
    trust: Policy | str | Path | None = None,
    good: str | Path | bool | None = None,
    queue: int = QUEUE,
    largest_mb: int = LARGEST_MB,
    stopping: Stopping | None = None,
    ready: Callable[[str, Catalogue], None] = lambda *_: None,
) -> None:
    """Serve ``bundles`` until SIGTERM, SIGINT or ``stopping.ask()``.

    ``queue`` is the most requests that wait for one bundle, ``largest_mb`` the most mebibytes of a body.
    ``ready`` is called with the address and the catalogue when requests are taken: all bundles are open and
    have explained a frame then. Raises what ``load`` and ``web.server.serve`` raise.
    """
    try:
        from gagrad_runtime.service.draining import drained  # noqa: PLC0415
        from gagrad_runtime.service.guarded import guarded  # noqa: PLC0415 - the extra's packages
        from gagrad_runtime.service.models import Catalogue, Served  # noqa: PLC0415 - the extra's packages
        from gagrad_runtime.service.routes import application  # noqa: PLC0415
    except ImportError as error:
        if (error.name or "").partition(".")[0] != "litestar":
            raise
        raise MissingPackageError(
            f"the service needs the package litestar ({error})", hint='pip install "gagrad-edge[serve]"'
        ) from error
    check_address(
        where.host, tls=where.tls, secret=where.token_file is not None, what="a token (`token_file`)"
    )
    token = None if where.token_file is None else read_token(where.token_file)
    stopping = stopping or Stopping()
    with contextlib.ExitStack() as stack:
        served: list[Served] = []
        for path in bundles:
            session = open_session(path, device, threads=threads, trust=trust, good=good, remember=True)
            served.append(Served(session, queue))
            stack.callback(served[-1].close)
            _check_new(served)
        keep_freed_memory()
        for one in served:
            one.warm_up()
        catalogue = Catalogue(served)
        for one in served:
            stopping.call(one.worker.close_soon)
        app = application(catalogue, largest_mb << 20)
        rules = Rules(host=where.host, tls=where.tls is not None, token=token, names=frozenset(where.names))
        stack.callback(sys.setswitchinterval, sys.getswitchinterval())
        sys.setswitchinterval(_SWITCH)
        serve(
            drained(guarded(app, rules), largest_mb << 20),
            where.host,
            where.port,
            tls=where.tls,
            connections=CONNECTIONS,
            buffer=LARGE_BODIES,
            stopping=stopping,
            ready=lambda address: ready(address, catalogue),
        )


def _check_new(served: Sequence[Any]) -> None:
    *before, last = served
    if any((one.name, one.version) == (last.name, last.version) for one in before):
        raise SettingError(f"the bundle {last.name} is given twice", where="bundles", hint="leave one out")
