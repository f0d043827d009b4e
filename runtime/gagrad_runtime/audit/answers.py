"""Labels that people gave to the images of a queue, as one list for the next training."""

from __future__ import annotations

import csv
import io
from datetime import datetime, timezone
from typing import TYPE_CHECKING, NamedTuple

from gagrad_edge.atomic import write_atomic
from gagrad_edge.errors import InputError
from gagrad_runtime.audit.queue_file import read_queue
from gagrad_runtime.labels.lines import moment
from gagrad_runtime.labels.reading import LARGEST, ImportedError, read

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from gagrad_runtime.audit.queue_file import Queued
    from gagrad_runtime.labels.reading import Given
    from gagrad_runtime.labels.values import Box

LABELS = "labels.csv"
COLUMNS = ("path", "sha256", "label", "who", "when", "left", "top", "right", "bottom")


class Taken(NamedTuple):
    """What came of a file."""

    form: str
    given: int
    there: int
    """Labels that were in the list already."""
    replaced: int
    """Labels of earlier files that the file has other ones for."""
    unknown: tuple[str, ...]
    """Names of images that are not in the queue."""


def take_answers(folder: Path, file: Path, who: str, *, when: datetime | None = None) -> Taken:
    """Add the labels in ``file`` to ``labels.csv`` in the queue's ``folder``.

    An image is known by the name of its copy. A label of a whole image takes the place of those that earlier
    files gave it. Raises InputError for a file that is none, and OutputError.
    """
    images = {one.file.rpartition("/")[2]: one for one in read_queue(folder).images}
    try:
        with file.open("rb") as stream:
            form, found = read(stream.read(LARGEST + 1))
    except OSError as error:
        raise InputError(f"the file cannot be read ({error.strerror or error})", where=str(file)) from error
    except ImportedError as error:
        raise InputError(
            str(error),
            where=str(file),
            hint="give what CVAT 1.1, COCO or Label Studio exports, or a CSV with the columns name and label",
        ) from error
    before, new = _there(folder / LABELS), list[list[str]]()
    known = {_same(one) for one in before}
    stamp = moment((when or datetime.now(timezone.utc)).timestamp())
    there = 0
    whole: set[tuple[str, ...]] = set()  # the file's labels of whole images
    unknown: list[str] = []
    for answer in found:
        image = images.get(answer.name.rpartition("/")[2])
        if image is None:
            unknown.append(answer.name)
            continue
        line = [image.path, image.sha256, answer.label, who, stamp, *_edges(answer, image)]
        if not any(line[5:]):
            whole.add(_same(line))
        if _same(line) in known:
            there += 1
            continue
        known.add(_same(line))
        new.append(line)
    told = {sha256 for sha256, *_ in whole}
    kept = [one for one in before if any(one[5:]) or one[1] not in told or _same(one) in whole]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([list(COLUMNS), *kept, *new])
    write_atomic(folder / LABELS, [text.getvalue().encode()])
    return Taken(form, len(new), there, len(before) - len(kept), tuple(dict.fromkeys(unknown)))


def labelled(files: Sequence[Path]) -> set[str]:
    """Return the hashes of the images in lists with a column ``sha256``. Raises InputError."""
    found: set[str] = set()
    for file in files:
        rows = csv.DictReader(_text(file).splitlines())
        if "sha256" not in (rows.fieldnames or ()):
            raise InputError("it has no column `sha256`", where=str(file))
        found.update(row["sha256"] for row in rows if row["sha256"])
    return found


def _there(path: Path) -> list[list[str]]:
    """Return the lines of the list so far, without its head."""
    if not path.exists():
        return []
    rows = list(csv.reader(_text(path).splitlines()))
    if not rows or rows[0] != list(COLUMNS) or any(len(row) != len(COLUMNS) for row in rows):
        raise InputError(f"it is no list with the columns {', '.join(COLUMNS)}", where=str(path))
    return rows[1:]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the list cannot be read ({error})", where=str(path)) from error


def _same(line: list[str]) -> tuple[str, ...]:
    """Return by what a label is known: its image, what it says and its box."""
    return (line[1], line[2], *line[5:])


def _edges(answer: Given, image: Queued) -> list[str]:
    box: Box | None = answer.box
    if box is None:
        return [""] * 4
    if answer.shares:
        box = (box[0] * image.width, box[1] * image.height, box[2] * image.width, box[3] * image.height)
    return [f"{edge:.2f}" for edge in box]
