"""A list of images to label next that was put into the viewer's folder: ``queue.json`` of an audit."""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec

from gagrad_runtime.viewer.values import Value

if TYPE_CHECKING:
    from pathlib import Path

FILE = "queue.json"
MOST = 2000
"""Images of a list that are read, the first ones."""
_LARGEST = 64 << 20
"""Bytes of the largest file."""
_log = logging.getLogger(__name__)


class Listed(Value, frozen=True):
    """An image of the list, as far as the viewer reads it."""

    sha256: str
    """Of the frame's pixels: by it the viewer knows the frame."""
    reasons: dict[str, float] = msgspec.field(default_factory=dict)


class _List(msgspec.Struct, frozen=True):
    images: tuple[Listed, ...]


def listed(folder: Path) -> tuple[Listed, ...]:
    """Return the images of the list in the viewer's ``folder``; none without one, or with a damaged one."""
    path = folder / FILE
    try:
        found = path.stat()
    except OSError:
        return ()
    return _read(path, found.st_mtime_ns, found.st_size)


@lru_cache(maxsize=1)
def _read(path: Path, changed: int, size: int) -> tuple[Listed, ...]:  # noqa: ARG001 - a new file is read again
    try:
        if size > _LARGEST:
            raise ValueError(f"it has more than {_LARGEST >> 20} MiB")
        return msgspec.json.decode(path.read_bytes(), type=_List).images[:MOST]
    except (OSError, ValueError) as error:  # msgspec's own are ValueErrors
        _log.warning("%s cannot be read, and is left out: %s", path, error)
        return ()
