"""A kit whose packages are stand-ins: the installer's steps are real, pip and the program are not."""

from __future__ import annotations

import hashlib
import platform
import sys
import zipfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from gagrad_edge.kit import BUNDLE, KIT, LOCK, STATION, TRUST, Kit, encode_kit, file_entry
from gagrad_runtime.install import installer
from gagrad_runtime.install.layout import Layout

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def make_kit(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a kit of some version to a folder."""

    def make(version: int = 1, **fields: object) -> Path:
        folder = tmp_path / f"kit-{version}"
        (folder / "wheels").mkdir(parents=True)
        with zipfile.ZipFile(folder / "wheels" / "pip-1-py3-none-any.whl", "w") as wheel:
            wheel.writestr("pip/__init__.py", "")
        for name in (BUNDLE, LOCK):
            (folder / name).write_text(f"{name} {version}\n")
        (folder / TRUST).write_text('state = "@DATA@/trust-state.json"\n')
        (folder / STATION).write_text('bundle = "@PREFIX@/current/bundle.gagrad"\n')
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        described = {
            "gagrad_edge": "1.0",
            "platform": "linux",
            "machine": platform.machine(),
            "python": "{}.{}".format(*sys.version_info[:2]),
            "glibc": "2.17",
            "system_packages": False,
            "product": "part",
            "version": version,
            "created": "2026-11-25T00:00:00Z",
            **fields,
        }
        kit = Kit(files={str(path.relative_to(folder)): file_entry(path) for path in files}, **described)
        (folder / KIT).write_bytes(encode_kit(kit))
        return folder

    return make


@dataclass
class Program:
    """What stands in for the installed program."""

    works: bool = True
    accepts: bool = True
    calls: list[list[str]] = field(default_factory=list)
    interrupted: bool = False


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> Program:
    """Replace the environment and the program in it."""
    import subprocess

    stand_in = Program()

    def create(target: Path, folder: Path, kit: Kit, lock: int) -> None:
        (target / "bin").mkdir(parents=True)
        (target / "bin" / "gagrad-edge").write_text("")
        if stand_in.interrupted:
            raise KeyboardInterrupt

    def run(environment: Path, arguments: list[str]) -> subprocess.CompletedProcess[str]:
        stand_in.calls.append(arguments)
        good = stand_in.works if arguments[1].endswith(BUNDLE) else stand_in.accepts
        return subprocess.CompletedProcess(arguments, 0 if good else 4, "", "what it said")

    monkeypatch.setattr(installer, "create", create)
    monkeypatch.setattr(installer, "run_command", run)
    return stand_in


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """Return a layout below a folder of the test's own."""
    return Layout.below(tmp_path / "device")


def version_name(folder: Path, version: int) -> str:
    """Return the name of the version that the kit in ``folder`` installs."""
    return f"{version}-1.0-{hashlib.sha256((folder / KIT).read_bytes()).hexdigest()[:12]}"
