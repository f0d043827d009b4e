"""Folders as sources: the images in them, in order, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gagrad_runtime.jobs.folders import with_images
from gagrad_runtime.report.naming import ENDINGS

if TYPE_CHECKING:
    from pathlib import Path


def fill(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")


def test_a_folder_stands_for_its_images(tmp_path: Path) -> None:
    """Sorted, in any case of the ending, without hidden files, other files and our own results."""
    fill(tmp_path, "b.png", "a.JPG", ".hidden.png", "notes.txt", "sub/c.png")
    fill(tmp_path, *(f"a{ending}" for ending in ENDINGS.values()))
    found = with_images(["first.png", str(tmp_path), "last.png"])
    assert found == ["first.png", str(tmp_path / "a.JPG"), str(tmp_path / "b.png"), "last.png"]
    assert with_images([str(tmp_path)], recursive=True) == [
        str(tmp_path / name) for name in ("a.JPG", "b.png", "sub/c.png")
    ]


def test_a_ring_of_links_ends(tmp_path: Path) -> None:
    """A link to a folder above is not followed."""
    fill(tmp_path, "a.png", "sub/b.png")
    (tmp_path / "sub" / "up").symlink_to(tmp_path)
    assert len(with_images([str(tmp_path)], recursive=True)) == 2


def test_a_folder_without_images_stays(tmp_path: Path) -> None:
    """It is reported like an image that cannot be read, and not passed over."""
    assert with_images([str(tmp_path)]) == [str(tmp_path)]
