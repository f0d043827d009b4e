"""Every caution of the program is described, and no other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("cautions.py", "input_cautions.py", "doubts.py")


def codes() -> set[str]:
    """Return the codes that stand in the sources."""
    texts = [(ROOT / "runtime/gagrad_runtime/explanation" / name).read_text() for name in SOURCES]
    found = re.findall(r'(?:Caution\(\s*|UNCALIBRATED = )"([a-z-]+)"', "\n".join(texts))
    return set(found)


@pytest.mark.parametrize("page", ["cautions.md", "record.md"])
def test_every_caution_is_described(page: str) -> None:
    """Each code has a row in both pages; docs/cautions.md says how it is measured."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    if page == "record.md":
        text = text[text.index("## Codes of `cautions`") :].split("\n## ")[0]
    rows = {code for line in text.splitlines() for code in re.findall(r"^\| (.+?) \|", line)}
    described = {code for row in rows for code in re.findall(r"`([a-z-]+)`", row)}
    assert len(codes()) > 15
    assert codes() <= described
    if page == "record.md":
        assert described <= codes()
