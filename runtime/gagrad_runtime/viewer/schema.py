"""The tables of the viewer's database."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3

VERSION = 2
"""Version of the schema, in ``user_version``. Version 1 had neither ``frame.checked`` nor ``health``."""
ALL = 0
"""In place of a station in ``hour``: all stations together."""
TABLES = f"""
BEGIN;
CREATE TABLE IF NOT EXISTS station (
  id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,
  heard REAL NOT NULL, skew REAL, disk REAL, bundle INTEGER, newest INTEGER
);
CREATE TABLE IF NOT EXISTS health (station INTEGER PRIMARY KEY, time INTEGER NOT NULL, told TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS epoch (
  id INTEGER PRIMARY KEY, station INTEGER NOT NULL, name TEXT NOT NULL, last INTEGER NOT NULL,
  heard REAL NOT NULL, UNIQUE (station, name)
);
CREATE TABLE IF NOT EXISTS event (
  epoch INTEGER NOT NULL, sequence INTEGER NOT NULL, PRIMARY KEY (epoch, sequence)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS gap (
  id INTEGER PRIMARY KEY, station INTEGER NOT NULL, epoch INTEGER NOT NULL,
  after INTEGER NOT NULL, before INTEGER NOT NULL, at INTEGER NOT NULL, frame INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS gap_epoch ON gap (epoch, after);
CREATE INDEX IF NOT EXISTS gap_at ON gap (at);
CREATE TABLE IF NOT EXISTS word (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS bundle (
  id INTEGER PRIMARY KEY, name TEXT NOT NULL, sha256 TEXT NOT NULL, UNIQUE (name, sha256)
);
CREATE TABLE IF NOT EXISTS frame (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  station INTEGER NOT NULL, number INTEGER,
  name TEXT NOT NULL, part TEXT NOT NULL DEFAULT '',
  time INTEGER NOT NULL, at REAL NOT NULL, hour INTEGER NOT NULL,
  state INTEGER NOT NULL, verdict INTEGER, probability REAL, outcome INTEGER,
  reason TEXT NOT NULL DEFAULT '', cautions TEXT NOT NULL DEFAULT '',
  strength INTEGER, stability REAL,
  looked INTEGER NOT NULL DEFAULT 0, label TEXT NOT NULL DEFAULT '',
  pictures INTEGER NOT NULL DEFAULT 0, bytes INTEGER NOT NULL DEFAULT 0,
  bundle INTEGER, sha256 BLOB, seconds REAL, checked INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS frame_station ON frame (station, id);
CREATE INDEX IF NOT EXISTS frame_number ON frame (station, number);
CREATE INDEX IF NOT EXISTS frame_time ON frame (time);
CREATE INDEX IF NOT EXISTS frame_verdict ON frame (verdict, id);
CREATE INDEX IF NOT EXISTS frame_ng ON frame (id) WHERE outcome = 1;
CREATE INDEX IF NOT EXISTS frame_explained ON frame (station, id) WHERE state = 2;
CREATE INDEX IF NOT EXISTS frame_labelled ON frame (id) WHERE label != '';
CREATE INDEX IF NOT EXISTS frame_pictures ON frame (id) WHERE pictures != 0;
CREATE INDEX IF NOT EXISTS frame_sha256 ON frame (sha256) WHERE sha256 IS NOT NULL;
CREATE TABLE IF NOT EXISTS detail (frame INTEGER PRIMARY KEY, said TEXT, finding TEXT, record TEXT);
CREATE TABLE IF NOT EXISTS caution (
  code INTEGER NOT NULL, frame INTEGER NOT NULL, PRIMARY KEY (code, frame)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS likeness (
  frame INTEGER PRIMARY KEY, cells INTEGER NOT NULL, picture INTEGER, family INTEGER
);
CREATE INDEX IF NOT EXISTS likeness_family ON likeness (family, frame) WHERE family IS NOT NULL;
CREATE TABLE IF NOT EXISTS family (
  id INTEGER PRIMARY KEY, station INTEGER NOT NULL, verdict INTEGER NOT NULL,
  cells INTEGER NOT NULL, frames INTEGER NOT NULL, newest INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS family_newest ON family (newest);
CREATE INDEX IF NOT EXISTS family_verdict ON family (station, verdict);
CREATE TABLE IF NOT EXISTS hour (
  station INTEGER NOT NULL, hour INTEGER NOT NULL,
  frames INTEGER NOT NULL DEFAULT 0, ng INTEGER NOT NULL DEFAULT 0, ok INTEGER NOT NULL DEFAULT 0,
  explained INTEGER NOT NULL DEFAULT 0, lost INTEGER NOT NULL DEFAULT 0,
  first INTEGER NOT NULL, last INTEGER NOT NULL, PRIMARY KEY (station, hour)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS total (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS camera (
  station INTEGER NOT NULL, source TEXT NOT NULL, state TEXT NOT NULL, reason TEXT NOT NULL,
  time INTEGER NOT NULL, PRIMARY KEY (station, source)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS label (
  id INTEGER PRIMARY KEY AUTOINCREMENT, frame INTEGER NOT NULL, label TEXT NOT NULL,
  who TEXT NOT NULL, at INTEGER NOT NULL, box TEXT, source TEXT NOT NULL DEFAULT 'page'
);
CREATE INDEX IF NOT EXISTS label_frame ON label (frame, id);
CREATE TABLE IF NOT EXISTS labelled (label TEXT PRIMARY KEY, frames INTEGER NOT NULL) WITHOUT ROWID;
CREATE TRIGGER IF NOT EXISTS label_stays BEFORE UPDATE ON label BEGIN
  SELECT raise(ABORT, 'a label is never changed'); END;
CREATE VIRTUAL TABLE IF NOT EXISTS sought USING fts5(text, content='', tokenize='trigram');
PRAGMA user_version={VERSION};
COMMIT;
"""
"""``frame.hour`` is the row of ``hour`` that the frame counts in; ``label.label`` is empty for one that
takes the one before it back."""


def bring_up(connection: sqlite3.Connection, version: int) -> None:
    """Make the tables, or bring those of an earlier ``version`` to this one; all of it or nothing."""
    earlier = "ALTER TABLE frame ADD COLUMN checked INTEGER NOT NULL DEFAULT 0;" if version == 1 else ""
    connection.executescript(TABLES.replace("BEGIN;", f"BEGIN;{earlier}", 1))
