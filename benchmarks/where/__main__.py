"""Trains, exports, measures and writes ``docs/where.md``: ``python -m benchmarks.where``.

Everything is kept in ``.where/``: a run that was interrupted goes on where it stopped.
"""

from __future__ import annotations

import torch

from benchmarks.table import publish
from benchmarks.where import asking, page
from benchmarks.where.bundles import bundle
from benchmarks.where.measuring import SETTINGS, measured
from benchmarks.where.networks import MAKERS
from benchmarks.where.training import train


def main() -> None:
    """Run what is missing, and publish the page."""
    torch.set_num_threads(1)
    for name in MAKERS:
        train(name)
        bundle(name)
    records = {setting.name: {name: measured(name, setting) for name in MAKERS} for setting in SETTINGS}
    publish("where", page.page(records, asking.figures()))


if __name__ == "__main__":
    main()
