"""A `watch` that is killed at random moments: every result that it printed must be stored, and complete.

python -m benchmarks.soak.kills [COUNT]        (a second each; writes its section of docs/soak.md)
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.soak.section import write_section
from benchmarks.soak.station import Watching, demo_bundle, look, put_image

COUNT = 1_000


def main() -> int:
    """Kill, check the results, and return 1 if a result was lost or incomplete."""
    total = int(sys.argv[1]) if len(sys.argv) > 1 else COUNT
    rng = np.random.default_rng(0)
    printed: list[dict[str, Any]] = []
    failed = 0
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        bundle, frames, out = demo_bundle(root), root / "in", root / "out"
        frames.mkdir()
        for turn in range(total):
            for number in range(3):
                put_image(frames, f"{turn:05d}-{number}", rng)
            watching = Watching(bundle, frames, out)
            try:
                watching.wait_for(1)
            except RuntimeError as error:
                failed += 1
                print(f"kill {turn}: {error}", flush=True)
            time.sleep(float(rng.uniform(0, 0.6)))
            watching.kill()
            printed += watching.lines
            for old in sorted(frames.iterdir())[:-6]:
                old.unlink()
            if turn % 50 == 49:
                print(turn + 1, len(printed), look(out, printed), flush=True)
        lost, half, counts = look(out, printed)
    text = f"""`gagrad-edge watch` explains images that keep coming (4 samples each, so that it writes most of the time) and is killed with
SIGKILL up to 0.6 s after its first line.

| | |
|---|---|
| kills | {total} |
| starts that failed | {failed} |
| lines printed | {len(printed)} |
| of these missing or with another state in the index | {lost} |
| pictures, records or indexes that do not open | {half} |
| rows | {", ".join(f"{count} {state}" for state, count in sorted(counts.items()))} |

The process is killed, not the machine: the operating system still writes the data that it had accepted."""
    write_section("Kills of a writing watch", "python -m benchmarks.soak.kills", text, "onnxruntime")
    return 1 if lost or half or failed else 0


if __name__ == "__main__":
    sys.exit(main())
