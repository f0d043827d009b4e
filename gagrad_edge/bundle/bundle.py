"""Reading and writing bundles: written atomically, and read only if every name, size and hash is right.

A bundle is one file ``NAME.gagrad`` (``archive.py``) or its unpacked folder. A bundle holds no executable
code, and nothing is unpickled. Each member is read or mapped once: what was hashed is what is in use.

Every tensor of a kilobyte and more is a member of its own, ``weights/<SHA-256>``, once for all graphs. One
that only moves or rounds the numbers of another is not stored: the manifest says how it is derived. See
docs/adr/0032-weights-once.md.
"""

from __future__ import annotations

import hashlib
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gagrad_edge.atomic import write_atomic
from gagrad_edge.bundle.archive import MANIFEST, SIGNATURE, pack
from gagrad_edge.bundle.container import COPY_AGAIN, open_container, wrong_member
from gagrad_edge.bundle.graph_file import GraphFile
from gagrad_edge.bundle.hashing import sha256_of_each
from gagrad_edge.bundle.weights import Weights
from gagrad_edge.errors import BundleError
from gagrad_edge.manifest import (
    FileEntry,
    GraphKey,
    GraphRole,
    Manifest,
    decode_manifest,
    encode_manifest,
)
from gagrad_edge.trust.envelope import decode_envelope
from gagrad_edge.trust.release import decode_release

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gagrad_edge.bundle.archive import Buffer
    from gagrad_edge.bundle.container import Container
    from gagrad_edge.trust.envelope import Envelope

SUFFIX = ".gagrad"


@dataclass(frozen=True)
class Head:
    """The head of a bundle: manifest and signature, which are read and checked before all other members."""

    path: Path
    manifest: Manifest
    sha256: str
    """SHA-256 of the manifest's bytes, in hexadecimal."""
    envelope: Envelope | None
    """The signatures; the signed statement names this manifest, but no signature has been verified."""
    members: Mapping[str, bytes]
    """The manifest and the signature as they were read: name → bytes."""


@dataclass(frozen=True)
class Bundle:
    """A bundle of which every byte has been checked.

    ``sha256`` is the hash of the manifest, and the manifest holds the hashes of all other members. So
    ``sha256`` identifies the content, for a packed and an unpacked bundle alike.
    """

    manifest: Manifest
    sha256: str
    path: Path
    members: Mapping[str, Buffer]
    envelope: Envelope | None = None
    """The signatures, if the bundle is signed; reading a bundle verifies no signature."""
    manifest_bytes: bytes = b""
    """The bytes of the manifest, of which ``sha256`` is the hash."""
    _graphs: dict[str, GraphFile] = field(default_factory=dict, init=False, repr=False, compare=False)
    """Those that were asked for: what a graph refers to is read from it once."""

    @property
    def weights(self) -> Weights:
        """The tensors by their hash."""
        return Weights(self.members, self.manifest.derived, where=str(self.path))

    def graph_file(self, key: GraphKey | GraphRole) -> GraphFile:
        """Return a graph, as ``Manifest.graph`` chooses it. Raises BundleError.

        A role alone stands for its plain graph: portable, float32.
        """
        key = key if isinstance(key, GraphKey) else GraphKey(key)
        name = self.manifest.graph(key).file
        if name not in self._graphs:
            self._graphs[name] = GraphFile(self.members[name], self.weights, str(self.path))
        return self._graphs[name]

    def graph(self, key: GraphKey | GraphRole) -> bytes:
        """Return a graph as one ONNX file with all its tensors, as ``graph_file`` chooses it."""
        return self.graph_file(key).complete()


def file_entries(members: Mapping[str, Buffer]) -> dict[str, FileEntry]:
    """Return the manifest's entry for each member: its size in bytes and its SHA-256."""
    hashes = sha256_of_each(list(members.values()))
    return {
        name: FileEntry(size=len(data), sha256=sha256)
        for (name, data), sha256 in zip(members.items(), hashes, strict=True)
    }


def write_bundle(path: Path, manifest: Manifest, members: Mapping[str, Buffer]) -> Manifest:
    """Write ``members`` and ``manifest`` to ``path`` in one step; return the manifest as written.

    The sizes and hashes of the members are added to the manifest. Raises OutputError; after a failure an
    earlier file at ``path`` is unchanged, and no partial file is left.
    """
    manifest = msgspec.structs.replace(manifest, files=file_entries(members))
    write_atomic(path, pack({**members, MANIFEST: encode_manifest(manifest)}))
    return manifest


def read_bundle(
    path: str | Path, approve: Callable[[Head], None] | None = None, *, mapped: bool = True
) -> Bundle:
    """Return the checked bundle at ``path``, a file or an unpacked folder. Raises BundleError.

    ``approve`` is called with the head before any other byte is read; it raises an error to refuse the
    bundle. With ``mapped`` large files are mapped where that is safe (``mapping.py``), else all are copied.
    """
    path = Path(path)
    where = str(path)
    try:
        with closing(open_container(path, mapped=mapped)) as container:
            head = _head(container, path)
            if approve is not None:
                approve(head)
            manifest = head.manifest
            sizes = {name: entry.size for name, entry in manifest.files.items()}
            if set(sizes) & set(head.members):
                raise BundleError("the manifest names itself or the signature", where=where, hint=COPY_AGAIN)
            sizes |= {name: len(data) for name, data in head.members.items()}
            members = container.members(sizes)
    except OSError as error:
        raise BundleError(
            f"cannot be read ({error.strerror or error})",
            where=where,
            hint="give the path of a .gagrad file; `gagrad-edge export` makes one",
        ) from error
    for name, data in head.members.items():
        if bytes(members.pop(name)) != data:
            raise wrong_member(name, where=where)
    _check_members(manifest, members, where=where)
    return Bundle(manifest, head.sha256, path, members, head.envelope, head.members[MANIFEST])


def _head(container: Container, path: Path) -> Head:
    members = container.head()
    if MANIFEST not in members:
        raise BundleError("there is no manifest.json in it", where=str(path), hint=COPY_AGAIN)
    data = members[MANIFEST]
    sha256 = hashlib.sha256(data).hexdigest()
    manifest = decode_manifest(data, where=f"{path}:{MANIFEST}")
    envelope, where = None, f"{path}:{SIGNATURE}"
    if SIGNATURE in members:
        envelope = decode_envelope(members[SIGNATURE], where=where)
        if decode_release(envelope.payload, where=where).manifest != sha256:
            raise BundleError("the signature is that of another bundle", where=where, hint=COPY_AGAIN)
    return Head(path, manifest, sha256, envelope, members)


def _check_members(manifest: Manifest, members: Mapping[str, Buffer], *, where: str) -> None:
    for name in sorted(set(members) ^ set(manifest.files)):
        kind = "is not named in the manifest" if name in members else "is missing"
        raise BundleError(f"member {name!r} {kind}", where=where, hint=COPY_AGAIN)
    found = file_entries(members)
    for name, entry in manifest.files.items():
        if found[name] != entry:
            raise wrong_member(name, where=where)
