"""Mutations of a signed bundle, from a flipped bit on a bad USB stick to a forger who has the source code.

Each mutation takes the workshop and a random generator and returns the bytes of a bundle file, or a folder. The
forger can do everything except sign with a trusted key.
"""

from __future__ import annotations

import io
import shutil
import zipfile
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

import msgspec

from gagrad_edge.bundle.archive import MANIFEST, SIGNATURE, pack, unpack
from gagrad_edge.bundle.bundle import file_entries, write_bundle
from gagrad_edge.bundle.signing import sign_bundle
from gagrad_edge.manifest import encode_manifest
from gagrad_edge.trust.envelope import decode_envelope, encode_envelope, seal
from gagrad_edge.trust.keys import PrivateKey, generate
from gagrad_edge.trust.release import decode_release, encode_release
from gagrad_runtime.trust import Policy
from tests.models import MEMBERS, plain_manifest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np

    from gagrad_edge.manifest import Manifest

SIGNED = datetime(2026, 5, 4, tzinfo=timezone.utc)
NOW = SIGNED + timedelta(days=100)


@dataclass
class Workshop:
    """A trusted and a foreign key, version 5 of a product as signed, and the device's policy."""

    folder: Path
    key: PrivateKey = field(default_factory=generate)
    foreign: PrivateKey = field(default_factory=generate)

    def __post_init__(self) -> None:
        self.good = self.signed(self.key)
        self.members = contents(self.good)
        self.policy = Policy((self.key.public,), products={"part": 5})

    def signed(self, key: PrivateKey, manifest: Manifest | None = None, **fields: object) -> bytes:
        """Return a bundle signed with ``key``, as version 5 unless ``fields`` say otherwise."""
        path = self.folder / "workshop.gagrad"
        write_bundle(path, manifest or plain_manifest(), MEMBERS)
        values = {"product": "part", "version": 5, "signed": SIGNED} | fields
        sign_bundle(path, path, [key], **values)  # type: ignore[arg-type]
        return path.read_bytes()


MUTATIONS: dict[str, Callable[[Workshop, np.random.Generator], bytes | Path]] = {}


def mutation(
    run: Callable[[Workshop, np.random.Generator], bytes | Path],
) -> Callable[[Workshop, np.random.Generator], bytes | Path]:
    """Register ``run`` under its name."""
    MUTATIONS[run.__name__.replace("_", " ")] = run
    return run


def contents(archive: bytes) -> dict[str, bytes]:
    """Return the members of a canonical archive."""
    return {name: bytes(data) for name, data in unpack(archive, where="workshop").items()}


def packed(members: dict[str, bytes]) -> bytes:
    """Return the canonical archive of ``members``: every CRC and header is right."""
    return b"".join(bytes(piece) for piece in pack(members))


def _one(rng: np.random.Generator, names: object) -> str:
    return str(rng.choice(sorted(names)))  # type: ignore[call-overload]


def _files(shop: Workshop) -> set[str]:
    return set(shop.members) - {MANIFEST, SIGNATURE}


@mutation
def flipped_bits(shop: Workshop, rng: np.random.Generator) -> bytes:
    """Flip one to eight bits, anywhere in the file."""
    data = bytearray(shop.good)
    for position in rng.integers(0, len(data), rng.integers(1, 9)):
        data[position] ^= 1 << rng.integers(8)
    return bytes(data)


@mutation
def flipped_bits_with_right_checksums(shop: Workshop, rng: np.random.Generator) -> bytes:
    """Flip a bit in one member, manifest and signature included, and pack the archive in canonical form."""
    name = _one(rng, {name for name, data in shop.members.items() if data})
    data = bytearray(shop.members[name])
    data[rng.integers(len(data))] ^= 1 << rng.integers(8)
    return packed(shop.members | {name: bytes(data)})


@mutation
def truncated(shop: Workshop, rng: np.random.Generator) -> bytes:
    """Cut the file at any byte, or take a piece out."""
    start, end = sorted(rng.integers(0, len(shop.good) + 1, 2))
    return shop.good[:start] + (shop.good[end:] if rng.integers(2) else b"")


@mutation
def bytes_put_in(shop: Workshop, rng: np.random.Generator) -> bytes:
    """Insert bytes before, after or inside the archive."""
    at = int(rng.choice([0, len(shop.good), int(rng.integers(len(shop.good)))]))
    return shop.good[:at] + rng.bytes(int(rng.integers(1, 100))) + shop.good[at:]


@mutation
def swapped_members(shop: Workshop, rng: np.random.Generator) -> bytes:
    """Exchange the contents of two members."""
    first, second = (str(name) for name in rng.choice(sorted(shop.members), 2, replace=False))
    return packed(shop.members | {first: shop.members[second], second: shop.members[first]})


@mutation
def extra_member(shop: Workshop, rng: np.random.Generator) -> bytes:
    """Add a member that is not named in the manifest."""
    return packed(shop.members | {f"graphs/x{rng.integers(1000)}.onnx": rng.bytes(20)})


@mutation
def missing_member(shop: Workshop, rng: np.random.Generator) -> bytes:
    """Remove a member, possibly the signature."""
    gone = _one(rng, shop.members)
    return packed({name: data for name, data in shop.members.items() if name != gone})


