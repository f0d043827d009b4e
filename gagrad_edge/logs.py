"""Log lines in the printable form."""

from __future__ import annotations

import logging
from typing import Any

from gagrad_edge.printable import printable, printable_lines


class PrintableFormatter(logging.Formatter):
    """A log line in the printable form; only a traceback behind it has more lines."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Return the line."""
        return printable(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:
        """Return the traceback."""
        return printable_lines(super().formatException(ei))
