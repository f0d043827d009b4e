"""Lines of CSV files that people open in a spreadsheet."""

from __future__ import annotations

import csv
import io
from datetime import datetime, timezone
from typing import Any

MARK = "\ufeff".encode()
"""Mark by which spreadsheets know UTF-8."""
_BEGINS_A_FORMULA = "=+-@\t\r"


def line(values: tuple[Any, ...]) -> bytes:
    """Return one line of a CSV file; a text that looks like a formula gets an apostrophe."""
    stream = io.StringIO()
    csv.writer(stream).writerow([_plain(value) for value in values])
    return stream.getvalue().encode("utf-8", "replace")


def _plain(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value[:1] in tuple(_BEGINS_A_FORMULA) else value


def bare(text: str) -> str:
    """Return ``text`` without the apostrophe that ``line`` puts before what looks like a formula."""
    return text[1:] if text[:1] == "'" and text[1:2] in tuple(_BEGINS_A_FORMULA) else text


def moment(when: float) -> str:
    """Return a time as the file has it."""
    return datetime.fromtimestamp(when, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
