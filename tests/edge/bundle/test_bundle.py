"""Bundles: what is read is what was exported, or nothing."""

from __future__ import annotations

import hashlib
import shutil
import zipfile
from pathlib import Path

import msgspec
import pytest

from gagrad_edge.bundle.archive import MANIFEST, pack
from gagrad_edge.bundle.bundle import read_bundle, write_bundle
from gagrad_edge.errors import BundleError
from gagrad_edge.manifest import GraphKey, encode_manifest
from tests.models import MEMBERS, plain_manifest


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    write_bundle(tmp_path / "part.gagrad", plain_manifest(), MEMBERS)
    return tmp_path / "part.gagrad"


def unpacked(bundle: Path) -> Path:
    folder = bundle.parent / "unpacked"
    with zipfile.ZipFile(bundle) as opened:
        opened.extractall(folder)
    return folder


def repacked(bundle: Path, members: dict[str, bytes]) -> Path:
    bundle.write_bytes(b"".join(bytes(piece) for piece in pack(members)))
    return bundle


def contents(bundle: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(bundle) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def test_file_and_folder_are_the_same_bundle(bundle: Path) -> None:
    """Unpacked, a bundle has the same identity."""
    packed, loose = read_bundle(bundle), read_bundle(unpacked(bundle))
    assert packed.sha256 == loose.sha256
    name = packed.manifest.graph(GraphKey("predict")).file
    assert packed.members[name] == loose.members[name] == b"predict"


def test_same_content_same_bytes(bundle: Path, tmp_path: Path) -> None:
    """The same manifest and members give the same file."""
    write_bundle(tmp_path / "again.gagrad", plain_manifest(), dict(reversed(MEMBERS.items())))
    assert (tmp_path / "again.gagrad").read_bytes() == bundle.read_bytes()


@pytest.mark.slow
def test_every_flipped_byte_is_found(bundle: Path) -> None:
    """A bundle with one changed byte raises BundleError."""
    data = bundle.read_bytes()
    for position in range(0, len(data), 7):
        bundle.write_bytes(data[:position] + bytes([data[position] ^ 4]) + data[position + 1 :])
        with pytest.raises(BundleError):
            read_bundle(bundle)


def test_changed_member_with_right_checksum_is_found(bundle: Path) -> None:
    """The CRC can be forged by re-packing; the hash in the manifest cannot."""
    repacked(bundle, contents(bundle) | {"graphs/predict.onnx": b"PREDICT"})
    with pytest.raises(BundleError, match="wrong size or hash"):
        read_bundle(bundle)


def test_extra_member_is_refused(bundle: Path) -> None:
    """A member that the manifest does not name raises BundleError."""
    repacked(bundle, contents(bundle) | {"graphs/extra.onnx": b""})
    with pytest.raises(BundleError, match="not named in the manifest"):
        read_bundle(bundle)


def test_missing_member_is_refused(bundle: Path) -> None:
    """A member that the manifest names and the bundle lacks raises BundleError."""
    members = contents(bundle)
    del members["graphs/recover.onnx"]
    repacked(bundle, members)
    with pytest.raises(BundleError, match="missing"):
        read_bundle(bundle)


def test_member_outside_the_folder_is_refused(bundle: Path) -> None:
    """A hash in the manifest does not make ``../`` right."""
    with zipfile.ZipFile(bundle, "a") as opened:
        opened.writestr("../evil", b"x")
    with pytest.raises(BundleError):
        read_bundle(bundle)


@pytest.mark.parametrize(("field", "word"), [("format", "format"), ("abi", "ABI")])
def test_newer_bundle_is_refused_by_name(bundle: Path, field: str, word: str) -> None:
    """Even if a newer manifest has fields that we do not know."""
    members = contents(bundle)
    head = msgspec.json.decode(members[MANIFEST]) | {field: 3, "new_field": 1}
    repacked(bundle, members | {MANIFEST: msgspec.json.encode(head)})
    with pytest.raises(BundleError, match=word) as caught:
        read_bundle(bundle)
    assert "upgrade" in str(caught.value.hint)


def test_a_bundle_of_format_1_is_to_be_exported_again(bundle: Path) -> None:
    """It held each graph with its own weights; what it says beside that does not matter."""
    members = contents(bundle)
    head = msgspec.json.decode(members[MANIFEST]) | {"format": 1}
    repacked(bundle, members | {MANIFEST: msgspec.json.encode(head)})
    with pytest.raises(BundleError, match="bundle format 1 is that of an earlier gagrad-edge") as caught:
        read_bundle(bundle)
    assert caught.value.hint == "export the model again with the version installed here"


def test_link_in_a_folder_is_not_followed(bundle: Path) -> None:
    """A link in an unpacked bundle raises BundleError, although it leads to the right bytes."""
    folder = unpacked(bundle)
    (folder / "graphs/predict.onnx").unlink()
    outside = folder.parent / "outside"
    outside.write_bytes(b"predict")
    (folder / "graphs/predict.onnx").symlink_to(outside)
    with pytest.raises(BundleError, match="not a plain file"):
        read_bundle(folder)


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x05\x06" + b"\0" * 18, b"\x89PNG"])
def test_other_files_are_named(tmp_path: Path, content: bytes) -> None:
    """A file that is empty or of another kind raises BundleError that says so."""
    path = tmp_path / "x.gagrad"
    path.write_bytes(content)
    with pytest.raises(BundleError, match=r"empty|not a gagrad-edge bundle"):
        read_bundle(path)


def test_missing_file_and_empty_folder(tmp_path: Path) -> None:
    """A path without a file, and a folder without a manifest, raise BundleError."""
    with pytest.raises(BundleError, match="cannot be read"):
        read_bundle(tmp_path / "nothing.gagrad")
    with pytest.raises(BundleError, match=r"manifest\.json"):
        read_bundle(tmp_path)


def test_a_bundle_can_be_moved_while_loaded(bundle: Path) -> None:
    """The bytes that were hashed are the bytes that are used."""
    loaded = read_bundle(bundle)
    shutil.move(bundle, bundle.with_name("moved"))
    assert hashlib.sha256(loaded.members["graphs/recover.onnx"]).hexdigest() == (
        loaded.manifest.files["graphs/recover.onnx"].sha256
    )


def test_manifest_bytes_are_canonical(bundle: Path) -> None:
    """A manifest that says the same in other bytes is another manifest, and refused."""
    members = contents(bundle)
    compact = msgspec.json.encode(msgspec.json.decode(members[MANIFEST]))
    repacked(bundle, members | {MANIFEST: compact})
    with pytest.raises(BundleError, match="canonical"):
        read_bundle(bundle)
    assert encode_manifest(plain_manifest()).endswith(b"\n")
