"""The files of pictures, in the folder of the viewer's data: ``pictures/000/00000123.frame.jpg``."""

from __future__ import annotations

import base64
import binascii
import contextlib
from typing import TYPE_CHECKING

from gagrad_edge.atomic import make_folder, write_atomic
from gagrad_runtime.viewer.received import EventError
from gagrad_runtime.viewer.values import PICTURES

if TYPE_CHECKING:
    from pathlib import Path

    from gagrad_runtime.viewer.received import Received
    from gagrad_runtime.viewer.values import PictureKind

ENDINGS: dict[PictureKind, str] = {"picture": ".png", "frame": ".frame.jpg", "map": ".map.png"}
TYPES: dict[PictureKind, str] = {"picture": "image/png", "frame": "image/jpeg", "map": "image/png"}
FOLDER = "pictures"
_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
_SHELF = 10_000
"""Frames whose pictures lie in one folder."""


def decode(event: Received) -> dict[PictureKind, bytes]:
    """Return the pictures in ``event``. Raises EventError for what is none."""
    given: dict[PictureKind, str | None] = {
        "picture": event.picture_png,
        "frame": event.frame_jpeg,
        "map": event.map_png,
    }
    found: dict[PictureKind, bytes] = {}
    for kind, text in given.items():
        if not text:
            continue
        try:
            data = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError) as error:
            raise EventError(f"{kind}: this is no base64 ({error})") from error
        if not data.startswith(_JPEG if kind == "frame" else _PNG):
            raise EventError(f"{kind}: this is no {TYPES[kind]}")
        found[kind] = data
    return found


def path(folder: Path, frame: int, kind: PictureKind) -> Path:
    """Return the path of a picture of ``frame`` in the folder of the viewer's data."""
    return folder / FOLDER / f"{frame // _SHELF:03d}" / f"{frame:08d}{ENDINGS[kind]}"


def keep(folder: Path, frame: int, pictures: dict[PictureKind, bytes]) -> int:
    """Write ``pictures`` of ``frame``, to the disk; return their bytes. Raises OutputError."""
    for kind, data in pictures.items():
        where = path(folder, frame, kind)
        make_folder(where.parent)
        write_atomic(where, [data], mode=0o640)
    return sum(map(len, pictures.values()))


def remove(folder: Path, frame: int) -> None:
    """Remove the pictures of ``frame``, as far as they are there."""
    for kind in PICTURES:
        with contextlib.suppress(OSError):
            path(folder, frame, kind).unlink()


def mask(kinds: dict[PictureKind, bytes]) -> int:
    """Return ``kinds`` as the number that the column ``pictures`` has: one bit each."""
    return sum(1 << number for number, kind in enumerate(PICTURES) if kind in kinds)


def kinds_of(number: int) -> tuple[PictureKind, ...]:
    """Return the kinds in the column ``pictures``."""
    return tuple(kind for place, kind in enumerate(PICTURES) if number >> place & 1)
