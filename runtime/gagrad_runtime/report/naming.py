"""Names of result files: what they are made of, and which existing files may be replaced."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gagrad_edge.errors import OutputError
from gagrad_runtime.frame.frame import ARRAY
from gagrad_runtime.question.methods import OPERATOR
from gagrad_runtime.report.record_schema import Record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gagrad_runtime.explanation.explanation import Explanation

ENDINGS = {
    "picture": ".explained.png",
    "record": ".json",
    "png": ".saliency.png",
    "npy": ".saliency.npy",
    "full": ".explained-full.png",
    "full_map": ".saliency-full.png",
}
"""What follows the stem in a file's name, by kind."""

_STEM_BYTES = 180
"""File systems allow 255 bytes; the endings and the temporary file's name need up to 40."""
_PART_BYTES = 60
"""Longest target or folder within a stem."""


def safe_stem(name: str, *, ending: bool = False) -> str:
    """Return ``name`` as the beginning of a file name: no folders, no leading dot, no odd characters.

    Letters of any script stay. ``ending`` says that ``name`` has an ending (``.png``), which is dropped.
    """
    plain = re.split(r"[/\\]", name)[-1]
    plain = Path(plain).stem if ending else plain
    return _cut(_plain(plain), _STEM_BYTES) or "frame"


def stem_of(explanation: Explanation, stem: str | None = None, *, with_target: bool = False) -> str:
    """Return the stem of an explanation's files: the frame, and what is not the default.

    ``stem`` stands for the frame's name; a frame from memory without a name has the first digits of its
    SHA-256 instead. The target follows where the model says something else, where it is a difference or has
    a region, or for ``with_target``; then the method, where it is not the default. A detection has its number
    in front of its class: ``part.2-scratch``.
    """
    target, frame = explanation.target, explanation.frame
    if stem is None:
        stem = safe_stem(frame.name, ending=True)
        if frame.source == ARRAY:
            stem = f"{ARRAY}-{frame.sha256[:8]}"
    parts = []
    if (
        with_target
        or target.index != explanation.predicted.index
        or target.path != explanation.predicted.path
        or target.against_index is not None
        or _place(explanation)
    ):
        against = "" if target.against_name is None else f"-not-{_part(target.against_name)}"
        number = "" if target.detection is None else f"{target.detection}-"
        parts.append(number + _part(target.name) + against)
        parts.append(_part(_place(explanation)))
    if explanation.provenance.method != OPERATOR:
        parts.append(_part(explanation.provenance.method))
    end = "".join(f".{part}" for part in parts if part)
    return (_cut(stem, max(_STEM_BYTES - len(end.encode()), 20)) or "frame") + end


def _place(explanation: Explanation) -> str:
    """Return the name of the region that is explained; empty without one, and for the model's own answer."""
    region, own = explanation.target.region, explanation.predicted.region
    if region is None or (region.found and own is not None and region.name == own.name):
        return ""
    return region.name


def distinct_stems(paths: Sequence[str]) -> dict[str, str]:
    """Return a stem for each of ``paths``; files that share a stem get folders in front, then their ending.

    ``a/part.png`` and ``b/part.png`` become ``a-part`` and ``b-part``; ``part.png`` and ``part.jpg`` of one
    folder become ``part-png`` and ``part-jpg``. The names depend on the paths only, not on their order.
    """
    stems = {path: safe_stem(Path(path).name, ending=True) for path in paths}
    groups: dict[str, list[str]] = {}
    for path, stem in stems.items():
        groups.setdefault(stem.casefold(), []).append(path)  # some file systems do not tell cases apart
    for group in groups.values():
        if len(group) > 1:
            stems.update(_distinguished(group))
    return stems


def free_stem(folder: Path, stem: str, record: Record, *, fixed: bool, replace: bool) -> str:
    """Return ``stem``, or ``stem-2``, ``stem-3`` …: the first whose files in ``folder`` may be written.

    A name is free when none of its files exists, or when its record answers the same question as ``record``:
    an explanation that is made again replaces its own files. A ``fixed`` stem that is taken is an
    OutputError, and ``replace`` takes any.
    """
    candidate, number = stem, 1
    while not replace and _taken(folder, candidate, record):
        if fixed:
            raise OutputError(
                f"the results of another explanation are in the way: {candidate}.*",
                where=str(folder),
                hint="choose another name or folder, or let them be replaced",
            )
        number += 1
        candidate = f"{stem}-{number}"
    return candidate


def _taken(folder: Path, stem: str, record: Record) -> bool:
    if not any((folder / (stem + ending)).exists() for ending in ENDINGS.values()):
        return False
    try:
        there = msgspec.json.decode((folder / (stem + ENDINGS["record"])).read_bytes(), type=Record)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return True  # no record of ours, so no file of ours
    return _question(there) != _question(record)


def _question(record: Record) -> tuple[object, ...]:
    """Return what ``record`` answers: frame, bundle, engine, target, settings, region and scale."""
    method, roi = record.method, record.roi
    return (
        record.backend,
        record.frame.file,
        record.frame.sha256,
        record.bundle.sha256,
        (record.target.index, record.target.name),
        # Masks from memory have one name: the score in the region tells them apart.
        None if record.region is None else (record.region, record.target.score),
        None if record.against is None else record.against.index,
        (method.name, method.guide, method.seed, method.percentile, method.noise_std),
        (method.perturbation, method.baseline),
        method.samples if method.stopped == "samples" else method.stopped,
        None if roi is None else (roi.file, roi.limit, roi.inside, roi.ignored),
        None if record.scale is None else record.scale.value,
    )


def _distinguished(group: list[str]) -> dict[str, str]:
    """Return stems for files that share one: with as few folders in front as tell the folders apart."""
    folders = {path: Path(path).absolute().parts[1:-1] for path in group}
    different = len(set(folders.values()))
    named: dict[str, str] = {}
    for depth in range(max(map(len, folders.values())) + 1):
        named = {path: _in_folders(path, folders[path][len(folders[path]) - depth :]) for path in group}
        if len({name.casefold() for name in named.values()}) >= different:
            break
    if different < len(group):
        named = {path: f"{name}-{_part(Path(path).suffix.lstrip('.'))}" for path, name in named.items()}
    return named


def _in_folders(path: str, folders: Sequence[str]) -> str:
    parts = [_part(folder) for folder in folders]
    return "-".join((*filter(None, parts), safe_stem(Path(path).name, ending=True)))


def _part(text: str) -> str:
    return _cut(_plain(re.sub(r"[/\\]+", "_", text)), _PART_BYTES)


def _plain(text: str) -> str:
    return re.sub(r"[^\w.()+,=@ -]", "_", text).strip(" .")


def _cut(text: str, size: int) -> str:
    while len(text.encode()) > size:
        text = text[:-1]
    return text.rstrip(" .")
