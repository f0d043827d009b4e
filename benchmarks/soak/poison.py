"""Poison images and restarts: the images beside them have their verdicts soon after each start.

python -m benchmarks.soak.poison [KIND ...]        (ten minutes; writes its section of docs/soak.md)
"""

from __future__ import annotations

import os
import shutil
import socket
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.soak.poison_files import poison
from benchmarks.soak.section import write_section
from benchmarks.soak.station import Watching, demo_bundle, put_image
from benchmarks.table import markdown
from gagrad_edge.bundle.bundle import read_bundle
from gagrad_runtime.station.store import Store

BAR = 3.0
"""Seconds from the readiness of a restarted station to the verdict on the last good image."""
GOOD = 5
"""Good images beside a poison file, before the restart and after it."""
LONGEST = 60.0


class Ready:
    """What a station tells systemd: the time at which it is ready."""

    def __init__(self, folder: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(folder / "notify"))
        os.environ["NOTIFY_SOCKET"] = str(folder / "notify")

    def wait(self) -> float:
        """Wait for the next readiness, and return when it was."""
        self._socket.settimeout(LONGEST)
        while b"READY=1" not in self._socket.recv(4096):
            pass
        return time.monotonic()

    def close(self) -> None:
        """Forget it."""
        del os.environ["NOTIFY_SOCKET"]
        self._socket.close()


def trial(
    bundle: Path, root: Path, kinds: list[str], kill_after: float
) -> tuple[float, list[str], dict[str, str]]:
    """Run a station over poison of ``kinds`` and good images behind it, kill it, and start it again.

    Return the seconds from its readiness to the last verdict on a good image, the good images without one, and what
    became of each poison file in the end.
    """
    output = read_bundle(bundle).manifest.output
    classes = output.classes or [str(index) for index in range(output.shape[0])]
    good = [word for name in classes for word in ("--good", name)]
    source, out, rng = root / "in", root / "out", np.random.default_rng(0)
    source.mkdir()
    for number, kind in enumerate(kinds):
        path = source / f"{number:02d}-{kind}"
        poison()[kind](path)
        os.utime(path, (number + 1, number + 1), follow_symlinks=False)
    for number in range(GOOD):
        put_image(source, f"good-{number}", rng)
    ready = Ready(root)
    try:
        first = Watching(bundle, source, out, *good)
        ready.wait()
        time.sleep(kill_after)
        first.kill()
        with Store(out) as store:  # the line of a row may not have been printed
            done = {row.name for row in store.rows("verdict")}
        for number in range(GOOD, 2 * GOOD):
            put_image(source, f"good-{number}", rng)
        second = Watching(bundle, source, out, *good, "--once")
        began = ready.wait()
    finally:
        ready.close()
    wanted = {f"good-{number}.png" for number in range(2 * GOOD)}
    wanted -= done
    while wanted and time.monotonic() - began < LONGEST and second.child.poll() is None:
        wanted -= {event["file"] for event in second.lines if event["event"] == "verdict"}
        time.sleep(0.01)
    seconds = time.monotonic() - began
    second.end()
    wanted -= {event["file"] for event in second.lines if event["event"] == "verdict"}
    with Store(out) as store:
        ends = {row.name: str(row.state) for row in store.rows() if not row.name.startswith("good")}
    return seconds, sorted(wanted), ends


def main() -> int:
    """Run each kind by itself; return 1 when an image had to wait, or got no verdict."""
    kinds = sys.argv[1:] or list(poison())
    waits, without, ends = list[float](), list[str](), list[list[str]]()
    with tempfile.TemporaryDirectory() as name:
        bundle = demo_bundle(Path(name))
        for number, kind in enumerate(kinds):
            root = Path(name) / f"{number}"
            root.mkdir()
            seconds, missing, found = trial(bundle, root, [kind], (number % 5) * 0.2)
            shutil.rmtree(root)
            end = found.get(f"00-{kind}", "not looked at")
            waits.append(seconds)
            without += missing
            ends.append([f"`{kind}`", end, f"{seconds:.1f}"])
            print(kind, end, f"{seconds:.2f} s", missing, flush=True)
    late = sum(seconds > BAR for seconds in waits)
    text = f"""{len(kinds)} kinds of files that are small and dear to decode, or that stop or crash decoders, each as the oldest in the folder of a station, with {GOOD} good images behind it. The station is killed 0 to 0.8 s
after it is ready; {GOOD} more images come; it is started again. Seconds are counted from its readiness to the verdict on the last good image.

Good images without a verdict: {len(without)} of {2 * GOOD * len(kinds)}. Longest wait: {max(waits):.1f} s; over {BAR:.0f} s: {late}. While it ran, {os.getloadavg()[2] / (os.cpu_count() or 1):.1f} processes wanted each processor.

{markdown(["file", "its end", "seconds"], ends)}
A file that ends with a verdict can be decoded and is only dear; links that lead nowhere, pipes and devices are not looked at, and an empty file not for a minute."""
    if not sys.argv[1:]:
        write_section(
            "Poison images", "python -m benchmarks.soak.poison", text, "pillow", "opencv-python-headless"
        )
    return int(bool(without or late))


if __name__ == "__main__":
    sys.exit(main())
