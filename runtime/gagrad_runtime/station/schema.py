"""The tables of a station's index, and how an index of an earlier version is brought to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gagrad_edge.errors import OutputError
from gagrad_runtime.station import attempts, findings, noted, outbox

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

VERSION = 1
"""Version of the schema, in the index's ``user_version``. Version 0 had no outbox. The tables ``epoch``,
``attempt``, ``finding`` and ``noted`` and the column ``epoch`` came later, and an earlier gagrad-edge does
not mind them."""
TABLES = (
    """
CREATE TABLE IF NOT EXISTS result (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL, sha256 TEXT NOT NULL,
  created TEXT NOT NULL,
  verdict TEXT, probability REAL,
  state TEXT NOT NULL, reason TEXT NOT NULL DEFAULT '',
  stem TEXT NOT NULL DEFAULT '', bytes INTEGER NOT NULL DEFAULT 0,
  UNIQUE (name, sha256)
);
CREATE INDEX IF NOT EXISTS state ON result (state, id);
"""
    + attempts.SCHEMA
    + findings.SCHEMA
    + noted.SCHEMA
    + outbox.SCHEMA
    + f"PRAGMA user_version={VERSION};"
)


def bring_up(connection: sqlite3.Connection) -> None:
    """Add what an index of an earlier version lacks, and begin an epoch, within the open transaction.

    Each start has one of its own, because an index may be an earlier state of itself: a backup, or without
    the log that SQLite keeps beside it.
    """
    if "epoch" not in [row[1] for row in connection.execute("PRAGMA table_info(outbox)")]:
        connection.execute("ALTER TABLE outbox ADD COLUMN epoch TEXT")
    if "reused_from" not in [row[1] for row in connection.execute("PRAGMA table_info(finding)")]:
        connection.execute("ALTER TABLE finding ADD COLUMN reused_from INTEGER")
    # Events of an earlier version: their identity is to be the same after the next start too.
    connection.execute("UPDATE outbox SET epoch = (SELECT id FROM epoch) WHERE epoch IS NULL")
    connection.execute("UPDATE epoch SET id = lower(hex(randomblob(16)))")


def check_version(version: int, path: Path) -> None:
    """Raise OutputError when a later gagrad-edge made the index at ``path``."""
    if version > VERSION:
        raise OutputError(
            f"the index of results has version {version}, and this gagrad-edge reads {VERSION}",
            where=str(path),
            hint="use the newer gagrad-edge, or give another folder",
        )


def number_from(connection: sqlite3.Connection, number: int) -> None:
    """Let rows be numbered from ``number`` + 1 on, if they are not numbered higher already."""
    connection.execute(
        "INSERT INTO sqlite_sequence SELECT 'result', 0 WHERE NOT EXISTS "
        "(SELECT 1 FROM sqlite_sequence WHERE name = 'result')"
    )
    connection.execute("UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = 'result'", (number,))
