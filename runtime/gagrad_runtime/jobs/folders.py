"""Folders as sources: the images in them."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from gagrad_runtime.frame.decoding import endings
from gagrad_runtime.report.naming import ENDINGS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gagrad_edge.input import InputSpec

_OURS = tuple(ending for ending in ENDINGS.values() if ending.endswith((".png", ".npy")))
"""Endings of our own pictures and maps, which are no images of parts."""


def with_images(
    sources: Sequence[str], spec: InputSpec | None = None, *, recursive: bool = False
) -> list[str]:
    """Return ``sources`` with each folder replaced by the files in it that are frames for ``spec``, sorted.

    With ``recursive`` also by those in its folders. Hidden files and our own results are left out; a folder
    without images stays, so that it is reported.
    """
    found: list[str] = []
    for source in sources:
        if not Path(source).is_dir():
            found.append(source)
            continue
        files = sorted(_files(source, endings(spec), recursive=recursive))
        found += files or [source]
    return found


def walk_images(folder: str, spec: InputSpec | None = None) -> Iterator[str]:
    """Yield the images in ``folder`` and in its folders: folder after folder, the names of each sorted.

    It holds the names of one folder at a time, so that a folder of folders may have any number of images.
    """
    wanted = endings(spec)
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if name.lower().endswith(wanted) and not name.startswith(".") and not name.endswith(_OURS):
                yield f"{place.rstrip(os.sep)}{os.sep}{name}"


def _files(folder: str, wanted: tuple[str, ...], *, recursive: bool) -> Iterator[str]:
    """Yield the images in ``folder``; links to folders are not followed, as they may lead round in a ring."""
    left = [folder]  # os.walk calls itself for each level, and folders may be a thousand deep
    while left:
        place, below = left.pop(), list[str]()
        with contextlib.suppress(OSError), os.scandir(place) as entries:
            for entry in entries:
                name = entry.name
                if name.startswith("."):
                    continue
                if entry.is_dir():
                    below += [] if entry.is_symlink() else [entry.path]
                elif not name.endswith(_OURS) and name.lower().endswith(wanted):
                    yield str(Path(entry.path))
        left += below if recursive else []
