"""Bundles: written atomically, and read only when every name, size and hash is right.

A bundle is one file ``NAME.gagrad`` (``archive.py``) or its unpacked folder. Nothing in it is executable
and nothing is unpickled; a member's bytes are used as they were hashed and never read a second time.
"""

from __future__ import annotations

import hashlib
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gagrad_edge.atomic import write_atomic
from gagrad_edge.bundle.archive import MANIFEST, SIGNATURE, pack
from gagrad_edge.bundle.container import COPY_AGAIN, open_container, wrong_member
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
    """What a bundle begins with, and all that is known before the rest of it is read."""

    path: Path
    manifest: Manifest
    sha256: str
    """Of the manifest."""
    envelope: Envelope | None
    """Who signed it; its statement is about this manifest, but no signature has been verified."""
    members: Mapping[str, bytes]


@dataclass(frozen=True)
class Bundle:
    """A bundle whose every byte has been checked.

    ``sha256`` is that of the manifest, which hashes everything else: it names the bundle's content
    whether it is packed or not.
    """

    manifest: Manifest
    sha256: str
    path: Path
    members: Mapping[str, Buffer]
    envelope: Envelope | None = None
    """Who signed it, if anyone; reading alone verifies no signature."""
    manifest_bytes: bytes = b""
    """``manifest`` as it was read: what ``sha256`` is of."""

    def graph(self, key: GraphKey | GraphRole) -> bytes:
        """Return the ONNX bytes of a graph, as ``Manifest.graph`` chooses it. KeyError when there is none.

        A role alone stands for its plain graph: portable, float32.
        """
        key = key if isinstance(key, GraphKey) else GraphKey(key)
        return bytes(self.members[self.manifest.graph(key).file])


def file_entry(data: Buffer) -> FileEntry:
    """Return the size and hash of a member."""
    return FileEntry(size=len(data), sha256=hashlib.sha256(data).hexdigest())


def write_bundle(path: Path, manifest: Manifest, members: Mapping[str, Buffer]) -> Manifest:
    """Write ``members`` and ``manifest``, completed with their hashes, to ``path`` in one step.

    Returns the manifest as written. Raises OutputError; a failure leaves no file and no old file harmed.
    """
    files = {name: file_entry(data) for name, data in members.items()}
    manifest = msgspec.structs.replace(manifest, files=files)
    write_atomic(path, pack({**members, MANIFEST: encode_manifest(manifest)}))
    return manifest


def read_bundle(path: str | Path, approve: Callable[[Head], None] | None = None) -> Bundle:
    """Read and check the bundle at ``path``, a file or an unpacked folder. Raises BundleError.

    ``approve`` is given what the bundle begins with, before any other byte is read, and raises to refuse it.
    """
    path = Path(path)
    where = str(path)
    try:
        with closing(open_container(path)) as container:
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
    for name, entry in manifest.files.items():
        if file_entry(members[name]) != entry:
            raise wrong_member(name, where=where)
