"""The faults of ``benchmarks.soak.faults``: what happens to a station's disk, folders, files and clock.

Each is a function of the place; it returns what ends the fault, or None where the fault is over or stays.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.soak.station import put_image

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np

    Mend = Callable[[], None] | None
    Fault = Callable[["Place"], Mend]

_MEGABYTES = 64
_CLOCK = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
static long off(void) {
  long seconds = 0;
  FILE *file = fopen(getenv("SOAK_CLOCK"), "r");
  if (file) { if (fscanf(file, "%ld", &seconds) != 1) seconds = 0; fclose(file); }
  return seconds;
}
int clock_gettime(clockid_t kind, struct timespec *found) {
  static int (*real)(clockid_t, struct timespec *);
  if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
  int code = real(kind, found);
  if (kind == CLOCK_REALTIME) found->tv_sec += off();
  return code;
}
int gettimeofday(struct timeval *found, void *zone) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  found->tv_sec = now.tv_sec; found->tv_usec = now.tv_nsec / 1000;
  return 0;
}
time_t time(time_t *found) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (found) *found = now.tv_sec;
  return now.tv_sec;
}
"""
"""A library whose clock is off by the seconds in a file. libfaketime changes the monotonic clock of some systems, too."""


@dataclass
class Place:
    """Where one station works."""

    frames: Path
    out: Path
    disk: Path
    """Folder in which ``out`` is: a small disk where one can be mounted."""
    clock: Path
    """File that says how far the station's clock is off."""
    rng: np.random.Generator
    process: subprocess.Popen[bytes] | None = None

    @contextmanager
    def faked(self) -> Iterator[None]:
        """Let processes that are started meanwhile read their clock from ``clock``, where there is a C compiler."""
        library = self.clock.with_suffix(".so")
        if not has_clock():
            yield
            return
        if not library.exists():
            self.clock.write_text("0")
            command = ["cc", "-shared", "-fPIC", "-x", "c", "-o", str(library), "-", "-ldl"]
            subprocess.run(command, input=_CLOCK, text=True, check=True)
        os.environ |= {"LD_PRELOAD": str(library), "SOAK_CLOCK": str(self.clock)}
        try:
            yield
        finally:
            del os.environ["LD_PRELOAD"], os.environ["SOAK_CLOCK"]


def has_clock() -> bool:
    """Return whether the clock of a process can be changed here."""
    return shutil.which("cc") is not None


@contextmanager
def small_disk(mount: Path) -> Iterator[None]:
    """Mount a small disk at ``mount``, where this user may."""
    mount.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={_MEGABYTES}m", "tmpfs", str(mount)]
    mounted = not subprocess.run(command, capture_output=True, check=False).returncode
    try:
        yield
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(mount)], check=False)


