"""The viewer's labels as files that other tools read.

The last label of the whole frame counts, and every box that nobody took back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from gagrad_runtime.labels import writing
from gagrad_runtime.labels.values import Labelled
from gagrad_runtime.viewer.labels import labels_of, standing

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from gagrad_runtime.labels.values import Format


def labelled(connection: sqlite3.Connection) -> Iterator[Labelled]:
    """Yield every frame with a label, in the order in which they came."""
    query = (
        "SELECT frame.id, station.name, frame.name, part, time, finding, said FROM frame "
        "JOIN station ON station.id = frame.station LEFT JOIN detail ON detail.frame = frame.id "
        "WHERE label != '' ORDER BY frame.id"
    )
    for frame, station, name, part, time, finding, said in connection.execute(query):
        counting = standing(labels_of(connection, frame))
        whole = [one for one in counting if one.box is None]
        height, width = _size(finding, said)
        boxes = [one for one in counting if one.box is not None]
        yield Labelled(frame, station, name, part, time, height, width, [*whole[-1:], *boxes])


def write(connection: sqlite3.Connection, form: Format) -> Iterator[bytes]:
    """Yield the file with all labels, piece by piece."""
    return writing.write(lambda: labelled(connection), _names(connection), form)


def _names(connection: sqlite3.Connection) -> list[str]:
    query = "SELECT label FROM labelled WHERE frames > 0 UNION SELECT label FROM label WHERE box IS NOT NULL"
    return sorted({name for (name,) in connection.execute(query) if name})


def _size(finding: str | None, said: str | None) -> tuple[int, int]:
    """Return height and width of the frame, as an event told."""
    for text in (finding, said):
        told = {} if text is None else msgspec.json.decode(text)
        height, width = told.get("height"), told.get("width")
        if isinstance(height, int) and isinstance(width, int):
            return height, width
    return 0, 0
