"""The systemd service: its user, its unit, start and stop.

The unit file is in the version's folder, and systemd finds it through the link ``current``, so program, model
and unit change in the same step.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from gagrad_edge.atomic import output_error, sync_folder
from gagrad_edge.errors import DeviceError
from gagrad_runtime.install import data

if TYPE_CHECKING:
    from gagrad_runtime.install.layout import Layout

UNIT = "gagrad-edge-watch.service"
USER = "gagrad-edge"
SYSTEMD = Path("/run/systemd/system")
"""Folder that is there where systemd runs the system."""


def create_user() -> None:
    """Make the system user of the service, if missing. Raises DeviceError."""
    import pwd  # noqa: PLC0415 - not on every system

    try:
        pwd.getpwnam(USER)
    except KeyError:
        # No home, no shell; cameras, GPUs and DLAs of a Jetson belong to the group `video`.
        options = ["--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent"]
        _run("useradd", *options, "--shell", "/usr/sbin/nologin", USER)


def own_data(layout: Layout) -> None:
    """Make the data folders, owned by the service's user; its group may write images. Raises OutputError."""
    import grp  # noqa: PLC0415 - not on every system
    import pwd  # noqa: PLC0415

    try:
        user, group = pwd.getpwnam(USER).pw_uid, grp.getgrnam(USER).gr_gid
    except KeyError as error:
        raise DeviceError(f"there is no user and group {USER}") from error
    data.own(layout.data, layout.incoming.name, user, group)


def runs_here() -> bool:
    """Return whether systemd runs this system, as sd_booted(3) tells it."""
    return SYSTEMD.is_dir()


def check() -> None:
    """Raise DeviceError where there is no systemd to run the service."""
    if not runs_here():
        raise DeviceError(
            "systemd does not run here, so there is nothing that would start the service",
            hint="install without a service: --no-service, and start `gagrad-edge watch` your own way",
        )


def link_unit(layout: Layout) -> None:
    """Link the unit of the version in use into systemd's folder. Raises OutputError and DeviceError."""
    link = layout.units / UNIT
    target = layout.current / UNIT
    try:
        if not (link.is_symlink() and link.readlink() == target):
            part = link.with_name(f".{UNIT}.part")
            part.unlink(missing_ok=True)
            part.symlink_to(target)
            part.replace(link)
            sync_folder(link.parent)
    except OSError as error:
        raise output_error(link, error) from error
    _systemctl("daemon-reload")
    _systemctl("enable", UNIT)


def restart() -> None:
    """Restart the service and wait until it is ready. Raises DeviceError."""
    try:
        _systemctl("restart", UNIT)
    except DeviceError as error:
        journal = ["journalctl", "--unit", UNIT, "--lines", "8", "--no-pager", "--output", "cat"]
        log = subprocess.run(journal, capture_output=True, text=True, check=False)  # noqa: S603
        raise DeviceError(
            f"the service does not start:\n{log.stdout.strip() or error.what}",
            where=UNIT,
            hint=f"fix that and run install.sh again; `journalctl -u {UNIT}` shows the log",
        ) from error


def remove(layout: Layout) -> None:
    """Stop the service and remove its link. Raises DeviceError."""
    link = layout.units / UNIT
    if not link.is_symlink():
        return
    if runs_here():
        _systemctl("disable", "--now", UNIT)
    link.unlink(missing_ok=True)
    if runs_here():
        _systemctl("daemon-reload")


def _systemctl(*arguments: str) -> None:
    _run("systemctl", *arguments)


def _run(*command: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    except OSError as error:
        raise DeviceError(
            f"{command[0]} cannot be run ({error.strerror})",
            hint="install without a service: --no-service, and start `gagrad-edge watch` your own way",
        ) from error
    if done.returncode:
        raise DeviceError(
            f"`{' '.join(command)}` failed: {(done.stderr or done.stdout).strip()}",
            hint="install without a service: --no-service, and start `gagrad-edge watch` your own way",
        )
