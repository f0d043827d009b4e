"""A full disk and a read-only folder under a `watch`: it goes on giving verdicts, and recovers.

python -m benchmarks.soak.full [COUNT]        (half a minute each; root; writes its section of docs/soak.md)

The results are on a small tmpfs. Another program's file fills it until nothing can be written, and is removed again. On
ext4 the results folder becomes immutable, and is released.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.soak.section import write_section
from benchmarks.soak.station import Watching, demo_bundle, look, put_image

if TYPE_CHECKING:
    from collections.abc import Iterator

COUNT = 20
_MEGABYTES = 12


def main() -> int:
    """Run both faults; return 1 if verdicts stopped or a file was corrupt, 2 if the test cannot run here."""
    total = int(sys.argv[1]) if len(sys.argv) > 1 else COUNT
    if os.geteuid() != 0:
        print("not run: only root can mount", file=sys.stderr)
        return 2
    found: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        bundle, mount = demo_bundle(root), root / "mount"
        mount.mkdir()
        for turn in range(total):
            with _tmpfs(mount):
                found.update(_filled(root, bundle, mount, turn))
            with _ext4(root / "disk", mount):
                found.update(_read_only(root, bundle, mount, turn))
            print(turn + 1, dict(found), flush=True)
        with _tmpfs(mount):
            refused = _read_only_at_start(root, bundle, mount)
    text = f"""`gagrad-edge watch` explains images that keep coming into a folder on a tmpfs of {_MEGABYTES} MB. {total} times another program's file fills the disk until no byte is free,
and is removed after some seconds; {total} times, on ext4, the folder and all files in it become immutable (chattr +i) and are released. "Recovered" means that a new verdict is stored with its row and a new explanation with its files.

| | disk full | read-only |
|---|---|---|
| times | {total} | {total} |
| it reported that results are not stored | {found["full: said"]} | {found["ro: said"]} |
| it went on giving verdicts | {found["full: went on"]} | {found["ro: went on"]} |
| recovered | {found["full: recovered"]} | {found["ro: recovered"]} |
| printed lines lost, incomplete files, damaged indexes | {found["full: lost"]} | {found["ro: lost"]} |
| exit codes other than 0 | {found["full: crashed"]} | {found["ro: crashed"]} |

Started on a read-only folder, `watch` ends with exit code {refused[0]}: "{refused[1]}"."""
    write_section("A full disk, a read-only one", "python -m benchmarks.soak.full", text, "onnxruntime")
    good = all(
        found[f"{kind}: {what}"] == total
        for kind in ("full", "ro")
        for what in ("went on", "recovered", "said")
    )
    bad = any(found[f"{kind}: {what}"] for kind in ("full", "ro") for what in ("lost", "crashed"))
    return int(not good or bad or refused[0] != 5)


@contextmanager
def _tmpfs(mount: Path) -> Iterator[None]:
    size = f"size={_MEGABYTES}m"
    subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(mount)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(mount)], check=True)


@contextmanager
def _ext4(disk: Path, mount: Path) -> Iterator[None]:
    disk.write_bytes(b"")
    os.truncate(disk, 64 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", str(disk)], check=True)
    subprocess.run(["mount", "-o", "loop", str(disk), str(mount)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(mount)], check=True)


@contextmanager
def _images(folder: Path) -> Iterator[None]:
    """Put an image into ``folder`` every 0.1 s; at most 30 images stay there."""
    folder.mkdir()
    ending = threading.Event()
    rng = np.random.default_rng(0)

    def run() -> None:
        number = 0
        while not ending.wait(0.1):
            put_image(folder, f"{number:05d}", rng)
            number += 1
            for old in sorted(folder.glob("*.png"))[:-30]:
                old.unlink()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join()
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()


def _filled(root: Path, bundle: Path, mount: Path, turn: int) -> Counter[str]:
    filler = mount / "filler"

    def fill() -> None:
        with filler.open("wb", buffering=0) as stream, suppress(OSError):
            while True:
                stream.write(b"\0" * 4096)

    return _faulted(root, bundle, mount, "full", fill, filler.unlink, pause=2 + turn % 3)


def _read_only(root: Path, bundle: Path, mount: Path, turn: int) -> Counter[str]:
    def seal(how: str) -> None:
        # A file system with open files cannot be remounted read-only. The immutable flag also stops writes to open files.
        subprocess.run(["chattr", "-R", how, str(mount / "out")], check=True)

    return _faulted(root, bundle, mount, "ro", lambda: seal("+i"), lambda: seal("-i"), pause=2 + turn % 3)


def _faulted(root: Path, bundle: Path, mount: Path, kind: str, fault, mend, *, pause: float) -> Counter[str]:  # type: ignore[no-untyped-def]
    """Run a watch through ``fault`` and ``mend``, and count the checks that it passed."""
    found: Counter[str] = Counter()
    with _images(root / "in"):
        watching = Watching(bundle, root / "in", mount / "out", "--keep", "10")
        watching.wait_for(30)
        fault()
        before = len(watching.lines)
        time.sleep(pause)
        until = time.monotonic() + 20
        while not _said(watching, "not stored") and time.monotonic() < until:
            time.sleep(0.1)
        found["said"] += _said(watching, "not stored")
        meanwhile = [event for event in watching.lines[before:] if event["event"] == "verdict"]
        found["went on"] += len(meanwhile) >= 3
        mend()
        mended = len(watching.lines)
        until = time.monotonic() + 30
        while not _recovered(watching.lines[mended + 5 :]) and time.monotonic() < until:
            time.sleep(0.1)
        found["recovered"] += _recovered(watching.lines[mended + 5 :])
        watching.child.send_signal(signal.SIGTERM)
        found["crashed"] += watching.end() != 0
    lost, half, _ = look(mount / "out", watching.lines)
    found["lost"] += lost + half
    if lost or half or not found["recovered"]:
        print(kind, lost, half, watching.log[-5:], flush=True)
    return Counter({f"{kind}: {what}": count for what, count in found.items()})


def _said(watching: Watching, words: str) -> bool:
    return any(words in line for line in watching.log)


def _recovered(lines: list[dict[str, object]]) -> bool:
    stored = {event["event"] for event in lines if event.get("id") is not None}
    return {"verdict", "explained"} <= stored


def _read_only_at_start(root: Path, bundle: Path, mount: Path) -> tuple[int, str]:
    (root / "in").mkdir()
    subprocess.run(["mount", "-o", "remount,ro", str(mount)], check=True)
    watching = Watching(bundle, root / "in", mount / "out")
    code = watching.end()
    said = watching.log[0] if watching.log else ""
    return code, said.replace(str(mount), "…")


if __name__ == "__main__":
    sys.exit(main())
