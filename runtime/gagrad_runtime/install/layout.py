"""The folders of an installation: versions, the link to the version in use, settings and data."""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gagrad_edge.atomic import make_folder, output_error, sync_folder
from gagrad_edge.errors import OutputError
from gagrad_runtime.machine.lock import locked

if TYPE_CHECKING:
    from collections.abc import Iterator

COMPLETE = ".complete"
"""File that marks a version as complete: on the disk, and past its self-test."""
REPLACES = ".replaces"
"""File with the name of the version that was in use before."""
STATE_BEFORE = ".trust-state"
"""File with the device's trust state from before this version."""


@dataclass(frozen=True)
class Layout:
    """The folders of one installation."""

    prefix: Path = Path("/opt/gagrad-edge")
    settings: Path = Path("/etc/gagrad-edge")
    """Folder of ``station.toml`` and ``trust.toml``, which are written once and never replaced."""
    data: Path = Path("/var/lib/gagrad-edge")
    """Folder of the trust state and the results."""
    units: Path = Path("/etc/systemd/system")
    commands: Path | None = Path("/usr/local/bin")
    """Folder for a link named ``gagrad-edge``; None for no link."""

    @classmethod
    def below(cls, prefix: Path) -> Layout:
        """Return a layout with all folders below ``prefix``, for an installation without root."""
        prefix = prefix.absolute()
        return cls(prefix, prefix / "etc", prefix / "var", prefix / "units", prefix / "bin")

    @property
    def versions(self) -> Path:
        """One folder for each version."""
        return self.prefix / "versions"

    @property
    def current(self) -> Path:
        """The link to the version in use."""
        return self.prefix / "current"

    @property
    def incoming(self) -> Path:
        """Folder for new images, unless ``station.toml`` names another."""
        return self.data / "incoming"

    def in_use(self) -> str | None:
        """Return the name of the version in use, or None."""
        try:
            name = self.current.readlink().name
        except OSError:
            return None
        return name if self.is_complete(name) else None

    def is_complete(self, name: str) -> bool:
        """Return whether the version ``name`` is complete."""
        return (self.versions / name / COMPLETE).is_file()

    def replaced(self, name: str) -> str | None:
        """Return the name of the version that was in use before ``name``, if it still exists."""
        try:
            before = (self.versions / name / REPLACES).read_text().strip()
        except OSError:
            return None
        return before if before and self.is_complete(before) else None

    def use(self, name: str) -> None:
        """Make ``name`` the version in use, atomically. Raises OutputError."""
        link = self.prefix / ".current.part"
        try:
            link.unlink(missing_ok=True)
            link.symlink_to(Path("versions") / name)
            link.replace(self.current)
        except OSError as error:
            raise output_error(self.current, error) from error
        sync_folder(self.prefix)

    def sweep(self) -> list[str]:
        """Remove incomplete versions, left by an interrupted installation; return their names."""
        left = [path for path in _folders(self.versions) if not (path / COMPLETE).is_file()]
        for path in left:
            remove_tree(path)
        return [path.name for path in left]

    def prune(self) -> list[str]:
        """Remove all versions but the one in use and the one before it; return the names removed."""
        used = self.in_use()
        if used is None:
            return []
        kept = {used, self.replaced(used)}
        old = [path for path in _folders(self.versions) if path.name not in kept]
        for path in old:
            remove_version(path)
        return [path.name for path in old]

    @contextlib.contextmanager
    def locked(self) -> Iterator[int]:
        """Hold the installation's lock. Raises OutputError when another installer holds it.

        Gives the lock's descriptor: a child process that inherits it keeps the lock if the installer is
        killed.
        """
        make_folder(self.versions)
        with contextlib.ExitStack() as stack:
            try:
                descriptor = stack.enter_context(locked(self.prefix / ".lock", wait=False))
            except BlockingIOError as error:
                what = "another installation is under way there"
                raise OutputError(what, where=str(self.prefix), hint="wait until it has ended") from error
            yield descriptor


def remove_version(path: Path) -> None:
    """Remove a complete version: first its mark, so that an interrupted removal leaves an incomplete one."""
    (path / COMPLETE).unlink(missing_ok=True)
    sync_folder(path)
    remove_tree(path)


def remove_tree(path: Path) -> None:
    """Remove a folder and everything in it. Raises OutputError."""
    try:
        shutil.rmtree(path)
    except FileNotFoundError:
        return
    except OSError as error:
        raise output_error(path, error) from error


def _folders(path: Path) -> list[Path]:
    try:
        return sorted(entry for entry in path.iterdir() if entry.is_dir() and not entry.is_symlink())
    except FileNotFoundError:
        return []
