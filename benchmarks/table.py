"""Markdown tables, and the line that describes the machine on which they were measured."""

from __future__ import annotations

import os
import platform
from contextlib import suppress
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

DOCS = Path(__file__).parent.parent / "docs"


def markdown(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def machine(*distributions: str) -> str:
    """Return one line that names the processor, the day, and the versions of Python and ``distributions``."""
    cores = len(os.sched_getaffinity(0))
    versions = ", ".join(_version(name) for name in distributions)
    day = datetime.now(timezone.utc).date()
    return f"{_processor()}, {cores} cores, Python {platform.python_version()}, {versions}; {day}."


def _version(name: str) -> str:
    """Return name and version of a distribution or its GPU wheel; a missing one must not cost the measurements."""
    for wheel in (name, f"{name}-gpu"):
        with suppress(metadata.PackageNotFoundError):
            return f"{wheel} {metadata.version(wheel)}"
    return f"no {name}"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith("model name"):
            return " ".join(line.split(":", 1)[1].split())
    return platform.machine()


def publish(name: str, text: str) -> None:
    """Print ``text`` and write it to ``docs/NAME.md``."""
    print(text)
    (DOCS / f"{name}.md").write_text(text, encoding="utf-8")
