"""What an audit adds to ``predict``: ``python -m benchmarks.audit_overhead FOLDER BUNDLE...``.

FOLDER has images. One thread; processor time, as a busy machine tells nothing by the clock; ``predict`` and
the row of an image take turns in one process. Nothing is explained. The table is in docs/audit-speed.md.
"""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gagrad_runtime.audit.observing import BundleObserver
from gagrad_runtime.audit.plan import Asked
from gagrad_runtime.audit.quality import quality
from gagrad_runtime.audit.rows import row_of, table_of
from gagrad_runtime.audit.sources import Item, items_of
from gagrad_runtime.audit.worker import encoded
from gagrad_runtime.session.opening import load

if TYPE_CHECKING:
    from collections.abc import Callable

IMAGES, ROUNDS = 60, 3


def main() -> None:
    """Print a row of the table for each bundle."""
    folder, *bundles = sys.argv[1:]
    paths = [item.path for item in items_of([folder])][:IMAGES]
    print("| model | `predict` | a row adds | of it hash | measures of the image | share |")
    print("|---|---|---|---|---|---|")
    for bundle in bundles:
        print(_row(Path(bundle), paths))


def _row(bundle: Path, paths: list[str]) -> str:
    explainer = load(bundle, device="cpu", threads=1, good=False)
    observer = BundleObserver(explainer, None, {})
    asked = Asked(bundle=str(bundle), sha256=explainer.bundle_sha256, one_in=0, share=0.0)
    spent: dict[str, list[float]] = {"predict": [], "row": [], "hash": [], "quality": []}
    rows = []
    for turn in range(ROUNDS):
        for number, path in enumerate(paths):
            _timed(spent["predict"], explainer.predict, path)
            rows.append(_timed(spent["row"], row_of, observer, asked, number, Item(path)))
            frame = observer.frame(path)
            _timed(spent["hash"], getattr, frame, "sha256")
            _timed(spent["quality"], quality, frame)
        if not turn:  # the first round warms up
            spent = {name: [] for name in spent}
    began = time.process_time()
    encoded(table_of(rows))
    written = (time.process_time() - began) / len(rows)
    middle = {name: statistics.median(values) for name, values in spent.items()}
    pairs = np.array(spent["row"]) - np.array(spent["predict"])
    added = float(np.median(pairs)) + written
    share = added / middle["predict"]
    figures = (middle["predict"], added, middle["hash"], middle["quality"])
    return f"| {bundle.stem} | {' | '.join(f'{1e3 * one:.2f} ms' for one in figures)} | {100 * share:.1f} % |"


def _timed(spent: list[float], call: Callable[..., Any], *arguments: Any) -> Any:
    began = time.process_time()
    value = call(*arguments)
    spent.append(time.process_time() - began)
    return value


if __name__ == "__main__":
    main()
