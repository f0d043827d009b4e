"""One section of docs/soak.md for each fault test; the others' stay as they are."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from benchmarks.table import DOCS, machine

if TYPE_CHECKING:
    from pathlib import Path

INTRODUCTION = """# Fault tests

Each section describes a fault, how often it was caused, and what the program did. `make soak` runs all fault tests (`make test` runs
short forms). Each section is written by the program that it names. A *line* is one JSON object that `gagrad-edge watch --json` prints after
it has stored the result.
"""


def write_section(
    title: str, command: str, text: str, *distributions: str, page: Path = DOCS / "soak.md"
) -> None:
    """Print ``text`` and make it the section ``title`` of ``page``, in place of an earlier one.

    ``command`` reproduces it; ``distributions`` are packages whose versions the section states.
    """
    print(text)
    body = f"## {title}\n`{command}`; {machine(*distributions)}\n\n{text.strip()}\n"
    old = page.read_text(encoding="utf-8") if page.exists() else INTRODUCTION
    first, *sections = re.split(r"(?m)^(?=## )", old)
    named = {section.splitlines()[0]: section.strip() + "\n" for section in sections}
    named[f"## {title}"] = body
    page.write_text("\n".join([first.strip() + "\n", *named.values()]), encoding="utf-8")
