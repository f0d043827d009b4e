"""``gagrad-edge viewer``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from gagrad_edge.cli import Command, say
from gagrad_edge.errors import MissingPackageError, SettingError

if TYPE_CHECKING:
    from gagrad_runtime.web.access import Role
    from gagrad_runtime.web.server import Tls

_FILE = click.Path(path_type=Path)


@click.command(
    cls=Command, section="device", short_help="Show people what stations see: live, history, labels."
)
@click.option("--data", type=_FILE, help="Folder of the viewer's own data.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to answer at.")
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="0: a free one.")
@click.option("--name", "names", multiple=True, help="Another name of this server, of a proxy before it.")
@click.option("--certificate", type=_FILE, help="Certificate with its chain (PEM), for TLS.")
@click.option("--key", type=_FILE, help="Its key (PEM).")
@click.option("--password-file", type=_FILE, help="Who may look; needed beyond this device.")
@click.option("--add", metavar="NAME", help="Ask for a password, write it to --password-file, and stop.")
@click.option(
    "--role",
    type=click.Choice(["see", "label"]),
    default="label",
    show_default=True,
    help="What --add allows.",
)
@click.option("--token-file", type=_FILE, help="Token that stations send with their events.")
@click.option("--keep-rows", type=click.IntRange(1), help="Most frames to keep.  [default: all]")
@click.option("--keep-days", type=click.FloatRange(min=0.01), help="Days to keep frames.  [default: all]")
@click.option("--max-mb", type=click.FloatRange(min=1), help="Most megabytes of pictures.  [default: all]")
@click.option(
    "--disk-share",
    type=click.FloatRange(0, 1, min_open=True),
    default=0.95,
    show_default=True,
    help="Remove the oldest pictures while more than this share of the disk is used.",
)
def viewer(
    data: Path | None,
    host: str,
    port: int,
    names: tuple[str, ...],
    certificate: Path | None,
    key: Path | None,
    password_file: Path | None,
    add: str | None,
    role: Role,
    token_file: Path | None,
    keep_rows: int | None,
    keep_days: float | None,
    max_mb: float | None,
    disk_share: float,
) -> None:
    """Receive the events of stations, keep them in a database of its own, and show them on pages.

    A station sends its events with `[webhook]` in its configuration: see docs/viewer.md. One viewer serves
    one station or two hundred. On this device's own address nobody needs a password; at any other address
    the viewer starts only with TLS, a password file and a token. Ctrl-C or SIGTERM ends it.

    Example: gagrad-edge viewer --data viewer/
    """
    if add is not None:
        _add(add, role, password_file)
        return
    if data is None:
        raise SettingError("there is no folder for the data", where="data", hint="give one with `data`")
    try:
        from gagrad_runtime.viewer.retention import Limits  # noqa: PLC0415
        from gagrad_runtime.viewer.run import Settings, run_viewer  # noqa: PLC0415 - --help stays fast
    except ImportError as error:
        raise MissingPackageError(
            f"the viewer needs packages that are not installed ({error})",
            hint='pip install "gagrad-edge[viewer]"',
        ) from error
    run_viewer(
        data,
        Settings(
            host=host,
            port=port,
            names=frozenset(name.lower() for name in names),
            tls=_tls(certificate, key),
            password_file=password_file,
            token_file=token_file,
            limits=Limits(keep_rows, keep_days, max_mb, disk_share),
        ),
        ready=lambda address: say(f"the viewer is at {address} - Ctrl-C ends it", err=True),
    )


def _tls(certificate: Path | None, key: Path | None) -> Tls | None:
    from gagrad_runtime.web.server import Tls  # noqa: PLC0415 - --help stays fast

    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise SettingError("one is given without the other", where="certificate, key")
    return Tls(certificate, key)


def _add(name: str, role: Role, path: Path | None) -> None:
    """Write the line of a person to the password file, in place of an earlier one."""
    from gagrad_edge.atomic import write_atomic  # noqa: PLC0415 - --help stays fast
    from gagrad_runtime.web.passwords import password_line  # noqa: PLC0415

    if path is None:
        raise SettingError("there is no file to write to", where="add", hint="give it with `password_file`")
    password = click.prompt(f"Password of {name}", hide_input=True, confirmation_prompt=True)
    line = password_line(name, role, password)
    try:
        before = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(f"the password file cannot be read ({error})", where=str(path)) from error
    kept = [one for one in before if one.partition(":")[0] != name]
    write_atomic(path, ["".join(f"{one}\n" for one in [*kept, line]).encode()], mode=0o600)
    say(f"{path}: {name} may {role}; a viewer that runs has to be started again", err=True)
