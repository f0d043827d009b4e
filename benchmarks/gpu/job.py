"""One job of the run: python -m benchmarks.gpu.job KIND MACHINE FOLDER ARGUMENTS…; its answer is the last line of stdout."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.child import answer
from benchmarks.gpu.machine import MACHINES
from gagrad_edge.errors import GagradError

if TYPE_CHECKING:
    from collections.abc import Callable

KINDS = {
    "open": "benchmarks.gpu.opening",
    "export": "benchmarks.gpu.exporting",
    "pytorch": "benchmarks.gpu.torch_times",
    "explain": "benchmarks.gpu.explaining",
    "graph": "benchmarks.gpu.graph_alone",
    "sanitise": "benchmarks.gpu.sanitising",
}
"""Modules by kind of job, imported when they run: not every job needs torch. Each has ``run(machine, folder, …)``."""


def main() -> None:
    """Run the job that the command line names."""
    kind, machine, folder, *arguments = sys.argv[1:]
    run: Callable[..., dict[str, Any]] = importlib.import_module(KINDS[kind]).run
    try:
        answer(run(MACHINES[machine], Path(folder), *arguments))
    except GagradError as error:
        sys.exit(" ".join(error.what.split()))


if __name__ == "__main__":
    main()
