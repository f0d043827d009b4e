"""Bundles: written atomically, and read only when every name, size and hash is right.

A bundle is one file ``NAME.gagrad`` (``archive.py``) or its unpacked folder. Nothing in it is executable
and nothing is unpickled; a member's bytes are used as they were hashed and never read a second time.
"""

from __future__ import annotations

import hashlib
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gagrad_edge.archive import MANIFEST, check_member_name, pack, unpack
from gagrad_edge.atomic import write_atomic
from gagrad_edge.errors import BundleError
from gagrad_edge.manifest import (
    FileEntry,
    GraphPrecision,
    GraphRole,
    Manifest,
    decode_manifest,
    encode_manifest,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gagrad_edge.archive import Buffer

SUFFIX = ".gagrad"
_MANIFEST_LIMIT = 16 << 20
_FOLDER_LIMIT = 4 << 30
_COPY_AGAIN = "copy the bundle again from where it was exported, or export it again"


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

    def graph(
        self,
        role: GraphRole,
        target: str = "portable",
        variant: str = "",
        precision: GraphPrecision = "float32",
    ) -> bytes:
        """Return the ONNX bytes of a graph, as ``Manifest.graph`` chooses it. KeyError when there is none."""
        return bytes(self.members[self.manifest.graph(role, target, variant, precision).file])


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


def read_bundle(path: str | Path) -> Bundle:
    """Read and check the bundle at ``path``, a file or an unpacked folder. Raises BundleError."""
    path = Path(path)
    try:
        members = _read_folder(path) if path.is_dir() else _read_file(path)
    except OSError as error:
        raise BundleError(
            f"cannot be read ({error.strerror or error})",
            where=str(path),
            hint="give the path of a .gagrad file; `gagrad-edge export` makes one",
        ) from error
    if MANIFEST not in members:
        raise BundleError("there is no manifest.json in it", where=str(path), hint=_COPY_AGAIN)
    data = bytes(members.pop(MANIFEST))
    manifest = decode_manifest(data, where=f"{path}:{MANIFEST}")
    _check_members(manifest, members, where=str(path))
    return Bundle(manifest, hashlib.sha256(data).hexdigest(), path, members)


def _check_members(manifest: Manifest, members: Mapping[str, Buffer], *, where: str) -> None:
    for name in sorted(set(members) ^ set(manifest.files)):
        kind = "is not named in the manifest" if name in members else "is missing"
        raise BundleError(f"member {name!r} {kind}", where=where, hint=_COPY_AGAIN)
    for name, entry in manifest.files.items():
        check_member_name(name, where=where)
        if file_entry(members[name]) != entry:
            raise BundleError(
                f"member {name!r} is not the file that was exported (wrong size or hash)",
                where=where,
                hint=_COPY_AGAIN,
            )


def _read_file(path: Path) -> dict[str, Buffer]:
    data = path.read_bytes()
    if data[:4] != b"PK\x03\x04":
        what = "the file is empty" if not data else "this is not a gagrad-edge bundle"
        raise BundleError(what, where=str(path), hint="`gagrad-edge export MODEL -o part.gagrad` makes one")
    return dict(unpack(data, where=str(path)))


def _read_folder(folder: Path) -> dict[str, Buffer]:
    """Read the regular files under ``folder``; links and special files are refused, not followed."""
    members: dict[str, Buffer] = {}
    total = 0
    for path in sorted(folder.rglob("*")):
        information = path.lstat()
        if stat.S_ISDIR(information.st_mode):
            continue
        name = path.relative_to(folder).as_posix()
        if not stat.S_ISREG(information.st_mode):
            raise BundleError(f"member {name!r} is not a plain file", where=str(folder), hint=_COPY_AGAIN)
        check_member_name(name, where=str(folder))
        total += information.st_size
        if total > _FOLDER_LIMIT or (name == MANIFEST and information.st_size > _MANIFEST_LIMIT):
            raise BundleError(f"member {name!r} is too large for a bundle", where=str(folder))
        members[name] = path.read_bytes()
    return members
