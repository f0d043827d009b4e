"""A viewer from its settings: who may is checked, the data are opened, and it serves until it is ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gagrad_runtime.viewer import login
from gagrad_runtime.viewer.app import PUBLIC, application
from gagrad_runtime.viewer.retention import Limits
from gagrad_runtime.viewer.viewer import opened
from gagrad_runtime.web.access import check_address, is_loopback, read_token
from gagrad_runtime.web.guard import Rules
from gagrad_runtime.web.passwords import Passwords
from gagrad_runtime.web.server import Stopping, serve

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from gagrad_runtime.web.server import Tls


@dataclass(frozen=True)
class Settings:
    """What the viewer is started with."""

    host: str = "127.0.0.1"
    port: int = 8080
    names: frozenset[str] = frozenset()
    """Further names of this server."""
    tls: Tls | None = None
    password_file: Path | None = None
    token_file: Path | None = None
    limits: Limits = field(default_factory=Limits)


def run_viewer(data: Path, settings: Settings, *, ready: Callable[[str], None]) -> None:
    """Serve the viewer whose data are in the folder ``data`` until SIGTERM or SIGINT.

    ``ready`` is called with the address. Raises SettingError, OutputError and MissingPackageError.
    """
    passwords = None if settings.password_file is None else Passwords(settings.password_file)
    token = None if settings.token_file is None else read_token(settings.token_file)
    tls = settings.tls
    check_address(
        settings.host, tls=tls, secret=passwords is not None, what="a password file (`password_file`)"
    )
    if not is_loopback(settings.host):
        check_address(
            settings.host, tls=tls, secret=token is not None, what="the stations' token (`token_file`)"
        )
    rules = Rules(
        host=settings.host,
        tls=tls is not None,
        passwords=passwords is not None,
        names=settings.names,
        public=PUBLIC,
        login=None if passwords is None else login.PATH,
    )
    stopping = Stopping()
    with opened(data, rules=rules, passwords=passwords, token=token, limits=settings.limits) as viewer:
        stopping.call(viewer.changes.end)
        serve(application(viewer), settings.host, settings.port, tls=tls, stopping=stopping, ready=ready)
