"""Attempts: what the station is working on, in its index, before it begins.

A file that ends the process would come first again after each restart. So it is marked before it is decoded,
and the mark goes when there is a result. A mark that a start finds means that an earlier process ended
meanwhile, by the file's fault or not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3

SCHEMA = """
CREATE TABLE IF NOT EXISTS attempt (
  name TEXT NOT NULL, sha256 TEXT NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (name, sha256)
) WITHOUT ROWID;
"""
MOST = 2
"""Attempts that a frame gets: the second behind all others, as a power cut may have ended the first."""


def begin(connection: sqlite3.Connection, name: str, sha256: str) -> None:
    """Mark an attempt within the open transaction."""
    connection.execute(
        "INSERT INTO attempt VALUES (?, ?, 1) ON CONFLICT (name, sha256) DO UPDATE SET count = count + 1",
        (name, sha256),
    )


def leave(connection: sqlite3.Connection, name: str, sha256: str) -> None:
    """Take one mark away within the open transaction: the attempt ended, without a result."""
    where = "WHERE name = ? AND sha256 = ?"
    connection.execute(f"UPDATE attempt SET count = count - 1 {where}", (name, sha256))  # noqa: S608
    connection.execute(f"DELETE FROM attempt {where} AND count < 1", (name, sha256))  # noqa: S608


def end(connection: sqlite3.Connection, name: str, sha256: str) -> None:
    """Remove all marks within the open transaction: there is a result."""
    connection.execute("DELETE FROM attempt WHERE name = ? AND sha256 = ?", (name, sha256))


def end_of_row(connection: sqlite3.Connection, number: int) -> None:
    """Remove the mark of the frame of row ``number`` within the open transaction."""
    found = "(name, sha256) = (SELECT name, sha256 FROM result WHERE id = ?)"
    connection.execute(f"DELETE FROM attempt WHERE {found}", (number,))  # noqa: S608 - our own text
