"""Labels from files of other tools, given to the viewer's frames.

An image is known by its number where its name agrees, since tools number images anew, and else by its name:
the newest frame of that name. A label that counts already is not given again: a file can be imported twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from gagrad_runtime.viewer.labels import LabelError, give, labels_of, standing

if TYPE_CHECKING:
    import sqlite3

    from gagrad_runtime.labels.reading import Given
    from gagrad_runtime.labels.values import Box, Format


class Imported(NamedTuple):
    """What came of a file."""

    given: int
    there: int
    """Labels that counted already."""
    unknown: int
    """Labels of images that the viewer has no frame of."""
    first_unknown: str
    """Name of the first of them; empty without."""


def take(connection: sqlite3.Connection, form: Format, found: list[Given], who: str) -> Imported:
    """Give the labels ``found``, within the open transaction. Raises LabelError."""
    given = there = unknown = 0
    first_unknown = ""
    for one in found:
        frame = _find(connection, one)
        if frame is None:
            unknown += 1
            first_unknown = first_unknown or one.name
            continue
        box = one.box if not one.shares else _in_pixels(connection, frame, one.box)
        if any(
            label.label == one.label and _near(label.box, box)
            for label in standing(labels_of(connection, frame))
        ):
            there += 1
            continue
        give(connection, frame, one.label, who, box=box, source=form)
        given += 1
    return Imported(given, there, unknown, first_unknown)


def _find(connection: sqlite3.Connection, one: Given) -> int | None:
    """Return the frame of a label."""
    name = one.name.replace("\\", "/").rpartition("/")[2]
    if one.frame is not None and 0 < one.frame < 1 << 62:
        found = connection.execute("SELECT name FROM frame WHERE id = ?", (one.frame,)).fetchone()
        if found is not None and found[0].rpartition("/")[2] == name:
            return one.frame
    if len(name) < 3:
        return None
    query = (
        "SELECT id, name FROM frame WHERE id IN "
        "(SELECT rowid FROM sought WHERE sought MATCH ? ORDER BY rowid DESC LIMIT 200) ORDER BY id DESC"
    )
    for number, theirs in connection.execute(query, ('"' + name.replace('"', '""') + '"',)):
        if theirs.rpartition("/")[2] == name:
            return int(number)
    return None


def _in_pixels(connection: sqlite3.Connection, frame: int, box: Box | None) -> Box | None:
    """Return ``box``, which is in shares of the frame, in its pixels. Raises LabelError."""
    if box is None:
        return None
    found = connection.execute("SELECT finding, said FROM detail WHERE frame = ?", (frame,)).fetchone()
    for text in found or ():
        told = {} if text is None else msgspec.json.decode(text)
        height, width = told.get("height"), told.get("width")
        if isinstance(height, int) and isinstance(width, int):
            left, top, right, bottom = box
            return (
                round(left * width, 2),
                round(top * height, 2),
                round(right * width, 2),
                round(bottom * height, 2),
            )
    raise LabelError(f"the size of frame {frame} is not known, and the box is given in shares of it")


def _near(one: Box | None, other: Box | None) -> bool:
    if one is None or other is None:
        return one is other
    return all(abs(mine - theirs) < 0.1 for mine, theirs in zip(one, other, strict=True))
