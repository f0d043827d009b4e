"""A Debian container with its own systemd and no network, for checks that need a real service manager."""

from __future__ import annotations

import contextlib
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

CACHE = Path(__file__).parent.parent / ".systemd"
UNIT = "gagrad-edge-watch"
_MIRROR = "http://deb.debian.org/debian"


class Container:
    """The booted container."""

    def __init__(self, root: Path, leader: int) -> None:
        self.root, self.leader = root, leader

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command inside the container."""
        enter = ["nsenter", "--target", str(self.leader), "--all", "--", *command]
        done = subprocess.run(enter, capture_output=True, text=True, check=False)
        if check and done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stdout}{done.stderr}")
        return done

    def show(self, what: str) -> str:
        """Return a property of the station's service, as ``systemctl show`` gives it."""
        return self.run("systemctl", "show", UNIT, "--property", what, "--value").stdout.strip()

    def active(self) -> bool:
        """Tell whether the service runs and has notified systemd that it is ready."""
        return self.show("ActiveState") == "active"

    def version(self) -> str:
        """Return the installed version to which the link ``current`` points."""
        return (self.root / "opt/gagrad-edge/current").readlink().name.split("-")[0]

    def python(self, code: str) -> str:
        """Run the installed version's Python inside the container."""
        return self.run("python3", "-c", code).stdout.strip()


def debian_root(work: Path) -> Path:
    """Unpack the Debian root; the first run makes it."""
    archive = CACHE / "bookworm.tar"
    if not archive.exists():
        CACHE.mkdir(exist_ok=True)
        wanted = ["--variant=minbase", "--include=python3,systemd,systemd-sysv,dbus,passwd"]
        subprocess.run(["mmdebstrap", *wanted, "bookworm", str(archive) + ".part.tar", _MIRROR], check=True)
        Path(str(archive) + ".part.tar").rename(archive)
    root = work / "root"
    root.mkdir()
    subprocess.run(["tar", "--extract", "--file", str(archive), "--directory", str(root)], check=True)
    return root


@contextlib.contextmanager
def booted(root: Path) -> Iterator[Container]:
    """Boot the container, and power it off at the end of the context."""
    command = ["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--private-network"]
    quiet = subprocess.DEVNULL
    child = subprocess.Popen(
        [*command, "--directory", str(root), "--boot"], stdin=quiet, stdout=quiet, stderr=quiet
    )
    try:
        leader = _leader(child)
        box = Container(root, leader)
        until = time.monotonic() + 60
        while "running" not in box.run("systemctl", "is-system-running", check=False).stdout:
            if time.monotonic() > until:
                break
            time.sleep(0.5)
        yield box
        box.run("systemctl", "poweroff", check=False)
        child.wait(60)
    finally:
        child.kill()
        child.wait()


def _leader(child: subprocess.Popen[bytes]) -> int:
    """Return the process id of the container's first process, as the host sees it."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        children = Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text().split()
        for pid in children:
            with contextlib.suppress(OSError):
                if Path(f"/proc/{pid}/comm").read_text().strip() == "systemd":
                    return int(pid)
        time.sleep(0.2)
    raise RuntimeError("the container does not boot")