@mutation
def renamed_member(shop: Workshop, rng: np.random.Generator) -> bytes:
    """Rename a member, sometimes to a path outside the folder."""
    old = _one(rng, shop.members)
    new = _one(rng, {"graphs/new.onnx", "graphs/../../etc", "/etc/passwd", "manifest.JSON", "a\\b", ".x"})
    # ``pack`` refuses such names, so the archive is written by hand.
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in shop.members.items():
            archive.writestr(new if name == old else name, data)
    return stream.getvalue()


@mutation
def packed_by_another_program(shop: Workshop, rng: np.random.Generator) -> bytes:
    """Pack the same content as another zip: deflated, with comments, duplicates, links, another order."""
    stream = io.BytesIO()
    deflated = zipfile.ZIP_DEFLATED if rng.integers(2) else zipfile.ZIP_STORED
    with zipfile.ZipFile(stream, "w", deflated) as archive:
        names = list(shop.members)
        rng.shuffle(names)
        for name in [*names, *names[: rng.integers(2)]]:
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.external_attr = int(rng.choice([0o100644, 0o120777])) << 16
            archive.writestr(entry, shop.members[name], deflated)
        archive.comment = rng.bytes(int(rng.integers(0, 9)))
    return stream.getvalue()


def _forged(shop: Workshop, rng: np.random.Generator) -> dict[str, bytes]:
    """Return members with one changed member and a manifest with its new hash."""
    name = _one(rng, _files(shop))
    members = shop.members | {name: rng.bytes(int(rng.integers(1, 60)))}
    files = file_entries({file: members[file] for file in _files(shop)})
    return members | {MANIFEST: encode_manifest(plain_manifest(files=files))}


def _restated(shop: Workshop, members: dict[str, bytes], **fields: object) -> bytes:
    """Return the old envelope with a statement about ``members``, under the old signature."""
    envelope = decode_envelope(shop.members[SIGNATURE], where="workshop")
    release = decode_release(envelope.payload, where="workshop")
    changed = {"manifest": file_entries(members)[MANIFEST].sha256, **fields}
    payload = encode_release(msgspec.structs.replace(release, **changed))
    return encode_envelope(msgspec.structs.replace(envelope, payload=payload))


@mutation
def manifest_made_to_agree(shop: Workshop, rng: np.random.Generator) -> bytes:
    """Change a member and write its new hash into the manifest."""
    return packed(_forged(shop, rng))


@mutation
def statement_made_to_agree(shop: Workshop, rng: np.random.Generator) -> bytes:
    """Change a member and the manifest, and name the new manifest in the statement, under the old signature."""
    members = _forged(shop, rng)
    return packed(members | {SIGNATURE: _restated(shop, members)})


@mutation
def statement_changed(shop: Workshop, rng: np.random.Generator) -> bytes:
    """Change version, product or expiry of the statement, under the old signature."""
    fields: list[dict[str, object]] = [
        {"version": int(rng.integers(6, 10**6))},
        {"product": "other"},
        {"expires": NOW + timedelta(days=int(rng.integers(1, 999)))},
    ]
    return packed(shop.members | {SIGNATURE: _restated(shop, shop.members, **fields[rng.integers(3)])})


@mutation
def wrong_key(shop: Workshop, rng: np.random.Generator) -> bytes:
    """Sign the bundle with another key, possibly under the trusted key's name."""
    members = _forged(shop, rng) if rng.integers(2) else dict(shop.members)
    payload = decode_envelope(_restated(shop, members), where="workshop").payload
    envelope = seal(payload, [shop.foreign])
    if rng.integers(2):
        theirs = msgspec.structs.replace(envelope.signatures[0], keyid=shop.key.public.id)
        envelope = msgspec.structs.replace(envelope, signatures=[theirs])
    return packed(members | {SIGNATURE: encode_envelope(envelope)})


@mutation
def signature_of_another_bundle(shop: Workshop, rng: np.random.Generator) -> bytes:
    """Take a signature of the trusted key for another manifest."""
    other = contents(shop.signed(shop.key, plain_manifest(name=f"other-{rng.integers(1000)}")))
    return packed(shop.members | {SIGNATURE: other[SIGNATURE]})


@mutation
def old_version(shop: Workshop, rng: np.random.Generator) -> bytes:
    """Sign with the trusted key an older version than the device has used."""
    return shop.signed(shop.key, version=int(rng.integers(1, 5)))


@mutation
def expired(shop: Workshop, rng: np.random.Generator) -> bytes:
    """Sign with the trusted key a statement that has expired."""
    return shop.signed(shop.key, expires=NOW - timedelta(seconds=int(rng.integers(1, 10**6))))


@mutation
def unpacked_and_changed(shop: Workshop, rng: np.random.Generator) -> Path:
    """Unpack the bundle into a folder and change, add, remove or link a file."""
    folder = shop.folder / "unpacked"
    shutil.rmtree(folder, ignore_errors=True)
    for name, data in shop.members.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    victim = folder / _one(rng, shop.members)
    kind = rng.integers(5)
    if kind == 0:
        victim.write_bytes(victim.read_bytes() + rng.bytes(1))
    elif kind == 1:
        (folder / "graphs" / "extra.onnx").write_bytes(b"")
    elif kind == 2:
        victim.unlink()
    elif kind == 3:
        moved = victim.rename(shop.folder / "moved")
        victim.symlink_to(moved)
    else:
        (folder / "graphs").rename(folder / "elsewhere")
        (folder / "graphs").symlink_to("elsewhere")
    return folder
