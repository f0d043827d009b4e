"""The table of a finished audit, read column by column."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from gagrad_edge.errors import InputError
from gagrad_runtime.audit.packages import package, parquet
from gagrad_runtime.audit.plan import PLAN, SHARDS, missing, read_plan

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from gagrad_runtime.audit.plan import Plan

_DAY = 86_400_000
"""Milliseconds."""


def finished(folder: Path) -> Plan:
    """Return the plan of the audit in ``folder``. Raises InputError unless all its shards are done."""
    plan = read_plan(folder)
    if plan is None:
        raise InputError(
            f"there is no audit in this folder: it has no {PLAN}",
            where=str(folder),
            hint="gagrad-edge audit BUNDLE SOURCE -o FOLDER makes one",
        )
    left = len(missing(folder, plan))
    if left:
        raise InputError(
            f"{left} of {plan.shards} shards are not done",
            where=str(folder),
            hint="run the audit again, which goes on where it was",
        )
    return plan


def read(folder: Path, columns: Sequence[str], only: Literal["answered", "explained"] | None = None) -> Any:
    """Return ``columns`` of the table in ``folder``: of all images, or of those with an answer or a map."""
    conditions = {None: None, "answered": [("error", "=", "")], "explained": [("explained", "!=", "")]}
    table = parquet().read_table(folder / SHARDS, columns=list(columns), filters=conditions[only])
    return table.filter(table["map"].is_valid()) if "map" in columns else table


def numbers(table: Any, name: str) -> NDArray[np.float64]:
    """Return a column of numbers or truths as floats, NaN where it is null."""
    column = package("pyarrow.compute").cast(table[name], "float64")
    values: NDArray[np.float64] = column.to_numpy()
    return values


def days(table: Any) -> NDArray[np.int64]:
    """Return the day of each row, counted from 1970 in UTC; -1 where the time is not known."""
    compute = package("pyarrow.compute")
    stamps = compute.fill_null(compute.cast(table["time"], "int64"), -_DAY)
    found: NDArray[np.int64] = stamps.to_numpy() // _DAY
    return found


def codes(table: Any, name: str) -> tuple[NDArray[np.int64], list[str]]:
    """Return a column of texts as numbers, and the texts that they stand for, sorted."""
    column = package("pyarrow.compute").fill_null(table[name], "").combine_chunks()
    encoded = column.dictionary_encode()
    texts = [str(one) for one in encoded.dictionary.to_pylist()]
    order = np.argsort(np.array(texts), kind="stable") if texts else np.zeros(0, np.int64)
    places = np.empty(len(texts), np.int64)
    places[order] = np.arange(len(texts))
    return places[encoded.indices.to_numpy()] if texts else np.zeros(0, np.int64), sorted(texts)


def keys(table: Any, name: str) -> NDArray[np.int64]:
    """Return a column of texts as numbers, equal ones for equal texts: quicker than ``codes``."""
    column = package("pyarrow.compute").fill_null(table[name], "").combine_chunks()
    found: NDArray[np.int64] = column.dictionary_encode().indices.to_numpy().astype(np.int64)
    return found


def maps(table: Any) -> NDArray[np.uint8]:
    """Return the column ``map``, which has no nulls here, as bytes ``[N, 256]``."""
    column = table["map"].combine_chunks()
    width = column.type.byte_width
    begin = column.offset * width
    data = np.frombuffer(column.buffers()[1] or b"", np.uint8)[begin : begin + len(column) * width]
    return data.reshape(-1, width)
