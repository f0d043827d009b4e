"""Simulated power cuts under a writing `watch`: every result that it printed must be on the disk, and complete.

python -m benchmarks.soak.power [COUNT]        (two seconds each; root; writes its section of docs/soak.md)

The results are on an ext4 file system in a file. A cut is FS_IOC_SHUTDOWN without flushing the journal: data that were
not synchronised are lost. Then the file system is mounted again, which replays the journal, and checked.
"""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.soak.section import write_section
from benchmarks.soak.station import Watching, demo_bundle, look, put_image

COUNT = 200
_SHUTDOWN = 0x8004587D
_NO_FLUSH = 2


def main() -> int:
    """Cut, check the results, and return 1 if a result was lost or incomplete, 2 if it cannot run here."""
    total = int(sys.argv[1]) if len(sys.argv) > 1 else COUNT
    if os.geteuid() != 0:
        print("not run: only root can mount", file=sys.stderr)
        return 2
    rng = np.random.default_rng(0)
    printed: list[dict[str, Any]] = []
    lost = half = unclean = 0
    counts: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        bundle, frames, disk, mount = demo_bundle(root), root / "in", root / "disk", root / "mount"
        frames.mkdir()
        mount.mkdir()
        disk.write_bytes(b"")
        os.truncate(disk, 256 << 20)
        subprocess.run(["mkfs.ext4", "-q", str(disk)], check=True)
        for turn in range(total):
            subprocess.run(["mount", "-o", "loop", str(disk), str(mount)], check=True)
            try:
                if turn:
                    lost, half, counts = look(mount / "out", printed)
                printed += _cut(bundle, frames, mount, rng, turn)
            except RuntimeError as error:
                unclean += 1
                print(f"cut {turn}: {error}", flush=True)
            finally:
                subprocess.run(["umount", str(mount)], check=True)
            if lost or half:
                raise RuntimeError(f"before cut {turn}: {lost} lost, {half} half")
            if turn % 20 == 19:
                print(turn + 1, len(printed), counts, flush=True)
        subprocess.run(["mount", "-o", "loop", str(disk), str(mount)], check=True)
        try:
            lost, half, counts = look(mount / "out", printed)
        finally:
            subprocess.run(["umount", str(mount)], check=True)
    text = f"""`gagrad-edge watch` explains images that keep coming (4 samples each) into a folder on ext4, which is shut down (FS_IOC_SHUTDOWN, the
journal not flushed) up to 0.6 s after its first line. After each cut the file system is mounted again, the index and every file are checked, and the next
`watch` continues in the same folder.

| | |
|---|---|
| cuts | {total} |
| lines printed | {len(printed)} |
| of these missing or with another state in the index | {lost} |
| pictures, records and indexes that do not open | {half} |
| starts that failed | {unclean} |
| rows | {", ".join(f"{count} {state}" for state, count in sorted(counts.items()))} |

The file system loses data that was not synchronised. A disk that acknowledges data before it has written them would lose more."""
    write_section("Power cuts", "python -m benchmarks.soak.power", text, "onnxruntime")
    return 1 if lost or half or unclean else 0


def _cut(
    bundle: Path, frames: Path, mount: Path, rng: np.random.Generator, turn: int
) -> list[dict[str, Any]]:
    """Return the lines that a watch printed before the power cut."""
    for old in sorted(frames.iterdir()):
        old.unlink()
    for number in range(12):
        put_image(frames, f"{turn:05d}-{number:02d}", rng)
    watching = Watching(bundle, frames, mount / "out", "--keep", "40")
    watching.wait_for(1)
    time.sleep(float(rng.uniform(0, 0.6)))
    descriptor = os.open(mount, os.O_RDONLY)
    try:
        fcntl.ioctl(descriptor, _SHUTDOWN, struct.pack("I", _NO_FLUSH))
    finally:
        os.close(descriptor)
    watching.kill()
    # A line printed after the cut has no number, or its row was stored before.
    return watching.lines


if __name__ == "__main__":
    sys.exit(main())
