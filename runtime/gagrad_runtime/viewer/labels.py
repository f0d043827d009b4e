"""Labels that people give: appended, never changed, each with who and when.

The newest label of a frame is the one that counts; an empty one takes the one before it back. The row of the
frame has it too, for filters.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import msgspec

from gagrad_runtime.labels.values import Box
from gagrad_runtime.viewer.values import Label

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

LONGEST = 200
"""Characters of the longest label."""
_boxes = msgspec.json.Decoder(Box)
_COLUMNS = "id, frame, label, who, at, box, source"


class LabelError(Exception):
    """The label cannot be given: its frame is gone, or it is no label."""


def give(
    connection: sqlite3.Connection,
    frame: int,
    label: str,
    who: str,
    *,
    box: Box | None = None,
    source: str = "page",
    at: float | None = None,
) -> Label:
    """Append a label of ``frame``, within the open transaction. Raises LabelError."""
    label = " ".join(label.split())
    if not 0 < len(label) <= LONGEST or not label.isprintable():
        raise LabelError(f"a label has 1 to {LONGEST} characters that can be printed")
    when = int(time.time() if at is None else at)
    _count(connection, frame, label)
    written = None if box is None else msgspec.json.encode(box).decode()
    number = connection.execute(
        "INSERT INTO label (frame, label, who, at, box, source) VALUES (?, ?, ?, ?, ?, ?)",
        (frame, label, who, when, written, source),
    ).lastrowid
    return Label(id=int(number or 0), frame=frame, label=label, who=who, at=when, box=box, source=source)


def take_back(connection: sqlite3.Connection, frame: int, who: str) -> Label | None:
    """Append that the newest label of ``frame`` does not count: the one before it counts again.

    Returns what was appended; None where there is no label to take back. Raises LabelError.
    """
    earlier = [one.label for one in standing(labels_of(connection, frame))]
    if not earlier:
        return None
    _count(connection, frame, earlier[-2] if len(earlier) > 1 else "")
    when = int(time.time())
    number = connection.execute(
        "INSERT INTO label (frame, label, who, at) VALUES (?, '', ?, ?)", (frame, who, when)
    ).lastrowid
    return Label(id=int(number or 0), frame=frame, label="", who=who, at=when)


def standing(labels: tuple[Label, ...]) -> list[Label]:
    """Return the labels that nobody took back, oldest first."""
    found: list[Label] = []
    for one in labels:
        if one.label:
            found.append(one)
        elif found:
            found.pop()
    return found


def _count(connection: sqlite3.Connection, frame: int, label: str) -> None:
    """Write the label that counts to the row of ``frame``, and to the counters. Raises LabelError."""
    found = connection.execute("SELECT label FROM frame WHERE id = ?", (frame,)).fetchone()
    if found is None:
        raise LabelError("there is no such frame any more")
    for one, added in ((found[0], -1), (label, 1)):
        if one:
            connection.execute(
                "INSERT INTO labelled VALUES (?, ?) "
                "ON CONFLICT DO UPDATE SET frames = frames + excluded.frames",
                (one, added),
            )
    connection.execute("UPDATE frame SET label = ? WHERE id = ?", (label, frame))


def labels_of(connection: sqlite3.Connection, frame: int) -> tuple[Label, ...]:
    """Return all labels of ``frame``, oldest first."""
    query = f"SELECT {_COLUMNS} FROM label WHERE frame = ? ORDER BY id"  # noqa: S608 - our own names
    return tuple(_read(connection, query, (frame,)))


def all_labels(connection: sqlite3.Connection) -> Iterator[Label]:
    """Yield every label that was ever given, oldest first."""
    return _read(connection, f"SELECT {_COLUMNS} FROM label ORDER BY id", ())  # noqa: S608


def _read(connection: sqlite3.Connection, query: str, values: tuple[int, ...]) -> Iterator[Label]:
    for number, frame, label, who, at, box, source in connection.execute(query, values):
        read = None if box is None else _boxes.decode(box)
        yield Label(id=number, frame=frame, label=label, who=who, at=at, box=read, source=source)
