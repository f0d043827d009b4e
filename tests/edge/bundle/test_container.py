"""Sizes and kinds of files are looked at before anything is read."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from gagrad_edge.bundle.archive import MANIFEST, archive_size, pack, unpack
from gagrad_edge.bundle.bundle import read_bundle, write_bundle
from gagrad_edge.errors import BundleError
from gagrad_edge.manifest import FileEntry, encode_manifest
from tests.models import MEMBERS, plain_manifest

GIB = 1 << 30


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    write_bundle(tmp_path / "part.gagrad", plain_manifest(), MEMBERS)
    return tmp_path / "part.gagrad"


@pytest.fixture
def folder(bundle: Path, tmp_path: Path) -> Path:
    for name, data in unpack(bundle.read_bytes(), where="x").items():
        (tmp_path / "loose" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "loose" / name).write_bytes(data)
    return tmp_path / "loose"


# In a process of its own: threads that another test left behind allocate, too.
READ = """
import sys, tracemalloc
from gagrad_edge.bundle.bundle import read_bundle
from gagrad_edge.errors import BundleError

tracemalloc.start()
try:
    read_bundle(sys.argv[1])
except BundleError as error:
    print(tracemalloc.get_traced_memory()[1], error)
"""


def refused(path: Path, words: str) -> None:
    """Assert that it is refused, in these words, for less than a megabyte."""
    peak, message = subprocess.check_output([sys.executable, "-c", READ, path], text=True).split(maxsplit=1)
    assert words in message
    assert int(peak) < 1 << 20


def sized(**sizes: int) -> bytes:
    """Return a manifest that states ``sizes`` of its graphs."""
    files = dict(plain_manifest().files)
    for role, size in sizes.items():
        files[f"graphs/{role}.onnx"] = FileEntry(size=size, sha256="0" * 64)
    return encode_manifest(plain_manifest(files=files))


def test_the_size_of_an_archive_is_known_from_its_members(bundle: Path) -> None:
    """archive_size is the archive's size in bytes, from its members' sizes alone."""
    data = bundle.read_bytes()
    sizes = {name: len(member) for name, member in unpack(data, where="x").items()}
    assert archive_size(sizes) == len(data)


def test_a_file_that_is_longer_than_its_manifest_says(bundle: Path) -> None:
    """200 GB that are not there: nothing is read of them."""
    os.truncate(bundle, 200 * GIB)
    refused(bundle, "its manifest accounts for")


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ({"predict": 3 * GIB}, "'graphs/predict.onnx' is too large"),
        ({"predict": 2 * GIB, "accumulate": 2 * GIB, "combine": GIB}, "larger than 4 GiB"),
        ({"predict": GIB}, "its manifest accounts for"),
    ],
)
def test_a_manifest_that_names_giants(bundle: Path, folder: Path, sizes: dict[str, int], words: str) -> None:
    """A manifest with members of gigabytes is refused before memory is taken."""
    members = {**MEMBERS, MANIFEST: sized(**sizes)}
    bundle.write_bytes(b"".join(bytes(piece) for piece in pack(members)))
    refused(bundle, words)
    (folder / MANIFEST).write_bytes(members[MANIFEST])
    refused(folder, words if "GiB" in words or "large" in words else "wrong size")


def test_a_member_that_states_a_giant_size(bundle: Path, folder: Path) -> None:
    """The manifest itself, in the header and as a file."""
    data = bytearray(bundle.read_bytes())
    struct.pack_into("<II", data, 18, 3 * GIB, 3 * GIB)
    bundle.write_bytes(data)
    refused(bundle, "'manifest.json' is too large")
    os.truncate(folder / MANIFEST, 100 * GIB)
    refused(folder, "'manifest.json' is too large")


def test_a_member_of_a_folder_that_grew(folder: Path) -> None:
    """A member that is larger than its manifest says is refused unread."""
    os.truncate(folder / "graphs/predict.onnx", GIB)
    refused(folder, "wrong size")


def test_pipes_and_devices_are_not_waited_for(folder: Path, tmp_path: Path) -> None:
    """A pipe or a device in place of a bundle or a member is refused at once."""
    os.mkfifo(tmp_path / "pipe.gagrad")
    refused(tmp_path / "pipe.gagrad", "pipe or a device")
    refused(Path("/dev/zero"), "pipe or a device")
    (folder / "graphs/predict.onnx").unlink()
    os.mkfifo(folder / "graphs/predict.onnx")
    refused(folder, "not a plain file")


@pytest.mark.parametrize("name", [MANIFEST, "graphs/predict.onnx", "graphs"])
def test_links_in_a_folder_are_not_followed(folder: Path, name: str) -> None:
    """A link in place of manifest, member or folder raises BundleError."""
    moved = (folder / name).rename(folder.parent / "moved")
    (folder / name).symlink_to(moved)
    refused(folder, "not a plain file")


def test_a_folder_that_is_no_bundle_is_not_searched(folder: Path) -> None:
    """A folder with thousands of entries is given up."""
    for number in range(110):
        (folder / f"d{number}").mkdir()
    refused(folder, "too many files")


def test_a_manifest_that_nests_without_end(bundle: Path) -> None:
    """It is an error about the bundle, and no RecursionError."""
    members = dict(MEMBERS) | {MANIFEST: b'{"format":2,"abi":1,"x":' + b"[" * 100_000}
    bundle.write_bytes(b"".join(bytes(piece) for piece in pack(members)))
    with pytest.raises(BundleError, match="not readable"):
        read_bundle(bundle)
    assert msgspec.json.decode(sized())["format"] == 2
