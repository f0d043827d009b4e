"""One section of docs/soak.md for each fault test; the others' stay as they are."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from benchmarks.table import DOCS, machine

if TYPE_CHECKING:
    from pathlib import Path

INTRODUCTION = """# Fault tests

What is done to a station, how often, and what became of it. `make soak` runs all of them again (the short forms run
with `make test`). Each section is written by the program that it names.
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
