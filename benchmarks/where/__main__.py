"""Trains, exports, measures and writes ``docs/where.md``: ``python -m benchmarks.where``.

Everything is kept in ``.where/``: a run that was interrupted goes on where it stopped.
"""

from __future__ import annotations

import sys

import torch

from benchmarks.table import publish
from benchmarks.where import asking, page
from benchmarks.where.measuring import SETTINGS, measured
from benchmarks.where.networks import MAKERS
from benchmarks.where.training import train


def main() -> None:
    """Run what is missing, and publish the page; of some networks alone where they are named."""
    torch.set_num_threads(1)
    names = sys.argv[1:] or list(MAKERS)
    for name in names:
        train(name)
    records = {setting.name: {name: measured(name, setting) for name in names} for setting in SETTINGS}
    publish("where", page.page(records, asking.figures(names)))


if __name__ == "__main__":
    main()
