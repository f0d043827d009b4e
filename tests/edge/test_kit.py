"""A kit's list: what it must say, and what is refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from gagrad_edge.errors import BundleError
from gagrad_edge.kit import KIT, SIGNATURE, Entry, Kit, check_files, encode_kit, file_entry, read_kit
from gagrad_edge.kit_signature import kit_signers, sign_kit
from gagrad_edge.trust.keys import generate

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ("bundle.gagrad", "requirements.lock", "trust.toml", "station.toml")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in NAMES:
        (tmp_path / name).write_text(name)
    kit = Kit(
        gagrad_edge="0.1.0",
        platform="linux-x86_64",
        machine="x86_64",
        python="3.11",
        glibc="2.28",
        system_packages=False,
        product="part",
        version=3,
        created="2026-11-25T00:00:00Z",
        files={name: file_entry(tmp_path / name) for name in NAMES},
    )
    (tmp_path / KIT).write_bytes(encode_kit(kit))
    return tmp_path


def test_a_kit_reads_back(folder: Path) -> None:
    """A kit's list is read as it was written, and its files match."""
    kit, digest = read_kit(folder)
    check_files(folder, kit)
    assert encode_kit(kit) == (folder / KIT).read_bytes()
    assert len(digest) == 64


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"files": {}},
        {"files": {"../x": {"sha256": "0" * 64, "size": 1}}},
        {"files": {"/etc/x": {"sha256": "0" * 64, "size": 1}}},
        {"files": {KIT: {"sha256": "0" * 64, "size": 1}}},
        {"files": []},
        {"product": "a b"},
        {"version": "3"},
        {"unknown": 1},
        {"machine": None},
    ],
)
def test_a_list_that_is_wrong_is_refused(folder: Path, change: dict[str, object]) -> None:
    """A list with a wrong, missing or unknown field, or a path outside the kit, raises BundleError."""
    content = json.loads((folder / KIT).read_bytes())
    (folder / KIT).write_text(json.dumps(content | change))
    with pytest.raises(BundleError, match="not valid"):
        read_kit(folder)


def test_what_is_no_kit(tmp_path: Path) -> None:
    """A folder without a list, and a list that is no JSON, raise BundleError."""
    with pytest.raises(BundleError, match="no kit"):
        read_kit(tmp_path)
    (tmp_path / KIT).write_text("[" * 100_000)
    with pytest.raises(BundleError, match="not valid"):
        read_kit(tmp_path)


def test_changed_missing_and_linked_files_are_found(folder: Path) -> None:
    """A file that is changed, missing or a link raises BundleError with the reason."""
    kit, _ = read_kit(folder)
    path = folder / NAMES[0]
    path.write_text("x" * len(NAMES[0]))
    with pytest.raises(BundleError, match="hash differs"):
        check_files(folder, kit)
    path.write_text("longer than it was")
    with pytest.raises(BundleError, match="18 bytes for 13"):
        check_files(folder, kit)
    path.unlink()
    with pytest.raises(BundleError, match="cannot be read"):
        check_files(folder, kit)
    path.symlink_to(folder / NAMES[1])
    with pytest.raises(BundleError, match="not a regular file"):
        check_files(folder, kit)


def test_signatures_are_for_one_list(folder: Path) -> None:
    """A kit's signature counts for the listed keys and for this kit's list alone."""
    key, other = generate(), generate()
    _, digest = read_kit(folder)
    assert kit_signers(folder, digest, [key.public]) == []
    sign_kit(folder, digest, [key])
    assert kit_signers(folder, digest, [other.public, key.public]) == [key.public]
    with pytest.raises(BundleError, match="another kit"):
        kit_signers(folder, "0" * 64, [key.public])
    (folder / SIGNATURE).write_bytes((folder / SIGNATURE).read_bytes().replace(b"kit+json", b"release+json"))
    with pytest.raises(BundleError):
        kit_signers(folder, digest, [key.public])


def test_an_entry_is_a_hash_and_a_size(tmp_path: Path) -> None:
    """A file's entry is its SHA-256 and its size in bytes."""
    (tmp_path / "x").write_bytes(b"")
    digest = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert file_entry(tmp_path / "x") == Entry(digest, 0)
