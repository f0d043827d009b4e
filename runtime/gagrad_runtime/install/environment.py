"""The Python environment of one version, made from the kit's wheels only."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from typing import TYPE_CHECKING

from gagrad_edge.errors import DeviceError
from gagrad_edge.kit import LOCK

if TYPE_CHECKING:
    from pathlib import Path

    from gagrad_edge.kit import Kit

_PIP = """
import runpy, sys
sys.path.insert(0, sys.argv.pop(1))
runpy.run_module("pip", run_name="__main__", alter_sys=True)
"""
"""Program that runs pip from its wheel, because a system's Python may have no pip or an old one."""


def create(target: Path, folder: Path, kit: Kit, lock: int) -> None:
    """Make the environment ``target`` and install the kit's packages, each checked by its hash.

    ``lock`` is the descriptor of the installation's lock, which pip inherits: pip may outlive an installer
    that is killed, and no other installer may start meanwhile. Raises DeviceError with pip's output.
    """
    builder = venv.EnvBuilder(symlinks=True, with_pip=False, system_site_packages=kit.system_packages)
    builder.create(target)
    pip = next((name for name in kit.wheels if name.startswith("wheels/pip-")), None)
    if pip is None:
        raise DeviceError("the kit has no pip", where=str(folder), hint="pack it again")
    temporary = target.parent / "tmp"
    temporary.mkdir()
    command = [
        *(str(python_of(target)), "-I", "-c", _PIP, str(folder / pip)),
        *("--isolated", "--disable-pip-version-check", "--no-input", "--no-cache-dir"),
        *("install", "--no-index", "--find-links", str(folder / "wheels"), "--require-hashes"),
        *("--only-binary", ":all:", "--ignore-installed", "--no-warn-script-location"),
        *("--root-user-action", "ignore", "--quiet", "-r", str(folder / LOCK)),
    ]
    # Without the user's pip settings, and without files in /tmp after an interruption.
    ours = {key: value for key, value in os.environ.items() if not key.startswith("PIP_")}
    environment = {**ours, "PIP_CONFIG_FILE": os.devnull, "TMPDIR": str(temporary)}
    done = subprocess.run(  # noqa: S603
        command, env=environment, capture_output=True, text=True, check=False, pass_fds=[lock]
    )
    if done.returncode:
        said = "\n".join((done.stdout + done.stderr).strip().splitlines()[-8:])
        hint = "copy the kit again, or pack it again; nothing was changed"
        raise DeviceError(f"the packages could not be installed:\n{said}", where=str(folder), hint=hint)
    temporary.rmdir()


def python_of(environment: Path) -> Path:
    """Return the path of the environment's interpreter."""
    return environment / "bin" / "python"


def command_of(environment: Path) -> Path:
    """Return the path of the environment's command ``gagrad-edge``."""
    return environment / "bin" / "gagrad-edge"


def run_command(environment: Path, arguments: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a version's ``gagrad-edge`` and return its exit code and output."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    command = [str(command_of(environment)), *arguments]
    return subprocess.run(command, env=clean, capture_output=True, text=True, check=False)  # noqa: S603


def say(text: str) -> None:
    """Print a line for the technician on stderr."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - click is not installed yet
