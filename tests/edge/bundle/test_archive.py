"""The container has one byte form, and accepts no other."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest

from gagrad_edge.bundle.archive import ALIGNMENT, archive_size, pack, unpack
from gagrad_edge.errors import BundleError

MEMBERS = {"manifest.json": b"{}\n", "graphs/a.onnx": b"abc" * 50, "selftest/empty": b""}


def archive(members: dict[str, bytes]) -> bytes:
    return b"".join(bytes(piece) for piece in pack(members))


def test_round_trip() -> None:
    """Members that are packed and unpacked are the same."""
    data = archive(MEMBERS)
    assert {name: bytes(value) for name, value in unpack(data, where="x").items()} == MEMBERS


def test_any_zip_program_opens_it() -> None:
    """Python's zipfile opens the archive and finds it intact."""
    with zipfile.ZipFile(io.BytesIO(archive(MEMBERS))) as opened:
        assert opened.testzip() is None
        assert {name: opened.read(name) for name in opened.namelist()} == MEMBERS


@pytest.mark.parametrize("length", range(0, 130, 13))
def test_the_bytes_of_members_are_aligned(length: int) -> None:
    """Behind a head of any length each member begins at a multiple of 64, and the size is foreseen."""
    members = MEMBERS | {"manifest.json": b"x" * length, "weights/" + "a" * (1 + length): b"w" * length}
    data = archive(members)
    assert len(data) == archive_size({name: len(value) for name, value in members.items()})
    with zipfile.ZipFile(io.BytesIO(data)) as opened:
        assert opened.testzip() is None
    view = np.frombuffer(data, np.uint8)
    for name, member in unpack(data, where="x").items():
        if len(member) and name != "manifest.json":
            begin = np.frombuffer(member, np.uint8).ctypes.data - view.ctypes.data
            assert begin % ALIGNMENT == 0, name


def test_other_padding_is_refused() -> None:
    """The padding is part of the one byte form: its number, its length and its zeros."""
    data = archive(MEMBERS)
    begin = data.index(b"graphs/a.onnx") + len("graphs/a.onnx")
    for position in range(begin, begin + 10):
        damaged = bytearray(data)
        damaged[position] ^= 1
        with pytest.raises(BundleError):
            unpack(bytes(damaged), where="x")


def test_the_order_of_members_does_not_matter() -> None:
    """The archive's bytes do not depend on the order in which members are given."""
    assert archive(dict(reversed(MEMBERS.items()))) == archive(MEMBERS)


def test_every_flipped_bit_is_found() -> None:
    """In a header, a name, the directory, or the data."""
    data = archive(MEMBERS)
    for position in range(len(data)):
        for bit in (1, 0x80):
            damaged = bytearray(data)
            damaged[position] ^= bit
            with pytest.raises(BundleError):
                unpack(bytes(damaged), where="x")


def test_every_truncation_is_found() -> None:
    """An archive that is cut at any byte, or has one byte more, raises BundleError."""
    data = archive(MEMBERS)
    for length in range(len(data)):
        with pytest.raises(BundleError):
            unpack(data[:length], where="x")
    with pytest.raises(BundleError):
        unpack(data + b"\0", where="x")


@pytest.mark.parametrize(
    "name", ["../evil", "/etc/passwd", "a/../b", "a\\b", "", "a//b", "C:x", ".hidden", "a/.b", "x" * 201]
)
def test_a_name_that_leaves_the_folder_is_refused(name: str) -> None:
    """A member name that could leave the folder is neither packed nor unpacked."""
    with pytest.raises(BundleError, match="not allowed"):
        archive({name: b""})
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as written:
        written.writestr(zipfile.ZipInfo(name or "x"), b"")
    with pytest.raises(BundleError):
        unpack(stream.getvalue(), where="x")


def test_a_compressed_zip_is_refused() -> None:
    """There is no decompression, so there is no bomb."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as written:
        written.writestr("manifest.json", b"0" * 100_000)
    with pytest.raises(BundleError, match="re-packed"):
        unpack(stream.getvalue(), where="x")


def test_random_bytes_behind_the_magic_are_refused() -> None:
    """Random bytes behind the zip magic raise BundleError and nothing else."""
    rng = np.random.default_rng(0)
    for _ in range(300):
        with pytest.raises(BundleError):
            unpack(b"PK\x03\x04" + rng.bytes(int(rng.integers(0, 200))), where="x")
