"""The trial of an audit: some images are looked at, to say how long all take and how large the table is."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING, Any

import msgspec

from gagrad_edge.errors import InputError, ModelError
from gagrad_runtime.audit.rows import explained, row_of, table_of
from gagrad_runtime.audit.sources import content
from gagrad_runtime.audit.worker import opened

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gagrad_runtime.audit.observing import Observer
    from gagrad_runtime.audit.sources import Item
    from gagrad_runtime.audit.worker import Work

IMAGES, EXPLAINED = 60, 4
"""Images that are looked at, and those of them that are explained."""


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured."""

    images: int
    broken: int
    """Images without an answer."""
    marked: int
    """Images that are NG, unsure or have a caution."""
    look_seconds: float
    """To read an image, measure it, and have the model's answer; the median."""
    explain_seconds: float
    """To explain one; the median. 0 where none could be explained."""
    row_bytes: float
    """Of a row without an explanation, before compression."""
    explained_bytes: float
    """Of a row with one."""
    chunk: int | None = None
    """Samples of a run of the graph, as measured here; each worker takes it."""


def measure(work: Work, items: Sequence[Item], begin: Callable[[int], None]) -> Trial:
    """Return the trial of ``items``, in a worker. Raises what concerns the bundle or the device."""
    observer = opened(work)
    asked = msgspec.structs.replace(work.asked, one_in=0, share=0.0)  # nothing is explained while it looks
    rows, times = [], []
    for number, item in enumerate(items):
        begin(number)
        began = time.perf_counter()
        rows.append(row_of(observer, asked, number, item))
        times.append(time.perf_counter() - began)
    good = [one for one in rows if not one["error"]]
    marked = [one for one in good if one["ng"] or one["cautions"]]
    chosen = (marked + [one for one in good if one not in marked])[: EXPLAINED + 1]
    filled, seconds, chunk = _explain(observer, {one["row"]: items[one["row"]] for one in chosen}, begin)
    full = [{**row, **columns} for row, columns in zip(chosen, filled, strict=False)]
    return Trial(
        images=len(rows),
        broken=len(rows) - len(good),
        marked=len(marked),
        look_seconds=statistics.median(times[1:] or times),
        explain_seconds=statistics.median(seconds[1:] or seconds or [0.0]),
        row_bytes=_bytes(rows),
        explained_bytes=_bytes(full),
        chunk=chunk,
    )


def _bytes(rows: Sequence[Mapping[str, Any]]) -> float:
    return float(table_of(rows).nbytes) / max(len(rows), 1)


def _explain(
    observer: Observer, items: Mapping[int, Item], begin: Callable[[int], None]
) -> tuple[list[dict[str, Any]], list[float], int | None]:
    """Return the columns of the explanations, the seconds of each, and the chunk."""
    filled: list[dict[str, Any]] = []
    seconds: list[float] = []
    chunk: int | None = None
    for number, item in items.items():
        begin(number)
        began = time.perf_counter()
        try:
            explanation = observer.explanation(observer.frame(content(item.path)))
        except (InputError, ModelError):
            continue
        seconds.append(time.perf_counter() - began)
        filled.append(explained(explanation))
        chunk = explanation.provenance.chunk
    return filled, seconds, chunk
