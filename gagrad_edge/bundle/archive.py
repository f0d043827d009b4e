"""The archive format of a bundle: a zip with stored members and exactly one byte form for its content.

Any zip program can open a bundle. The headers are written and read here, not by ``zipfile``, for two reasons.
The canonical form must not depend on the Python version. And a reader that accepts a single form cannot be
tricked with a second central directory, a hidden or duplicate member, a link or a compression bomb. See
docs/adr/0005-canonical-archive.md.

Layout: for each member a local header and the bytes, ``manifest.json`` first, ``signature.json`` second if
the bundle is signed, the others sorted by name; then the central directory; then its end record. All times
are 1980-01-01, all modes 0644. So the first bytes of a bundle tell who signed it and how large it must be.

The bytes of the others begin at multiples of ``ALIGNMENT``, so that tensors can be used where the file is
mapped: their local headers end in the extra field that Android's zipalign writes, filled with zeros.
"""

from __future__ import annotations

import re
import struct
import zlib
from typing import IO, TYPE_CHECKING

from gagrad_edge.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MANIFEST = "manifest.json"
SIGNATURE = "signature.json"
MANIFEST_LIMIT = 16 << 20
SIGNATURE_LIMIT = 64 << 10
MEMBER_LIMIT = 2 << 30
"""Largest other member, in bytes: an ONNX file cannot be larger."""

_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_VERSION, _UTF8, _STORED, _TIME, _DATE = 20, 0x800, 0, 0, 0x21
_MADE_BY, _MODE = (3 << 8) | _VERSION, 0o100644 << 16
_LIMIT = 0xFFFFFFFF
MEMBERS_LIMIT = 5000
"""Most members: each tensor of the model is one, and networks of hundreds of layers have thousands."""
ALIGNMENT = 64
"""The widest vectors and the cache's lines, in bytes."""
_PADDING, _PADDING_ID = struct.Struct("<3H"), 0xD935
"""Beginning of the extra field: its number, the bytes that follow, and the alignment."""
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*(/[A-Za-z0-9_-][A-Za-z0-9_.-]*)*")

Buffer = bytes | memoryview
"""Bytes of a member. A view may be that of a mapped file."""


def check_member_name(name: str, *, where: str) -> None:
    """Raise BundleError unless ``name`` is a plain relative path inside the bundle's folder."""
    if len(name) > 200 or not _NAME.fullmatch(name):
        raise BundleError(f"member name {name!r} is not allowed", where=where, hint=_EXPORT_AGAIN)


def member_order(names: Mapping[str, object] | set[str]) -> list[str]:
    """Return ``names`` in the order of the archive: manifest, signature, the others sorted."""
    return sorted(names, key=lambda name: (name != MANIFEST, name != SIGNATURE, name))


def archive_size(sizes: Mapping[str, int]) -> int:
    """Return the size of an archive in bytes, from the ``sizes`` of its members in bytes."""
    offset = 0
    for name in member_order(set(sizes)):
        offset += _LOCAL.size + len(name) + len(_padding(name, offset)) + sizes[name]
    return offset + len(sizes) * _CENTRAL.size + sum(map(len, sizes)) + _END.size


def pack(members: Mapping[str, Buffer]) -> Iterator[Buffer]:
    """Yield the archive of ``members`` (name → bytes) in pieces; the members are not copied."""
    directory, offset = [], 0
    for name in member_order(set(members)):
        check_member_name(name, where="archive")
        data = members[name]
        size, crc = len(data), zlib.crc32(data)
        header = _local_header(name, size, crc, offset)
        directory.append(_central_header(name, size, crc, offset))
        offset += len(header) + size
        if offset > _LIMIT:
            raise BundleError("a bundle cannot be larger than 4 GiB", where=name)
        yield header
        yield data
    yield from directory
    yield _end_record(len(directory), sum(map(len, directory)), offset)


