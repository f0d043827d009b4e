"""Available memory, from a made-up /proc and /sys."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest

from gagrad_runtime.machine.memory import process_memory

MB = 2**20


def machine(root: Path, files: dict[str, str]) -> Path:
    """Write a machine with 8 GB available and ``files``."""
    files = {
        "proc/self/statm": "5000 1000 300 1 0 900 0\n",
        "proc/meminfo": f"MemTotal: {16 << 20} kB\nMemAvailable: {8 << 20} kB\nHugePages_Total: 0\n",
        "proc/self/cgroup": "0::/\n",
        **files,
    }
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


GROUPS = {
    "no group": ({}, 8192),
    "version 2": (
        {
            "proc/self/cgroup": "0::/line/part\n",
            "sys/fs/cgroup/line/part/memory.max": f"{1000 * MB}\n",
            "sys/fs/cgroup/line/part/memory.current": f"{700 * MB}\n",
            "sys/fs/cgroup/line/part/memory.stat": f"anon 1\ninactive_file {100 * MB}\n",
        },
        400,
    ),
    "version 2, no limit": (
        {
            "proc/self/cgroup": "0::/line\n",
            "sys/fs/cgroup/line/memory.max": "max\n",
            "sys/fs/cgroup/line/memory.current": f"{700 * MB}\n",
            "sys/fs/cgroup/line/memory.stat": "anon 1\n",
        },
        8192,
    ),
    "version 2, the group around it is the narrower": (
        {
            "proc/self/cgroup": "0::/line/part\n",
            "sys/fs/cgroup/line/memory.max": f"{500 * MB}\n",
            "sys/fs/cgroup/line/memory.current": f"{480 * MB}\n",
            "sys/fs/cgroup/line/memory.stat": "anon 1\n",
            "sys/fs/cgroup/line/part/memory.max": f"{1000 * MB}\n",
            "sys/fs/cgroup/line/part/memory.current": f"{400 * MB}\n",
            "sys/fs/cgroup/line/part/memory.stat": "anon 1\n",
        },
        20,
    ),
    "version 1, in a container that sees its own group as the root": (
        {
            "proc/self/cgroup": "9:name=systemd:/\n4:memory:/docker/0123\n0::/\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{600 * MB}\n",
            "sys/fs/cgroup/memory/memory.usage_in_bytes": f"{650 * MB}\n",
            "sys/fs/cgroup/memory/memory.stat": f"total_inactive_file {80 * MB}\n",
        },
        30,
    ),
    "version 1, used up": (
        {
            "proc/self/cgroup": "4:memory:/part\n",
            "sys/fs/cgroup/memory/part/memory.limit_in_bytes": f"{600 * MB}\n",
            "sys/fs/cgroup/memory/part/memory.usage_in_bytes": f"{650 * MB}\n",
            "sys/fs/cgroup/memory/part/memory.stat": "cache 0\n",
        },
        0,
    ),
}


@pytest.mark.skipif(sys.platform == "win32", reason="asks for the page size")
@pytest.mark.parametrize(("files", "available"), GROUPS.values(), ids=GROUPS.keys())
def test_the_narrowest_limit_counts(tmp_path: Path, files: dict[str, str], available: int) -> None:
    """Available memory is the smallest of the machine's and every control group's limit."""
    memory = process_memory(machine(tmp_path, files))
    assert memory is not None
    assert memory.available == available * MB


def test_a_system_that_does_not_tell(tmp_path: Path) -> None:
    """Without /proc the memory is None."""
    assert process_memory(tmp_path) is None


@pytest.mark.skipif(sys.platform != "linux", reason="Linux tells")
def test_this_machine() -> None:
    """On Linux the real process has plausible memory figures."""
    memory = process_memory()
    assert memory is not None
    assert MB < memory.used < memory.available + 2**40


REPEATED = """
import platform, resource, sys, threading
import numpy as np
from gagrad_runtime.machine.memory import keep_freed_memory

def work():
    kept = [np.full(3 << 20, 1, np.uint8) for _ in range(4)]

def run():
    work()
    before = resource.getrusage(resource.RUSAGE_THREAD).ru_minflt
    for _ in range(4):
        work()
    print((resource.getrusage(resource.RUSAGE_THREAD).ru_minflt - before) // 4)

if "keep" in sys.argv:
    keep_freed_memory()
thread = threading.Thread(target=run)
thread.start()
thread.join()
"""
"""Prints the page faults of a thread each time that it takes and frees 12 MB."""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc gives freed memory back")
def test_freed_memory_is_kept_for_the_next_time() -> None:
    """A thread that does the same again and again takes its memory from the system once."""
    found = [
        subprocess.run(
            [sys.executable, "-c", REPEATED, *more], capture_output=True, text=True, check=True
        ).stdout
        for more in ([], ["keep"])
    ]
    assert int(found[1]) < 100 < int(found[0])
