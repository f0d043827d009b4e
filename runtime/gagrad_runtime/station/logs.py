"""The log of a station: text for people, or JSON for a collector."""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import TYPE_CHECKING

from gagrad_edge.logs import PrintableFormatter
from gagrad_edge.printable import printable, printable_json

if TYPE_CHECKING:
    from gagrad_runtime.station.config import LogTable

_ROOT = "gagrad_runtime"


class JsonFormatter(logging.Formatter):
    """One object a line: ``time`` (UTC), ``level``, ``logger``, ``message``, and ``exception`` if any."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        fields = {
            "time": f"{seconds}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": printable(record.getMessage()),
        }
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return printable_json(json.dumps(fields, ensure_ascii=False))


def set_up(table: LogTable) -> None:
    """Log to stderr in the format and from the level that ``table`` says."""
    handler = logging.StreamHandler(sys.stderr)
    plain = PrintableFormatter("%(levelname)s %(message)s")
    handler.setFormatter(JsonFormatter() if table.format == "json" else plain)
    logger = logging.getLogger(_ROOT)
    logger.handlers = [handler]
    logger.setLevel(table.level.upper())
    logger.propagate = False