def without_rights() -> tuple[str, ...]:
    """Return the command that takes root's right to read all files from what follows it."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        return ()
    rights = "-dac_override,-dac_read_search"
    return ("setpriv", f"--bounding-set={rights}", f"--inh-caps={rights}")


def _index(out: Path) -> list[Path]:
    return list(out.glob("index.sqlite*"))


def _deleted(place: Place) -> Mend:
    for file in _index(place.out):
        file.unlink(missing_ok=True)
    return None


def _noise(place: Place) -> Mend:
    with (place.out / "index.sqlite").open("r+b") as file:
        file.write(os.urandom(os.fstat(file.fileno()).st_size))
    return None


def _noise_in_places(place: Place) -> Mend:
    with (place.out / "index.sqlite").open("r+b") as file:
        size = os.fstat(file.fileno()).st_size
        for at in range(4096, size, 12288):
            file.seek(at)
            file.write(os.urandom(512))
    return None


def _cut(place: Place) -> Mend:
    path = place.out / "index.sqlite"
    os.truncate(path, path.stat().st_size // 2)
    return None


def _folder_instead(place: Place) -> Mend:
    _deleted(place)
    with suppress(OSError):
        (place.out / "index.sqlite").mkdir()
    return None


def _moved(place: Place) -> Mend:
    """Move the folder away, as somebody does who looks for something; it is deleted in the end."""
    moved = place.out.with_name("moved")
    place.out.rename(moved)
    return lambda: shutil.rmtree(moved, ignore_errors=True)


def _removed(place: Place) -> Mend:
    shutil.rmtree(place.out, ignore_errors=True)
    return None


def _without_log(place: Place) -> Mend:
    for file in _index(place.out):
        if file.name != "index.sqlite":
            file.unlink()
    return None


def _full(place: Place) -> Mend:
    filler = place.disk / "filler"
    with filler.open("wb", buffering=0) as stream, suppress(OSError):
        while True:
            stream.write(b"\0" * 4096)
    return lambda: filler.unlink(missing_ok=True)


def _read_only_folder(place: Place) -> Mend:
    mode = place.out.stat().st_mode & 0o7777
    place.out.chmod(0o500)

    def mend() -> None:
        with suppress(OSError):
            place.out.chmod(mode)

    return mend


def _clock(place: Place) -> Mend:
    year = 365 * 86400
    jump = str(place.rng.choice([-7 * year, year, -3600, 3600, 73 * year, 0]))
    new = place.clock.with_name("new-clock")
    new.write_text(jump)
    new.rename(place.clock)
    return None


def _unreadable(place: Place) -> Mend:
    name = f"unreadable-{time.monotonic_ns()}"
    put_image(place.frames, name, place.rng, mode=0o000)

    def mend() -> None:
        with suppress(OSError):
            (place.frames / f"{name}.png").chmod(0o644)

    return mend


def _frames_without_rights(place: Place) -> Mend:
    place.frames.chmod(0o000)
    return lambda: place.frames.chmod(0o755)


def _link(place: Place) -> Mend:
    target = str(place.rng.choice(["/etc/shadow", "/dev/zero", "/nowhere", "/proc/self/environ", "."]))
    link = place.frames / f"link-{time.monotonic_ns()}.jpg"
    with suppress(OSError):
        link.symlink_to(target)
    return None


def _overflow(place: Place) -> Mend:
    """Let more files be closed than the system reports, while the station is stopped."""
    process = place.process
    if process is None or process.poll() is not None:
        return None
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    process.send_signal(signal.SIGSTOP)
    hidden = [place.frames / ".a", place.frames / ".b"]
    for number in range(limit // 2 + 200):  # each opening and each closing is an event
        with hidden[number % 2].open("wb"):
            pass
    name = f"lost-{time.monotonic_ns()}"
    put_image(place.frames, name, place.rng)
    return lambda: process.send_signal(signal.SIGCONT)


def _stopped_for_a_while(place: Place) -> Mend:
    process = place.process
    if process is None or process.poll() is not None:
        return None
    process.send_signal(signal.SIGSTOP)
    return lambda: process.send_signal(signal.SIGCONT)


def _decoder_killed(place: Place) -> Mend:
    process = place.process
    if process is not None:
        for each in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):
                _, _, rest = each.read_text().rpartition(")")
                if int(rest.split()[1]) == process.pid:
                    os.kill(int(each.parent.name), signal.SIGKILL)
    return None


def _no_image(place: Place) -> Mend:
    data = os.urandom(int(place.rng.integers(1, 200_000)))
    hidden = place.frames / ".noise"
    hidden.write_bytes(b"\x89PNG\r\n\x1a\n" + data)
    hidden.rename(place.frames / f"noise-{time.monotonic_ns()}.png")
    return None


def _nothing(_: Place) -> Mend:
    return None


_BOTH: dict[str, Fault] = {
    "index deleted": _deleted,
    "index overwritten": _noise,
    "places of the index overwritten": _noise_in_places,
    "index cut in half": _cut,
    "results deleted": _removed,
    "results moved": _moved,
    "clock": _clock,
    "an image that cannot be read for a while": _unreadable,
    "links among the images": _link,
    "a file that is no image": _no_image,
    "nothing": _nothing,
}
_RUNNING: dict[str, Fault] = {
    "disk full": _full,
    "results cannot be written": _read_only_folder,
    "folder of images cannot be read": _frames_without_rights,
    "overflow of the system's reports": _overflow,
    "stopped": _stopped_for_a_while,
    "decoder killed": _decoder_killed,
}
_STOPPED: dict[str, Fault] = {
    "log of the index deleted": _without_log,
    "a folder in the index's place": _folder_instead,
}
_LIMITED = {
    "an image that cannot be read for a while",
    "results cannot be written",
    "folder of images cannot be read",
}


def _possible(place: Place, kinds: dict[str, Fault]) -> dict[str, Fault]:
    """Leave out what this machine cannot do."""
    left_out = set[str]()
    if not os.path.ismount(place.disk):
        left_out.add("disk full")
    if not has_clock():
        left_out.add("clock")
    if os.geteuid() == 0 and not without_rights():
        left_out |= _LIMITED
    return {name: fault for name, fault in kinds.items() if name not in left_out}


def running(place: Place) -> dict[str, Fault]:
    """Return the faults of a station that runs, by name."""
    return _possible(place, _BOTH | _RUNNING)


def stopped(place: Place) -> dict[str, Fault]:
    """Return the faults between a kill and the next start, by name."""
    return _possible(place, _BOTH | _STOPPED)
