"""The kind of processor: what engines choose their kernels by."""

from __future__ import annotations

import platform
from pathlib import Path

_FIELDS = ("model name", "flags", "CPU implementer", "CPU part", "Features")
"""Fields of /proc/cpuinfo, of x86 and of ARM."""


def processor_kind(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Return a text that is another one on a processor with other instructions.

    It is that of the first core. On a system without ``cpuinfo`` it is what Python says.
    """
    found = [platform.system(), platform.machine()]
    try:
        first = cpuinfo.read_text(encoding="utf-8", errors="replace").partition("\n\n")[0]
    except OSError:
        return "; ".join([*found, platform.processor()])
    lines = (line.partition(":") for line in first.splitlines())
    return "; ".join([*found, *(value.strip() for name, _, value in lines if name.strip() in _FIELDS)])
