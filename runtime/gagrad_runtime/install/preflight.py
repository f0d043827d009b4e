"""Checks whether a kit fits this machine, before anything is changed."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import zipfile
from typing import TYPE_CHECKING

from gagrad_edge.errors import DeviceError, OutputError

if TYPE_CHECKING:
    from pathlib import Path

    from gagrad_edge.kit import Kit

_COMPILED = 1.4
"""Size of an installed wheel with its compiled Python files, relative to its content."""


def check_machine(kit: Kit) -> None:
    """Raise DeviceError unless machine, Python and C library are those of the kit."""
    if platform.machine() != kit.machine:
        raise DeviceError(
            f"this machine is {platform.machine()}, and the kit is for {kit.machine}",
            where=kit.platform,
            hint="pack one for this machine: `gagrad-edge pack --platform …`",
        )
    python = "{}.{}".format(*sys.version_info[:2])
    if python != kit.python:
        raise DeviceError(
            f"this is Python {python}, and the kit's packages are for Python {kit.python}",
            where=sys.executable,
            hint=f"run it with that one: ./install.sh --python python{kit.python}; or pack a kit with "
            f"--python {python}",
        )
    library, version = platform.libc_ver()
    if library == "glibc" and _numbers(version) < _numbers(kit.glibc):
        raise DeviceError(
            f"this system has glibc {version}, and the kit's packages need {kit.glibc}",
            where=kit.platform,
            hint=f"pack one for it: `gagrad-edge pack --glibc {version} …`",
        )


def check_space(folder: Path, kit: Kit, prefix: Path) -> None:
    """Raise OutputError unless there is room for one more version below ``prefix``."""
    needed = sum(kit.files[name].size for name in kit.files if not name.endswith(".whl"))
    for name in kit.wheels:
        with zipfile.ZipFile(folder / name) as wheel:
            needed += int(_COMPILED * sum(member.file_size for member in wheel.infolist()))
    free = shutil.disk_usage(prefix).free
    if free < needed:
        raise OutputError(
            f"{needed / 1e6:.0f} MB are needed and {free / 1e6:.0f} MB are free",
            where=str(prefix),
            hint="free some space, or give another folder with --prefix",
        )


def check_root() -> None:
    """Raise OutputError unless the user is root, who may install for the whole device."""
    if os.geteuid() != 0:
        raise OutputError(
            "only root may install for the whole device",
            hint="run it with sudo, or give a folder of your own with --prefix DIR",
        )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())
