"""Where things are on a device: versions side by side, a link to the one in use, and what outlives them."""

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
"""Stands in a version's folder when all of it is on the disk and has passed the self-test."""
REPLACES = ".replaces"
"""Names the version that was in use before."""
STATE_BEFORE = ".trust-state"
"""What the device remembered of bundles' versions before this one was used."""


@dataclass(frozen=True)
class Layout:
    """The folders of one installation."""

    prefix: Path = Path("/opt/gagrad-edge")
    settings: Path = Path("/etc/gagrad-edge")
    """``station.toml`` and ``trust.toml``: written once, then the device's own."""
    data: Path = Path("/var/lib/gagrad-edge")
    """What is remembered, and results."""
    units: Path = Path("/etc/systemd/system")
    commands: Path | None = Path("/usr/local/bin")
    """Where a link named ``gagrad-edge`` is put; None: nowhere."""

    @classmethod
    def below(cls, prefix: Path) -> Layout:
        """Return a layout with everything below ``prefix``, for a user without rights."""
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
        """Where images are put, unless ``station.toml`` says otherwise."""
        return self.data / "incoming"

    def in_use(self) -> str | None:
        """Return the name of the version in use, if there is one."""
        try:
            name = self.current.readlink().name
        except OSError:
            return None
        return name if self.is_complete(name) else None

    def is_complete(self, name: str) -> bool:
        """Tell whether the version ``name`` was installed to its end."""
        return (self.versions / name / COMPLETE).is_file()

    def replaced(self, name: str) -> str | None:
        """Return the version that was in use before ``name``, if it is still there."""
        try:
            before = (self.versions / name / REPLACES).read_text().strip()
        except OSError:
            return None
        return before if before and self.is_complete(before) else None

    def use(self, name: str) -> None:
        """Make ``name`` the version in use, in one step that a power cut cannot halve. Raises OutputError."""
        link = self.prefix / ".current.part"
        try:
            link.unlink(missing_ok=True)
            link.symlink_to(Path("versions") / name)
            link.replace(self.current)
        except OSError as error:
            raise output_error(self.current, error) from error
        sync_folder(self.prefix)

    def sweep(self) -> list[str]:
        """Remove what an installation that was cut off has left; return the names of such versions."""
        left = [path for path in _folders(self.versions) if not (path / COMPLETE).is_file()]
        for path in left:
            remove_tree(path)
        return [path.name for path in left]

    def prune(self) -> list[str]:
        """Remove all versions but the one in use and the one before; return their names."""
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
        """Let one installer at a time work here. Raises OutputError when another does, or none may.

        Gives the lock's descriptor: a child that has it holds the lock on when its installer is killed.
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
    """Remove a version that was complete: first its mark, so that half of it never counts as whole."""
    (path / COMPLETE).unlink(missing_ok=True)
    sync_folder(path)
    remove_tree(path)


def remove_tree(path: Path) -> None:
    """Remove a folder and all in it. Raises OutputError."""
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
