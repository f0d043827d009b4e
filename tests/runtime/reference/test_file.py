"""The file of good parts: what was written is read, and nothing else is."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gagrad_edge.bundle.archive import pack, unpack
from gagrad_edge.errors import BundleError, SettingError
from gagrad_edge.trust.keys import generate
from gagrad_runtime.reference.file import (
    check_bundle,
    read_reference,
    sign_reference,
    write_reference,
)
from gagrad_runtime.reference.image import GoodImage
from gagrad_runtime.reference.layout import Layout
from gagrad_runtime.reference.motion import Motion
from gagrad_runtime.reference.registration import Template, structure
from tests.runtime.reference.parts import SIZE, good_parts, part

Members = dict[str, bytes]


@pytest.fixture
def good(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    parts = good_parts([part(rng) for _ in range(3)])
    template = Template(structure(parts._parts[0][0]), "shift")
    layout = Layout(template, (Motion(),) * 3, 0.004, 0.3)
    picture = parts.picture(layout, gradients={1: np.full((SIZE, SIZE), 2e-9, np.float32)})
    path = tmp_path / "part.good"
    write_reference(path, parts.reference("part", "a" * 64, picture))
    return path


def test_what_is_written_is_read(good: Path) -> None:
    """Content, image and gradients, small ones too; the same bytes each time."""
    found = read_reference(good)
    again = good.with_name("again.good")
    written = write_reference(again, found.reference)
    assert written.sha256 == found.reference.sha256
    assert again.read_bytes() == good.read_bytes()
    picture = found.reference.picture
    assert isinstance(picture, GoodImage)
    assert picture.layout.template.freedom == "shift"
    assert picture.gradients[1] == pytest.approx(2e-9, rel=1e-3)
    assert found.reference.parts == 3
    members = unpack(good.read_bytes(), where="")
    assert np.load(io.BytesIO(members["median.npy"])).shape == (3, SIZE, SIZE)


def changed(path: Path, change: Callable[[Members], object]) -> Path:
    members = {name: bytes(data) for name, data in unpack(path.read_bytes(), where="").items()}
    change(members)
    path.write_bytes(b"".join(pack(members)))
    return path


def edit(name: str, old: bytes, new: bytes) -> Callable[[Members], object]:
    def change(members: Members) -> None:
        assert old in members[name]
        members[name] = members[name].replace(old, new)

    return change


HOSTILE: dict[str, Callable[[Members], object]] = {
    "array": edit("median.npy", b"\x00", b"\x01"),
    "header": edit("median.npy", b"'<f2'", b"'|O2'"),
    "shape": edit("reference.json", b"   128", b"   129"),
    "missing": lambda members: members.pop("spread.npy"),
    "extra": lambda members: members.update({"more.npy": b"x"}),
    "content": edit("reference.json", b'"parts"', b'"party"'),
    "schema": edit("reference.json", b'"schema": 1', b'"schema": 9'),
    "nothing": lambda members: members.pop("reference.json"),
    "nesting": lambda members: members.update({"reference.json": b"[" * 100000}),
}


@pytest.mark.parametrize("change", HOSTILE.values(), ids=HOSTILE)
def test_a_changed_file_is_refused(good: Path, change: Callable[[Members], object]) -> None:
    """Whatever was changed, with a plain message; nothing is loaded from it."""
    with pytest.raises(BundleError, match=r"part\.good"):
        read_reference(changed(good, change))


def test_files_of_another_kind_are_refused(tmp_path: Path) -> None:
    """An empty file, a folder, a pickle, text; a scale of an earlier version names the way out."""
    path = tmp_path / "x.good"
    for data in (b"", b"PK\x03\x04", b"\x80\x04N.", b"text"):
        path.write_bytes(data)
        with pytest.raises(BundleError):
            read_reference(path)
    path.write_bytes(b'{"schema": 1, "bundle": "part", "quantile": 0.999, "value": 1.0}')
    with pytest.raises(BundleError, match="earlier gagrad-edge") as caught:
        read_reference(path)
    assert "gagrad-edge calibrate" in (caught.value.hint or "")
    with pytest.raises(BundleError):
        read_reference(tmp_path)


def test_a_file_of_another_bundle_is_refused(good: Path) -> None:
    """It says of which bundle it is."""
    reference = read_reference(good).reference
    check_bundle(reference, "a" * 64, "part.good")
    with pytest.raises(SettingError, match="another bundle"):
        check_bundle(reference, "b" * 64, "part.good")


def test_a_signature_covers_the_whole_file(good: Path) -> None:
    """Signed and signed again by another key; of a changed file the signature is another's."""
    pytest.importorskip("cryptography")
    first, second = generate(), generate()
    sign_reference(good, good, [first])
    sign_reference(good, good, [second])
    keys = [first.public, second.public, generate().public]
    assert read_reference(good).signed_by(keys) == sorted(keys[:2], key=lambda key: key.id)
    with pytest.raises(BundleError):
        read_reference(changed(good, edit("reference.json", b'"parts": 3', b'"parts": 4')))
