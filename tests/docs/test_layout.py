"""docs/layout.md names every room of the three packages, and no room that is not there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PACKAGES = ("runtime/gagrad_runtime", "export/gagrad_export", "gagrad_edge")
ROW = re.compile(r"^\| `((?:runtime/|export/)?gagrad_\w+(?:/\w+)*)` \| (.+) \|$", re.MULTILINE)
FILE = re.compile(r"`([\w/]+(?:\.py|/))`")
MODULE = re.compile(r"`((?:\w+/)+\w+\.py)`")
LOOK_FIRST = "## Where to look first\n"


@pytest.fixture
def page(root: Path) -> str:
    return (root / "docs" / "layout.md").read_text(encoding="utf-8")


def test_every_room_is_named_once_and_every_named_room_exists(root: Path, page: str) -> None:
    """A room is a folder with an ``__init__.py``: the packages themselves and all folders below them."""
    named = [room for room, _ in ROW.findall(page)]
    rooms = {
        file.parent.relative_to(root).as_posix()
        for package in PACKAGES
        for file in (root / package).rglob("__init__.py")
    }
    assert sorted(named) == sorted(rooms)


def test_a_room_that_is_missing_is_found(root: Path, page: str) -> None:
    """The comparison above can fail: without one row a room is missing."""
    row = next(line for line in page.splitlines() if line.startswith("| `runtime/gagrad_runtime/frame` |"))
    assert len(ROW.findall(page.replace(row, ""))) == len(ROW.findall(page)) - 1


def exists(root: Path, file: str) -> bool:
    """Tell whether ``file`` is a path from the repository's root, from a package, or from above a package."""
    folders = ("", "runtime", "export", *PACKAGES)
    return any((root / folder / file).exists() for folder in folders)


def test_files_to_look_at_first_exist(root: Path, page: str) -> None:
    """Each file of the last table is found below one of the packages."""
    files = FILE.findall(page.split(LOOK_FIRST)[1])
    assert len(files) >= 10
    for file in files:
        assert exists(root, file), file


def test_every_module_that_a_page_names_exists(root: Path) -> None:
    """A moved module is noticed in every page and decision that names its path."""
    pages = [*(root / "docs").glob("*.md"), *(root / "docs" / "adr").glob("*.md")]
    named = [(page, file) for page in pages for file in MODULE.findall(page.read_text(encoding="utf-8"))]
    assert len(named) >= 20
    for page, file in named:
        assert exists(root, file), f"{page.name} names {file}"
    assert not exists(root, "runtime/gagrad_runtime/nowhere.py")
