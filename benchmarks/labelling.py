"""Whether labelling what ``queue`` chooses pays: ``python -m benchmarks.labelling [SEED …]``.

For each part design and seed a small network learns from START labelled parts, is exported, and audits a history of
POOL parts that nobody has labelled, RARE of which are NG. Then MORE of them get labels: those that ``gagrad-edge
queue`` chooses, those with the least margin, or any. The network learns again from the START and these, with as many
steps, and is asked about TEST new parts. The figures of reported seeds fall as they do: nothing was tuned on them.
What is done is kept in a folder and skipped; the table goes to docs/audit.md. Some 40 minutes on one core.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pyarrow.parquet as pq
import torch

from benchmarks.shortcuts import command
from benchmarks.small_network import BATCH, SIDE, called_bad, drawn, trained
from benchmarks.table import markdown
from benchmarks.where.defects import ABSENT, PRESENT
from benchmarks.where.designs import DESIGNS
from benchmarks.where.networks import MEAN, STD
from gagrad_export import export

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.small_network import Picture
    from benchmarks.where.designs import Design

STORE = Path(os.environ.get("LABELLING_STORE", ".labelling"))
NAMES = ("plate", "gravel")
"""Designs of two families."""
SEEDS = (0, 1, 2, 3, 4)
"""The reported ones. Nothing may be tuned on them; others are free for that."""
START, POOL, MORE, TEST = 300, 1500, 100, 1500
RARE = 10
"""Of so many parts in the history one is NG; of the labelled parts and of those of the test, every third."""
STEPS = 500
_START, _POOL, _TEST = 40, 41, 42
"""Series of parts; a seed's numbers are its own."""
KINDS = (*PRESENT, ABSENT)
WAYS = ("queue", "margin", "random")
RATES = ("accuracy", "escapes", "false alarms")
REPEATS = 10_000
"""Resamples of the runs for an interval."""

Parts = list[tuple["Picture", bool]]


