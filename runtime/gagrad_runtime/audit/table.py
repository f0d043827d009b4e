"""The table of an audit: one row for each image. docs/audit.md is made from the columns here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gagrad_runtime.audit.packages import arrow

SCHEMA = 1
"""Version of the table; a new column does not raise it, a changed or removed one does."""
GRID = 16
"""Cells of ``map`` along each side."""
_PLACE = "list<struct<left: int32, top: int32, right: int32, bottom: int32, share: float>>"


@dataclass(frozen=True)
class Column:
    """One column of the table."""

    name: str
    kind: str
    """The type as the docs name it; ``_type`` has Arrow's."""
    says: str


COLUMNS = (
    Column("row", "int64", "Number of the image in the plan, from 0. No number comes twice."),
    Column(
        "path",
        "string",
        "Path or address as the plan has it. Bytes that are no UTF-8 are written as escapes.",
    ),
    Column(
        "sha256",
        "string",
        "SHA-256 of the pixels, as `frame.sha256` of the record: equal for equal images.",
    ),
    Column(
        "phash",
        "uint64",
        "Perceptual hash: 64 bits of the image's coarse pattern. Alike images differ in few bits.",
    ),
    Column(
        "time",
        "timestamp[ms, UTC]",
        "When the part was seen: from the list, else when the file was last changed.",
    ),
    Column("station", "string", "Name of the station, from the list; empty where it is not known."),
    Column("part_id", "string", "The plant's name for the part, from the list; empty where it is not known."),
    Column("height", "int32", "Rows of the frame."),
    Column("width", "int32", "Columns of the frame."),
    Column("brightness", "float", "Mean of the pixels, 0 (black) to 1 (white)."),
    Column("contrast", "float", "Standard deviation of the pixels, of 1 for white."),
    Column(
        "sharpness",
        "float",
        "Standard deviation of the Laplacian, of 1 for white: falls when the lens loses focus.",
    ),
    Column("verdict", "string", "What the model says, such as the name of the class."),
    Column("ng", "bool", "Whether the part is NG; null where nobody has told which answers are good."),
    Column("probability", "float", "Probability of the answer, 0 to 1; null for a plain score."),
    Column(
        "margin",
        "float",
        "How far the answer is from another one, 0 to 1; null for a plain score without a limit.",
    ),
    Column("score", "float", "Value of a regression or of an anomaly scorer; null for other tasks."),
    Column(
        "cautions",
        "list<string>",
        "Codes of the cautions: of the frame and the answer, and of the map if there is one.",
    ),
    Column(
        "explained",
        "string",
        "Why the image was explained: `ng`, `unsure`, `caution` or `sample`; empty where it was not.",
    ),
    Column(
        "places",
        _PLACE,
        "Where the map points, numbered from 1 in this order: box in frame pixels, share of the map.",
    ),
    Column("covered", "float", "Confidence with place 1 covered, 0 to 1; null where nothing was covered."),
    Column("covered_before", "float", "Confidence with nothing covered."),
    Column(
        "decides",
        "int32",
        "Number of the first place that changes the answer when it is covered; 0 where none does; "
        "null where the test has no answer.",
    ),
    Column("changed_elsewhere", "bool", "Whether half of the control places change the answer, too."),
    Column(
        "roi_share",
        "float",
        "Share of the map in the region of interest, 0 to 1; null without a region.",
    ),
    Column(
        "map",
        "fixed_size_binary[256]",
        "The map as shares of 16 by 16 cells, row by row, one byte each: divide by their sum. The "
        "cells divide what the model sees of the frame.",
    ),
    Column("rcap", "float", "RCAP of the map; null where it is not measured."),
    Column(
        "stability",
        "float",
        "How often parts of the samples agree on place 1, 0 to 1; else the map's stability.",
    ),
    Column("bundle", "string", "SHA-256 of the bundle."),
    Column("error", "string", "Why there is no answer, or no map; empty where all went well."),
)
"""All columns, in their order."""


def schema() -> Any:
    """Return the table's schema in Arrow. Raises MissingPackageError."""
    pa = arrow()
    named = {
        "string": pa.string(), "int32": pa.int32(), "int64": pa.int64(), "uint64": pa.uint64(),
        "float": pa.float32(), "bool": pa.bool_(), "timestamp[ms, UTC]": pa.timestamp("ms", tz="UTC"),
        "list<string>": pa.list_(pa.string()), "fixed_size_binary[256]": pa.binary(GRID * GRID),
    }  # fmt: skip
    sides = [pa.field(name, pa.int32()) for name in ("left", "top", "right", "bottom")]
    named[_PLACE] = pa.list_(pa.struct([*sides, pa.field("share", pa.float32())]))
    metadata = {"gagrad-edge.schema": str(SCHEMA)}
    return pa.schema([pa.field(column.name, named[column.kind]) for column in COLUMNS], metadata)


def markdown() -> str:
    """Return the table of columns for docs/audit.md."""
    lines = ["| column | type | what it is |", "|---|---|---|"]
    lines += [f"| `{one.name}` | `{one.kind}` | {one.says} |" for one in COLUMNS]
    return "\n".join(lines) + "\n"
