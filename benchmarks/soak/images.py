"""20,000 damaged images, decoded and explained: no process may die, no map may have the wrong size.

python -m benchmarks.soak.images [COUNT]        (minutes; writes its section of docs/soak.md)
"""

from __future__ import annotations

import sys
import tempfile
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import onnx

import gagrad_runtime
from benchmarks.soak.image_mutations import FORMATS, mutate, originals
from benchmarks.soak.isolation import in_batches
from benchmarks.soak.section import write_section
from benchmarks.table import markdown
from gagrad_edge.errors import FrameError
from gagrad_export import export
from tests.models import CLASSES, SIZE, tiny_model

COUNT, BATCH = 20_000, 500
OUTCOMES = ("explained", "refused", "wrong map", "crashed")


def attempt(first: int, count: int, bundle: str) -> Counter[str]:
    """Explain ``count`` damaged images, of each format in turn; return outcomes as ``format: outcome``."""
    warnings.simplefilter("ignore")
    found: Counter[str] = Counter()
    files = originals()
    with tempfile.TemporaryDirectory() as folder, gagrad_runtime.load(bundle, device="cpu", threads=1) as one:
        path = Path(folder) / "frame"
        for seed in range(first, first + count):
            form = FORMATS[seed % len(FORMATS)]
            change, data = mutate(files[form], np.random.default_rng(seed))
            path.write_bytes(data)
            try:
                saliency = one.explain(path, preset="paper", samples=2, chunk=2).saliency
                right = saliency.shape == SIZE and 0 <= saliency.min() <= saliency.max() <= 1
                outcome = "explained" if right else "wrong map"
            except FrameError:
                outcome = "refused"
            except Exception as error:  # noqa: BLE001 - any other class is the finding
                outcome = "crashed"
                print(f"\nseed {seed}, {form}, {change}: {error!r}")
            found[f"{form}: {outcome}"] += 1
    return found


def make_bundle(folder: Path) -> Path:
    """Export the tests' tiny model."""
    onnx.save(tiny_model(), folder / "tiny.onnx")
    export(folder / "tiny.onnx", folder / "tiny.gagrad", size=SIZE, mean=(0.5,), std=(0.25,), classes=CLASSES)
    return folder / "tiny.gagrad"


def main() -> int:
    """Run, write the section, and return 1 if a process died or a map was wrong."""
    total = int(sys.argv[1]) if len(sys.argv) > 1 else COUNT
    with tempfile.TemporaryDirectory() as folder:
        bundle = str(make_bundle(Path(folder)))
        tally = in_batches(attempt, total, BATCH, bundle)
    counts = {form: [tally.outcomes[f"{form}: {outcome}"] for outcome in OUTCOMES] for form in FORMATS}
    sums = [sum(column) for column in zip(*counts.values(), strict=True)]
    rows = [[form, *row] for form, row in counts.items()]
    table = markdown(["format", *OUTCOMES], [*rows, ["**all**", *sums]])
    text = f"""Good files of each format (mono and colour, 1 to 16 bits, each compression, with EXIF and several pages) are
damaged: flipped bits, damaged headers and numbers in them, false sizes, cuts, moved and spliced pieces; half of the PNGs get right
checksums afterwards. Each file is decoded and, if that gives pixels, explained. A damaged file may be explained if the
damage is in pixels without a checksum. "Crashed" counts every error other than the error for a bad frame.

{table}
Processes that died: {len(tally.deaths)} of {-(-total // BATCH)}. Peak memory of a process: {tally.peak / 2**20:.0f} MB.
"""
    write_section(
        "Damaged images", "python -m benchmarks.soak.images", text, "pillow", "opencv-python-headless"
    )
    return 1 if sums[2] or sums[3] or tally.deaths else 0


if __name__ == "__main__":
    sys.exit(main())
