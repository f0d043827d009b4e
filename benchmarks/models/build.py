"""Writes the file of one model, in ``.venv-models``: ``python -m benchmarks.models.build NAME FILE``."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

from benchmarks.models.entry import entries


def main() -> None:
    """Write the file."""
    warnings.simplefilter("ignore")
    name, path = sys.argv[1], Path(sys.argv[2])
    entries()[name].make(path)


if __name__ == "__main__":
    main()