def parts(series: int, count: int, one_in: int, design: Design, seed: int) -> Parts:
    """Return ``count`` parts and whether each is NG; of so many as ``one_in`` one is, of any kind."""
    made = []
    for number in range(count):
        bad = number % one_in == 0
        kind = KINDS[number // one_in % len(KINDS)] if bad else "ok"
        made.append((drawn(series, seed * 100_000 + number, design, kind), bad))
    return made


def learned(labelled: Parts, seed: int) -> torch.nn.Module:
    """Return the network after STEPS steps, however many parts there are."""
    epochs = round(STEPS / -(-len(labelled) // BATCH))
    return trained(
        [image for image, _ in labelled], [bad for _, bad in labelled], seed, epochs, balanced=True
    )


def rates(model: torch.nn.Module, asked: Parts) -> dict[str, float]:
    """Return the shares of parts that are answered rightly, of NG parts called OK, and of OK parts called NG."""
    said, bad = called_bad(model, [image for image, _ in asked]), np.array([bad for _, bad in asked])
    return {
        "accuracy": float((said == bad).mean()),
        "escapes": float((~said[bad]).mean()),
        "false alarms": float(said[~bad].mean()),
    }


def chosen(folder: Path, model: torch.nn.Module, pool: Parts) -> dict[str, list[int]]:
    """Export and audit with the commands; return the parts of the history to label, by each way."""
    bundle, history = folder / "part.gagrad", folder / "history"
    history.mkdir(parents=True, exist_ok=True)
    export(model, bundle, size=(SIDE, SIDE), mean=MEAN, std=STD, classes=("OK", "NG"))
    for number, (image, _) in enumerate(pool):
        cv2.imwrite(str(history / f"{number:05d}.png"), image[:, :, ::-1])
    audit = folder / "audit"
    if not (audit / "queue").exists():
        command("audit", str(bundle), str(history), "-o", str(audit), "--workers", "1")
        command("queue", str(audit), "-n", str(MORE))
    queue = json.loads((audit / "queue" / "queue.json").read_text("utf-8"))["images"]
    table = pq.read_table(audit / "shards", columns=["path", "margin"]).to_pydict()
    margins = sorted(zip(table["margin"], table["path"], strict=True))
    random = np.random.default_rng(int(folder.name.rpartition("-")[2]))
    return {
        "queue": [int(Path(one["path"]).stem) for one in queue],
        "margin": [int(Path(path).stem) for _, path in margins[:MORE]],
        "random": [int(one) for one in random.choice(POOL, MORE, replace=False)],
    }


def run(design: Design, seed: int) -> dict[str, dict[str, float]]:
    """Return the rates before, and after labelling each way's parts; ``NG`` counts the NG parts among them."""
    start, test = parts(_START, START, 3, design, seed), parts(_TEST, TEST, 3, design, seed)
    pool = parts(_POOL, POOL, RARE, design, seed)
    before = learned(start, seed)
    result = {"before": rates(before, test) | {"NG": 0.0}}
    for way, numbers in chosen(STORE / f"{design.name}-{seed}", before, pool).items():
        more = [pool[number] for number in numbers]
        after = learned(start + more, seed)
        result[way] = rates(after, test) | {"NG": float(sum(bad for _, bad in more))}
    return result


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Return the mean and its 95 % interval, by resampling the runs."""
    seen = np.array(values)
    picks = np.random.default_rng(0).integers(len(seen), size=(REPEATS, len(seen)))
    low, high = np.percentile(seen[picks].mean(1), (2.5, 97.5))
    return float(seen.mean()), float(low), float(high)


def page(results: dict[tuple[str, int], dict[str, dict[str, float]]]) -> str:
    """Return the tables: rates by design and way, and what the queue adds over the other ways, run by run."""

    def percent(rate: float) -> str:
        return f"{100 * rate:.1f} %"

    rows = []
    for name in dict.fromkeys(name for name, _ in results):
        runs = [one for (of, _), one in results.items() if of == name]
        for way in ("before", *WAYS):
            figures = [percent(float(np.mean([one[way][rate] for one in runs]))) for rate in RATES]
            rows.append([name, way, f"{np.mean([one[way]['NG'] for one in runs]):.0f}", *figures])
    differences = []
    for name in (*dict.fromkeys(name for name, _ in results), "all"):
        runs = [one for (of, _), one in results.items() if name in (of, "all")]
        for other in ("random", "margin"):
            gains = {rate: [one["queue"][rate] - one[other][rate] for one in runs] for rate in RATES}
            told = [
                "{:+.1f} ({:+.1f} to {:+.1f})".format(*(100 * x for x in interval(each)))
                for each in gains.values()
            ]
            better = sum(one > 0 for one in gains["accuracy"])
            differences.append([name, f"queue − {other}", *told, f"{better} of {len(runs)}"])
    return "\n\n".join(
        (
            markdown(["parts", "labels by", "NG among them", "accuracy", "escapes", "false alarms"], rows),
            markdown(
                [
                    "parts",
                    "",
                    "accuracy, points",
                    "escapes, points",
                    "false alarms, points",
                    "more accurate in",
                ],
                differences,
            ),
        )
    )


def main() -> None:
    """Run what is not done yet, and print the tables."""
    torch.set_num_threads(1)
    STORE.mkdir(exist_ok=True)
    results = {}
    for seed in [int(one) for one in sys.argv[1:]] or SEEDS:
        for name in NAMES:
            path = STORE / f"{name}-{seed}.json"
            if not path.exists():
                design = next(one for one in DESIGNS if one.name == name)
                path.write_text(json.dumps(run(design, seed)), encoding="utf-8")
            results[name, seed] = json.loads(path.read_text(encoding="utf-8"))
            print(name, seed, path.read_text(encoding="utf-8"), file=sys.stderr, flush=True)
    print(page(dict(sorted(results.items()))))


if __name__ == "__main__":
    main()
