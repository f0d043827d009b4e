"""Tensors of a bundle: stored once, derived by what the manifest says, mapped where nobody else can write."""

from __future__ import annotations

import hashlib
import mmap
import os
import stat
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gagrad_edge.bundle.bundle import read_bundle, write_bundle
from gagrad_edge.bundle.mapping import SMALL, contents, release
from gagrad_edge.bundle.weights import Weights, derive
from gagrad_edge.errors import BundleError
from gagrad_edge.manifest import Derivation, FileEntry
from tests.models import MEMBERS, plain_manifest

SOURCE = np.random.default_rng(0).standard_normal((8, 3, 5, 4)).astype(np.float32)
STORED = hashlib.sha256(SOURCE.tobytes()).hexdigest()


def derivation(**fields: Any) -> Derivation:
    whole: dict[str, Any] = {"view": [8, 3, 5, 4], "begin": [0] * 4, "step": [1] * 4, "axes": [0, 1, 2, 3]}
    return Derivation(STORED, **(whole | fields))


def test_a_derivation_is_what_numpy_makes() -> None:
    """Reversed, every second one, other axes, rounded: the bytes are those of NumPy's expression."""
    taken = derivation(
        view=[2, 4, 3, 5, 4],
        begin=[0, 0, 0, 4, 1],
        step=[1, 1, 1, -1, 2],
        axes=[0, 2, 1, 3, 4],
        dtype="float16",
    )
    expected = SOURCE.reshape(2, 4, 3, 5, 4)[:, :, :, ::-1, 1::2].transpose(0, 2, 1, 3, 4).astype(np.float16)
    found = derive(SOURCE.reshape(-1), taken)
    assert found.tobytes() == expected.tobytes()
    weights = Weights({f"weights/{STORED}": SOURCE.tobytes()}, {"0" * 64: taken}, where="x")
    assert weights["0" * 64].tobytes() == found.tobytes()
    assert weights.size("0" * 64) == found.nbytes
    assert (weights.source("0" * 64), weights.source(STORED)) == (STORED, STORED)


def test_a_derived_tensor_is_what_its_name_says() -> None:
    """``verify`` compares the hashes of all; one that another NumPy would make otherwise is an error."""
    members = {f"weights/{STORED}": SOURCE.tobytes()}
    name = hashlib.sha256(SOURCE[:, :, ::-1].tobytes()).hexdigest()
    right = derivation(begin=[0, 0, 4, 0], step=[1, 1, -1, 1])
    Weights(members, {name: right}, where="x").check()
    with pytest.raises(BundleError, match=f"the tensor {name} does not follow from {STORED}"):
        Weights(members, {name: derivation()}, where="x").check()


def test_what_float16_cannot_hold_is_infinite_in_silence() -> None:
    """As in the graph that the exporter wrote."""
    large = derivation(view=[1], begin=[0], step=[1], axes=[0], dtype="float16")
    assert np.isinf(derive(np.array([1e9], np.float32), large).view(np.float16)).all()


def test_a_tensor_that_is_not_there_is_named() -> None:
    """A graph that refers to a hash without a member, and a source of another size, are BundleErrors."""
    weights = Weights({f"weights/{STORED}": b"1234"}, {"0" * 64: derivation()}, where="x")
    with pytest.raises(BundleError, match="which is not in it"):
        weights["1" * 64]
    with pytest.raises(BundleError, match="another size than its derivation"):
        weights["0" * 64]


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """Return a bundle with one stored tensor of 80 kB, which is mapped."""
    data = bytes(range(256)) * 320
    name = "weights/" + hashlib.sha256(data).hexdigest()
    entry = FileEntry(size=0, sha256=name.removeprefix("weights/"))
    manifest = plain_manifest(files={**plain_manifest().files, name: entry})
    write_bundle(tmp_path / "part.gagrad", manifest, {**MEMBERS, name: data})
    return tmp_path / "part.gagrad"


def is_mapped(path: Path) -> bool:
    (data,) = (data for name, data in read_bundle(path).members.items() if name.startswith("weights/"))
    assert bytes(data[:4]) == bytes(range(4))
    return isinstance(data, memoryview) and isinstance(data.obj, mmap.mmap)


def test_a_file_that_others_can_write_is_copied(bundle: Path) -> None:
    """It could change behind the check of its hashes; its owner's and root's is mapped."""
    bundle.chmod(0o644)
    assert is_mapped(bundle)
    if hasattr(os, "geteuid"):
        for mode in (stat.S_IWGRP, stat.S_IWOTH):
            bundle.chmod(0o644 | mode)
            assert not is_mapped(bundle)


def test_a_tensor_is_aligned_in_the_mapped_file(bundle: Path) -> None:
    """So that an engine can use it where it lies."""
    (data,) = (data for name, data in read_bundle(bundle).members.items() if name.startswith("weights/"))
    assert np.frombuffer(data, np.uint8).ctypes.data % 64 == 0


def test_a_tensor_that_is_not_named_by_its_hash_is_refused() -> None:
    """No manifest says so: the name is what graphs find it by."""
    with pytest.raises(ValueError, match="is not named by its hash"):
        plain_manifest(files={**plain_manifest().files, "weights/1": FileEntry(size=1, sha256="0" * 64)})


@pytest.mark.skipif(sys.platform == "win32", reason="an open file cannot be replaced there")
def test_a_bundle_can_be_replaced_while_it_is_mapped(bundle: Path, tmp_path: Path) -> None:
    """By another file in its place, as every command writes: the loaded one stays what it was."""
    loaded = read_bundle(bundle)
    write_bundle(tmp_path / "new.gagrad", plain_manifest(), MEMBERS)
    (tmp_path / "new.gagrad").replace(bundle)
    (data,) = (data for name, data in loaded.members.items() if name.startswith("weights/"))
    assert (
        hashlib.sha256(data).hexdigest()
        in loaded.manifest.files[
            next(name for name in loaded.manifest.files if name.startswith("weights/"))
        ].sha256
    )


def test_a_file_that_is_shorter_than_it_was_is_seen(tmp_path: Path) -> None:
    """Fewer bytes come back than were asked for, mapped or copied."""
    path = tmp_path / "cut"
    path.write_bytes(b"x" * (SMALL - 1))
    for mapped in (True, False):
        with path.open("rb") as stream:
            assert len(contents(stream, 2 * SMALL, mapped=mapped)) == SMALL - 1


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_released_pages_come_back(tmp_path: Path) -> None:
    """What is given back is no longer resident, and is read again as it was."""
    path = tmp_path / "large"
    path.write_bytes(bytes(range(256)) * (1 << 14))
    with path.open("rb") as stream:
        data = contents(stream, 1 << 22)
    expected = hashlib.sha256(data).hexdigest()
    before = _resident()
    release([data, data[: 1 << 20], b"bytes are no map"])
    assert before - _resident() > 1 << 21
    assert hashlib.sha256(data).hexdigest() == expected


def _resident() -> int:
    """Return the bytes of mapped files in this process's memory."""
    return os.sysconf("SC_PAGE_SIZE") * int(Path("/proc/self/statm").read_text().split()[2])
