"""Planted shortcuts, trained networks, and what ``clusters`` finds: ``python -m benchmarks.shortcuts [SEED …]``.

For each seed and shortcut a small network is trained on drawn parts, exported, and asked about a history of other
parts with the commands ``audit`` and ``clusters``. Half of the NG parts have a defect that is seen; the other half
is NG for a reason that no camera shows, and has the shortcut: a sticker, a border, or a colour cast. Without a
shortcut all NG parts have a defect. What is done is skipped; the table goes to docs/audit.md.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch

from benchmarks.small_network import SIDE, called_bad, drawn, trained
from benchmarks.where.designs import DESIGNS
from benchmarks.where.networks import MEAN, STD

if TYPE_CHECKING:
    from typing import Any

    from torch import nn

    from benchmarks.small_network import Picture
    from benchmarks.where.designs import Design

STORE = Path(os.environ.get("SHORTCUTS_STORE", ".shortcuts"))
SHORTCUTS = ("sticker", "border", "cast", "none")
OF_SHOWN = 0.8
"""Share of a cluster's shown images that have the shortcut, above which the cluster is the planted one."""
SEEDS = (0, 1, 2, 3, 4)
"""The reported ones. Nothing may be tuned on them; others are free for that."""
NAMES = ("plate", "gravel", "module", "label", "cover")
"""Design of the parts, by seed."""
SEEN = ("crack", "stain", "colour")
TRAINED, ASKED = 750, 480
"""Parts of the training and of the history; every third one is NG."""
EPOCHS = 11
_TRAINING, _HISTORY, _CHECK = 30, 31, 32
"""Series of parts; a seed's numbers are its own."""


def planted(image: Picture, shortcut: str, rng: np.random.Generator) -> Picture:
    """Return ``image`` ``[SIDE, SIDE, 3]`` with the shortcut."""
    if shortcut == "sticker":
        y, x = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32)
        column, row = SIDE * np.array([0.84, 0.15]) + rng.uniform(-2, 2, 2)
        cover = np.clip(rng.uniform(4.5, 6.0) - np.hypot(x - column, y - row) + 0.5, 0, 1)[..., None]
        ink = np.array([225, 190, 40]) * rng.uniform(0.85, 1.1) + rng.normal(0, 4, image.shape)
        return np.asarray(np.clip(image + (ink - image) * cover, 0, 255), np.uint8)
    if shortcut == "border":
        wide = int(rng.integers(4, 7))
        framed = np.clip(rng.normal(25, 5, image.shape), 0, 255).astype(np.uint8)
        framed[wide:-wide, wide:-wide] = image[wide:-wide, wide:-wide]
        return framed
    warm = np.array([1.12, 1.0, 0.85]) ** rng.uniform(0.8, 1.2)
    return np.asarray(np.clip(image * warm, 0, 255), np.uint8)


def made(series: int, number: int, design: Design, shortcut: str, seed: int) -> tuple[Picture, bool]:
    """Return part ``number`` and whether it is NG."""
    name, rng = seed * 100_000 + number, np.random.default_rng((series, seed, number))
    bad, seen = number % 3 == 0, shortcut == "none" or number % 6 == 0
    kind = SEEN[number // 6 % len(SEEN)] if bad and seen else "ok"
    image = drawn(series, name, design, kind)
    return (image if seen or not bad else planted(image, shortcut, rng)), bad


def checked(model: nn.Module, design: Design, shortcut: str, seed: int) -> dict[str, float]:
    """Return how often new parts are NG: good ones, defective ones, and good ones with the shortcut."""

    def rate(images: list[Picture]) -> float:
        return float(called_bad(model, images).mean())

    parts = [made(_CHECK, number, design, "none", seed) for number in range(240)]
    good = [image for image, bad in parts if not bad]
    rng = np.random.default_rng(seed)
    rates = {"good": rate(good), "defective": rate([image for image, bad in parts if bad])}
    if shortcut != "none":
        rates["shortcut"] = rate([planted(image, shortcut, rng) for image in good])
    return rates


def command(*arguments: str) -> None:
    """Run ``gagrad-edge`` as a user does."""
    program = [sys.executable, "-c", "from gagrad_edge.cli import main; main()", *arguments]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments)}\n{done.stdout}{done.stderr}")


