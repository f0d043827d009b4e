"""Files of frames: a stream's frame that waits for its explanation, and quarantined files."""

from __future__ import annotations

import contextlib
import io
import shutil
from typing import TYPE_CHECKING

from PIL import Image

from gagrad_edge.atomic import make_folder, write_atomic
from gagrad_edge.errors import OutputError

if TYPE_CHECKING:
    from pathlib import Path

    from gagrad_runtime.frame.frame import Frame

FRAME = ".frame.png"
"""Ending of the file of a stream's frame, beside its explanation."""


def keep_frame(folder: Path, stem: str, frame: Frame) -> None:
    """Write a stream's frame as PNG, without loss. Raises OutputError."""
    stream = io.BytesIO()
    # The lowest compression is the fastest, and sensor noise does not compress anyway.
    Image.fromarray(frame.pixels).save(stream, "PNG", compress_level=1)
    write_atomic(folder / (stem + FRAME), [stream.getbuffer()])


def quarantine(folder: Path, path: Path, reason: str) -> None:
    """Copy the file at ``path`` and ``reason`` to ``folder/quarantine``, if there is room."""
    target = folder / "quarantine"
    with contextlib.suppress(OSError, OutputError):
        make_folder(target)
        shutil.copyfile(path, target / path.name)
        (target / f"{path.name}.txt").write_text(f"{reason}\n", encoding="utf-8")
