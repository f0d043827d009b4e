"""Files of frames: a stream's frame that waits for its explanation, and quarantined files."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import stat
from typing import TYPE_CHECKING

from PIL import Image

from gagrad_edge.atomic import make_folder, write_atomic
from gagrad_edge.errors import OutputError
from gagrad_runtime.report.layers import frame_layer, map_layer

if TYPE_CHECKING:
    from pathlib import Path

    from gagrad_runtime.frame.frame import Frame
    from gagrad_runtime.report.report import Report

FRAME = ".frame.png"
"""Ending of the file of a stream's frame, beside its explanation."""
FRAME_LAYER, MAP_LAYER = ".layer.jpg", ".layer.png"
"""Endings of the two layers for pages, at a station whose receivers get pictures."""
QUARANTINE = "quarantine"
"""Folder of the files that are no usable images."""
LARGEST = 64 << 20
"""Bytes of the largest file that is copied there."""
_PRIVATE = 0o640


def keep_frame(folder: Path, stem: str, frame: Frame) -> None:
    """Write a stream's frame as PNG, without loss. Raises OutputError."""
    stream = io.BytesIO()
    # The lowest compression is the fastest, and sensor noise does not compress anyway.
    Image.fromarray(frame.pixels).save(stream, "PNG", compress_level=1)
    write_atomic(folder / (stem + FRAME), [stream.getbuffer()])


def keep_layers(folder: Path, stem: str, report: Report) -> None:
    """Write the frame and the map of ``report`` as layers of a page. Raises OutputError."""
    write_atomic(folder / (stem + FRAME_LAYER), [frame_layer(report.explanation.frame)])
    write_atomic(folder / (stem + MAP_LAYER), [map_layer(report.explanation, report.scale)])


def quarantine(folder: Path, path: Path, reason: str) -> None:
    """Copy the file at ``path`` and ``reason`` to ``folder/quarantine``, if there is room.

    Of a link, a device or a file of more than LARGEST bytes only the reason is kept: whoever may write to the
    folder of images must not be able to have other files copied.
    """
    target = folder / QUARANTINE
    with contextlib.suppress(OSError, OutputError):
        make_folder(target)
        data = _regular_file(path)
        if isinstance(data, str):
            reason = f"{reason}\n{data}"
        else:
            write_atomic(target / path.name, [data], mode=_PRIVATE)
        write_atomic(target / f"{path.name}.txt", [f"{reason}\n".encode()], mode=_PRIVATE)


def _regular_file(path: Path) -> bytes | str:
    """Return the content of a regular file, or why it is not copied. Raises OSError."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except OSError as error:
        if error.errno == errno.ELOOP:
            return "it is a link, which is not copied"
        raise
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            return "it is no regular file, and is not copied"
        if found.st_size > LARGEST:
            return f"it has {found.st_size} bytes, more than {LARGEST}, and is not copied"
        return file.read(LARGEST)


def prune_quarantine(folder: Path, most: int) -> int:
    """Remove the oldest files of ``folder/quarantine`` until at most ``most`` bytes are left.

    Oldest by the time of their last change, as files of one name replace each other. Returns the bytes that
    were removed.
    """
    files = []
    with contextlib.suppress(OSError):
        for entry in os.scandir(folder / QUARANTINE):
            found = entry.stat(follow_symlinks=False)
            files.append((found.st_mtime_ns, entry.path, found.st_size))
    total, removed = sum(size for _, _, size in files), 0
    for _, path, size in sorted(files):
        if total - removed <= most:
            break
        with contextlib.suppress(OSError):
            os.unlink(path)  # noqa: PTH108 - scandir gives names
            removed += size
    return removed