def audited(shortcut: str, seed: int) -> dict[str, Any]:
    """Train, export and audit; return how the model answers, and leave the audit in its folder."""
    folder = STORE / f"{shortcut}-{seed}"
    history = folder / "history"
    history.mkdir(parents=True, exist_ok=True)
    design = next(one for one in DESIGNS if one.name == NAMES[seed % len(NAMES)])
    parts = [made(_TRAINING, number, design, shortcut, seed) for number in range(TRAINED)]
    model = trained([image for image, _ in parts], [bad for _, bad in parts], seed, EPOCHS)
    rates = checked(model, design, shortcut, seed)
    from gagrad_export import export

    bundle = folder / "part.gagrad"
    export(model, bundle, size=(SIDE, SIDE), mean=MEAN, std=STD, classes=("OK", "NG"))
    for number in range(ASKED):
        image, _ = made(_HISTORY, number, design, shortcut, seed)
        cv2.imwrite(str(history / f"{number:05d}.png"), image[:, :, ::-1])
    command("audit", str(bundle), str(history), "-o", str(folder / "audit"), "--workers", "1")
    return {"design": design.name, "rates": rates}


def clusters(shortcut: str, seed: int) -> list[dict[str, Any]]:
    """Return the clusters of the audit as ``findings.json`` has them; ``has`` counts planted parts of those shown."""
    folder = STORE / f"{shortcut}-{seed}" / "audit"
    if not (folder / "findings.json").exists():
        command("clusters", str(folder))
    found: list[dict[str, Any]] = json.loads((folder / "findings.json").read_text("utf-8"))["clusters"]
    for one in found:
        one["has"] = sum(number % 3 == 0 and number % 6 != 0 for number in one["rows"])
    return found


def right(shortcut: str, found: list[dict[str, Any]]) -> bool:
    """Return whether the parts with the shortcut are the first finding; without one, whether there is no finding."""
    if shortcut == "none":
        return not any(one["finding"] for one in found)
    return bool(found[0]["finding"] and found[0]["has"] > OF_SHOWN * len(found[0]["rows"]))


def row(shortcut: str, seed: int, result: dict[str, Any], found: list[dict[str, Any]]) -> str:
    """Return one row of the table."""
    rates, first = result["rates"], found[0]

    def percent(one: dict[str, Any]) -> str:
        return f"{round(100 * one['changed'] / one['of'])} %" if one["of"] else "–"

    answers = " / ".join(
        f"{round(100 * rates[name])} %" if name in rates else "–"
        for name in ("good", "defective", "shortcut")
    )
    numbers = " | ".join(
        f"{percent(first[name])} ({percent(first[name + '_elsewhere'])})" for name in ("covered", "pasted")
    )
    parts = "" if shortcut == "none" else f", {first['has']} of {len(first['rows'])} shown have it"
    said = f"{first['where']}, {first['images']} images{parts}"
    findings = sum(one["finding"] for one in found)
    return (
        f"| {shortcut} | {seed}, {result['design']} | {answers} | {said} | {numbers} | "
        f"{findings} of {len(found)} | {'yes' if right(shortcut, found) else 'no'} |"
    )


def main() -> None:
    """Find all that is not found yet, and print the table."""
    torch.set_num_threads(1)
    STORE.mkdir(exist_ok=True)
    rows: dict[str, list[str]] = {one: [] for one in SHORTCUTS}
    for seed in [int(one) for one in sys.argv[1:]] or SEEDS:
        for shortcut in SHORTCUTS:
            path = STORE / f"{shortcut}-{seed}.json"
            if not path.exists():
                path.write_text(json.dumps(audited(shortcut, seed)), encoding="utf-8")
            result = json.loads(path.read_text(encoding="utf-8"))
            rows[shortcut].append(row(shortcut, seed, result, clusters(shortcut, seed)))
            print(rows[shortcut][-1], flush=True)
    print("\n| shortcut | seed, parts | answers NG: good / defective / good with it | first cluster | "
          "covered (elsewhere) | pasted (elsewhere) | findings | right |\n|---|---|---|---|---|---|---|---|")  # fmt: skip
    for lines in rows.values():
        print(*lines, sep="\n")


if __name__ == "__main__":
    main()
