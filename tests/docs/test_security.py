"""docs/security.md names tests and soaks that exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")


def test_every_promise_names_a_test_that_exists() -> None:
    """Each row of the table of promises has a file of tests."""
    table = PAGE.partition("## What is promised")[2].partition("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("| **")]
    assert len(rows) > 10
    for row in rows:
        files = re.findall(r"`(tests/[\w/]+\.py)`", row)
        assert files, row
        assert [name for name in files if not (ROOT / name).is_file()] == []


def test_the_soaks_that_it_links_exist() -> None:
    """Each link to a section of docs/soak.md leads to one."""
    soak = (ROOT / "docs" / "soak.md").read_text(encoding="utf-8")
    sections = {
        title.lower().replace(" ", "-").replace(",", "") for title in re.findall(r"(?m)^## (.*)$", soak)
    }
    linked = set(re.findall(r"\(soak\.md#([\w-]+)\)", PAGE))
    assert linked
    assert linked <= sections
