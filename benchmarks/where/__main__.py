"""Trains, exports, measures and writes ``docs/where.md``: ``python -m benchmarks.where``.

Everything is kept in ``.where/``: a run that was interrupted goes on where it stopped.
"""

from __future__ import annotations

import argparse

import torch

from benchmarks.table import publish
from benchmarks.where import asking, page
from benchmarks.where.measuring import SETTINGS, measured
from benchmarks.where.networks import MAKERS
from benchmarks.where.training import train


def main() -> None:
    """Run what is missing, and publish the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("networks", nargs="*", default=list(MAKERS), help="all by default")
    parser.add_argument("--kept", action="store_true", help="write the page of what is measured already")
    given = parser.parse_args()
    torch.set_num_threads(1)
    for name in [] if given.kept else given.networks:
        train(name)
    records = {
        setting.name: {
            name: found for name in given.networks if (found := measured(name, setting, kept=given.kept))
        }
        for setting in SETTINGS
    }
    publish("where", page.page(records, asking.figures(given.networks, only_kept=given.kept)))


if __name__ == "__main__":
    main()
