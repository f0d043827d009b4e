"""The containers of a bundle's members: a packed file or an unpacked folder.

``head`` reads the manifest and the signature, at most 16 MiB: they say how large every member is and who
signed the bundle. ``members`` then reads exactly the members that the manifest names. Sizes are compared
before bytes are read, so a file with wrong sizes costs neither memory nor time. Links, pipes and devices are
refused. Large files are mapped, not read: see ``mapping.py``.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from gagrad_edge.bundle.archive import (
    MANIFEST,
    MANIFEST_LIMIT,
    MEMBER_LIMIT,
    MEMBERS_LIMIT,
    SIGNATURE,
    SIGNATURE_LIMIT,
    archive_size,
    check_member_name,
    read_head,
    too_large,
    unpack,
)
from gagrad_edge.bundle.mapping import contents
from gagrad_edge.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gagrad_edge.bundle.archive import Buffer

COPY_AGAIN = "copy the bundle again from where it was exported, or export it again"
_FOLDERS = 100
"""Most folders in an unpacked bundle; it has three."""
_OPEN = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


class Container(Protocol):
    """A packed or unpacked bundle whose content has not been checked yet."""

    def head(self) -> dict[str, bytes]:
        """Return ``manifest.json``, and ``signature.json`` if there is one. Raises BundleError, OSError."""

    def members(self, sizes: Mapping[str, int]) -> dict[str, Buffer]:
        """Return the members with ``sizes`` (name → bytes), the head included.

        Raises BundleError if a member is missing, has another size, or is not in ``sizes``.
        """

    def close(self) -> None:
        """Close open files."""


def open_container(path: Path, *, mapped: bool = True) -> Container:
    """Return the container at ``path``; with ``mapped`` its files are mapped where that is safe.

    Raises OSError if there is no such file or folder.
    """
    return Folder(path, mapped=mapped) if path.is_dir() else Archive(path, mapped=mapped)


class Archive:
    """A packed bundle. The file is opened once, so replacing it in the meantime cannot bypass the checks."""

    def __init__(self, path: Path, *, mapped: bool = True) -> None:
        self._where = str(path)
        self._mapped = mapped
        # The path itself may be a link, which the user chose. O_NONBLOCK: opening a pipe must not block.
        self._stream = os.fdopen(os.open(path, _OPEN & ~getattr(os, "O_NOFOLLOW", 0)), "rb")
        self._head = b""

    def head(self) -> dict[str, bytes]:
        """Read ``manifest.json``, and ``signature.json`` if there is one, from the start of the file."""
        information = os.fstat(self._stream.fileno())
        hint = "`gagrad-edge export MODEL -o part.gagrad` makes one"
        if not stat.S_ISREG(information.st_mode):
            raise BundleError("this is a pipe or a device, not a bundle", where=self._where, hint=hint)
        magic = self._stream.read(4)
        if magic != b"PK\x03\x04":
            what = "this is not a gagrad-edge bundle" if magic else "the file is empty"
            raise BundleError(what, where=self._where, hint=hint)
        self._stream.seek(0)
        self._head, members = read_head(self._stream, where=self._where)
        return members

    def members(self, sizes: Mapping[str, int]) -> dict[str, Buffer]:
        """Read the rest of the file."""
        _check_limits(sizes, where=self._where)
        expected, found = archive_size(sizes), os.fstat(self._stream.fileno()).st_size
        if found != expected:
            raise BundleError(
                f"the file has {found} bytes, and its manifest accounts for {expected}: a member is missing, "
                "or something is in it that is not named in the manifest",
                where=self._where,
                hint=COPY_AGAIN,
            )
        data = contents(self._stream, expected, mapped=self._mapped)
        if len(data) != expected or data[: len(self._head)] != self._head:
            raise BundleError("the file was changed while it was read", where=self._where, hint=COPY_AGAIN)
        return dict(unpack(data, where=self._where))

    def close(self) -> None:
        """Close the file."""
        self._stream.close()


class Folder:
    """An unpacked bundle: a folder with the members as plain files."""

    def __init__(self, folder: Path, *, mapped: bool = True) -> None:
        self._folder = folder
        self._mapped = mapped
        self._where = str(folder)
        self._head: dict[str, bytes] = {}

    def head(self) -> dict[str, bytes]:
        """Read ``manifest.json`` and ``signature.json``."""
        for name, limit in ((MANIFEST, MANIFEST_LIMIT), (SIGNATURE, SIGNATURE_LIMIT)):
            if os.path.lexists(self._folder / name):
                self._head[name] = bytes(self._read(name, None, limit, mapped=False))
        return dict(self._head)

    def members(self, sizes: Mapping[str, int]) -> dict[str, Buffer]:
        """Read the members one by one, after checking that the folder holds no other file."""
        _check_limits(sizes, where=self._where)
        for name in self._names():
            if name not in sizes:
                raise BundleError(
                    f"member {name!r} is not named in the manifest", where=self._where, hint=COPY_AGAIN
                )
        return {
            name: self._head[name]
            if name in self._head
            else self._read(name, size, MEMBER_LIMIT, mapped=self._mapped)
            for name, size in sizes.items()
        }

    def close(self) -> None:
        """Do nothing: no file stays open."""

    def _names(self) -> Iterator[str]:
        """Yield the names of the files in the folder. It may be any folder, so their number is limited."""
        waiting, seen = [self._folder], 0
        while waiting:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    seen += 1
                    name = Path(entry.path).relative_to(self._folder).as_posix()
                    if seen > 2 * MEMBERS_LIMIT or len(waiting) > _FOLDERS:
                        raise BundleError(
                            "there are too many files in it for a bundle", where=self._where, hint=COPY_AGAIN
                        )
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(Path(entry.path))
                    elif entry.is_file(follow_symlinks=False):
                        yield name
                    else:
                        raise _no_plain_file(name, self._where)

    def _read(self, name: str, size: int | None, limit: int, *, mapped: bool) -> Buffer:
        try:
            descriptor = os.open(self._folder / name, _OPEN)
        except FileNotFoundError as error:
            raise BundleError(f"member {name!r} is missing", where=self._where, hint=COPY_AGAIN) from error
        except OSError as error:
            if (self._folder / name).is_symlink():
                raise _no_plain_file(name, self._where) from error
            raise
        with os.fdopen(descriptor, "rb") as stream:
            information = os.fstat(stream.fileno())
            if not stat.S_ISREG(information.st_mode):
                raise _no_plain_file(name, self._where)
            if information.st_size > limit:
                raise too_large(name, where=self._where)
            if size is not None and information.st_size != size:
                raise wrong_member(name, where=self._where)
            return contents(stream, information.st_size, mapped=mapped)


def wrong_member(name: str, *, where: str) -> BundleError:
    """Return the error for a member whose size or hash differs from the manifest."""
    return BundleError(
        f"member {name!r} is not the file that was exported (wrong size or hash)",
        where=where,
        hint=COPY_AGAIN,
    )


def _no_plain_file(name: str, where: str) -> BundleError:
    return BundleError(f"member {name!r} is not a plain file", where=where, hint=COPY_AGAIN)


def _check_limits(sizes: Mapping[str, int], *, where: str) -> None:
    """Raise BundleError for a bad name, too many members or too large a size, before memory is allocated."""
    if len(sizes) > MEMBERS_LIMIT:
        raise BundleError(f"it names more than {MEMBERS_LIMIT} members", where=where, hint=COPY_AGAIN)
    for name, size in sizes.items():
        check_member_name(name, where=where)
        if size > MEMBER_LIMIT:
            raise too_large(name, where=where)
    if archive_size(sizes) > 0xFFFFFFFF:
        raise BundleError("a bundle cannot be larger than 4 GiB", where=where, hint=COPY_AGAIN)