def unpack(archive: Buffer, *, where: str) -> dict[str, memoryview]:
    """Return the members of ``archive`` as views into it. Raises BundleError unless it is canonical."""
    view = memoryview(archive)
    members: dict[str, memoryview] = {}
    directory: list[bytes] = []
    offset = 0
    while bytes(view[offset : offset + 4]) == b"PK\x03\x04":
        if len(view) - offset < _LOCAL.size or len(members) >= MEMBERS_LIMIT:
            raise _damaged(where, offset)
        fields = _LOCAL.unpack_from(view, offset)
        crc, size, name_length, extra_length = fields[6], fields[7], fields[9], fields[10]
        start = offset + _LOCAL.size + name_length
        name = bytes(view[offset + _LOCAL.size : start]).decode("ascii", "replace")
        start += extra_length
        check_member_name(name, where=where)
        if name in members or start + size > len(view):
            raise _damaged(where, offset)
        data = view[start : start + size]
        header = _local_header(name, size, crc, offset)
        if bytes(view[offset:start]) != header or zlib.crc32(data) != crc:
            raise _damaged(where, offset)
        members[name] = data
        directory.append(_central_header(name, size, crc, offset))
        offset = start + size
    tail = b"".join(directory)
    tail += _end_record(len(directory), len(tail), offset)
    if not members or view[offset:] != tail or list(members) != member_order(set(members)):
        raise _damaged(where, offset)
    return members


def read_head(stream: IO[bytes], *, where: str) -> tuple[bytes, dict[str, bytes]]:
    """Return the head of the archive ``stream``: its raw bytes, and its members as name → bytes.

    The head is the manifest, and the signature if the bundle is signed. Each size is checked before the
    member is read. Raises BundleError for a damaged head; ``unpack`` checks the rest of the archive.
    """
    head = b""
    members: dict[str, bytes] = {}
    for expected, limit in ((MANIFEST, MANIFEST_LIMIT), (SIGNATURE, SIGNATURE_LIMIT)):
        offset = len(head)
        head += stream.read(_LOCAL.size + len(expected))
        header = head[offset:]
        if header[_LOCAL.size :] != expected.encode():
            if members:
                break
            raise _damaged(where, offset)
        size = _LOCAL.unpack_from(header)[7]
        if size > limit:
            raise too_large(expected, where=where)
        data = stream.read(size)
        if len(data) < size:
            raise _damaged(where, offset)
        head += data
        members[expected] = data
    return head, members


def too_large(name: str, *, where: str) -> BundleError:
    """Return the error for a member that is larger than its limit."""
    return BundleError(f"member {name!r} is too large for a bundle", where=where, hint=_EXPORT_AGAIN)


def _local_header(name: str, size: int, crc: int, offset: int) -> bytes:
    """Return the header of a member that stands at ``offset``."""
    encoded, extra = name.encode("ascii", "replace"), _padding(name, offset)
    fixed = _LOCAL.pack(
        b"PK\x03\x04", _VERSION, _UTF8, _STORED, _TIME, _DATE, crc, size, size, len(encoded), len(extra)
    )
    return fixed + encoded + extra


def _padding(name: str, offset: int) -> bytes:
    """Return the extra field behind which the bytes of a member are aligned; none in the head."""
    if name in (MANIFEST, SIGNATURE):
        return b""
    begin = offset + _LOCAL.size + len(name) + _PADDING.size
    zeros = -begin % ALIGNMENT
    return _PADDING.pack(_PADDING_ID, 2 + zeros, ALIGNMENT) + bytes(zeros)


def _central_header(name: str, size: int, crc: int, offset: int) -> bytes:
    encoded = name.encode("ascii", "replace")
    return (
        _CENTRAL.pack(
            b"PK\x01\x02", _MADE_BY, _VERSION, _UTF8, _STORED, _TIME, _DATE, crc, size, size,
            len(encoded), 0, 0, 0, 0, _MODE, offset,
        )
        + encoded
    )  # fmt: skip


def _end_record(count: int, size: int, offset: int) -> bytes:
    return _END.pack(b"PK\x05\x06", 0, 0, count, count, size, offset, 0)


def _damaged(where: str, offset: int) -> BundleError:
    return BundleError(
        f"the bundle is damaged or was re-packed by another program (at byte {offset})",
        where=where,
        hint=_EXPORT_AGAIN,
    )


_EXPORT_AGAIN = "copy the bundle again from where it was exported, or export it again"
