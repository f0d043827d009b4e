"""Notes for people: what was done to a frame or could not be done for a map, in the current language.

The rooms that make a note write it in English, for the record; some come from the process that decodes
foreign files. Here are all of them as they are written there, and a note is recognised by its words.
"""

from __future__ import annotations

import re

from gagrad_runtime.language import current, marked, text

NOTES = (
    marked("EXIF orientation {number} applied"),
    marked("transparency dropped"),
    marked("{mode} converted to RGB"),
    marked("first of more than {count} pages"),
    marked("first of {count} pages"),
    marked("the bundle has no graph for class activation, so the map is the gradient's alone"),
    marked("no feature speaks for the result, so the map is the gradient's alone"),
)
"""All notes of frames and maps, with the places for their values."""
_PLACE = re.compile(r"\\\{(\w+)\\\}")


def note_shown(note: str) -> str:
    """Return ``note`` in the current language; one that is none of ``NOTES`` stays as it is."""
    if current() == "en":
        return note
    for known in NOTES:
        found = re.fullmatch(_PLACE.sub(r"(?P<\1>\\S+)", re.escape(known)), note)
        if found is not None:
            return text(known, **found.groupdict())
    return note
