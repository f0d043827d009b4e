"""A study: images × methods, kept as it goes, and the report at the end."""

from __future__ import annotations

import hashlib
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gagrad_edge.atomic import check_writable, make_folder
from gagrad_edge.errors import FrameError, InputError, ModelError, SettingError
from gagrad_runtime.evaluate.curves import STEPS
from gagrad_runtime.evaluate.journal import Entry, Journal, key_of
from gagrad_runtime.evaluate.measuring import Bench, Variant, check_randomized, mask_of
from gagrad_runtime.evaluate.page import write_results
from gagrad_runtime.evaluate.thumbnail import frame_thumbnail
from gagrad_runtime.frame import load_frame
from gagrad_runtime.jobs.explaining import expand, say_error
from gagrad_runtime.question.methods import method_of
from gagrad_runtime.session.opening import open_plainly
from gagrad_runtime.trust import admit

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from gagrad_edge.bundle.bundle import Bundle
    from gagrad_runtime.frame.frame import Frame

JOURNAL = "results.jsonl"
ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")


def evaluate_images(
    bundle: Path,
    images: Sequence[str],
    output: Path,
    *,
    methods: str,
    masks: Path | None,
    mask_margin: float,
    randomized: Path | None,
    target: str | None,
    settings: dict[str, Any],
    device: str,
    threads: int | None,
    trust: Path | None = None,
) -> int:
    """Measure ``methods`` (names with commas) on ``images`` and write the report to ``output``.

    What an earlier run has measured, of the same images with the same bundle and settings, is kept. A bad
    image is reported and left out. Returns the exit code: 0, else that of the worst image. Raises FrameError
    when no image is left, and whatever concerns more than one image.
    """
    variants = _variants(methods)
    if masks is not None and not masks.is_dir():
        raise SettingError(
            "there is no such folder", where=f"--masks {masks}", hint="name the folder of masks"
        )
    paths = expand(_inside(images))
    make_folder(output)
    check_writable(output)
    admission = admit(bundle, trust)
    other = None if randomized is None else admit(randomized, trust)
    shuffled = None if other is None else other.bundle
    with ExitStack() as stack:
        explainer = stack.enter_context(open_plainly(admission, device, threads=threads))
        second = None
        if other is not None:
            second = stack.enter_context(open_plainly(other, device, threads=threads))
            check_randomized(explainer, second)
        journal = stack.enter_context(Journal(output / JOURNAL))
        study = _Study(
            bench=Bench(explainer, second, target, settings),
            journal=journal,
            fixed=_fixed(admission.bundle, shuffled, target, settings, mask_margin),
            masks=masks,
            margin=mask_margin,
            bar=_Bar(len(paths) * len(variants)),
        )
        names = _names(paths)
        for path in paths:
            study.image(path, names[path], variants)
        study.bar.clear()
    if not study.entries:
        raise FrameError(
            "none of the images could be explained, so there is nothing to report", where=str(output)
        )
    name = admission.bundle.manifest.name
    files = write_results(output, name, study.entries, study.frames, study.facts(len(paths)))
    click.echo(f"{len(study.frames)} of {len(paths)} images, {len(variants)} methods → {files}", err=True)
    return study.exit_code


@dataclass
class _Study:
    bench: Bench
    journal: Journal
    fixed: dict[str, Any]
    """What the keys of all results depend on."""
    masks: Path | None
    margin: float
    bar: _Bar
    entries: list[Entry] = field(default_factory=list)
    frames: dict[str, bytes] = field(default_factory=dict)
    """Small pictures by image name."""
    with_mask: int = 0
    kept: int = 0
    exit_code: int = 0

    def image(self, path: str, name: str, variants: list[Variant]) -> None:
        """Measure one image with every method, or report why not."""
        try:
            frame = load_frame(path)
            mask = (
                None
                if self.masks is None
                else mask_of(frame, self.masks / f"{Path(path).stem}.png", self.margin)
            )
            found = [self._entry(frame, name, mask, variant) for variant in variants]
        except (InputError, ModelError) as error:
            self.bar.clear()
            say_error(path, error)
            self.exit_code = max(self.exit_code, error.exit_code)
            return
        self.entries += found
        self.frames[name] = frame_thumbnail(frame, mask)
        self.with_mask += mask is not None

    def _entry(self, frame: Frame, name: str, mask: NDArray[np.bool_] | None, variant: Variant) -> Entry:
        self.bar.show(f"{name} {variant.name}")
        key = key_of(
            image=name,
            frame=_digest(frame.pixels),
            mask=None if mask is None else _digest(mask),
            method=variant.name,
            **self.fixed,
        )
        if key in self.journal.entries:
            self.kept += 1
            return self.journal.entries[key]
        row, picture = self.bench.measure(frame, name, mask, variant)
        entry = Entry(key=key, row=row, picture=picture)
        self.journal.add(entry)
        return entry

    def facts(self, total: int) -> list[str]:
        """Return how the figures came about, for the report."""
        manifest = self.bench.explainer.manifest
        samples = self.bench.settings["samples"] or manifest.method.samples
        facts = [
            f"bundle {manifest.name}, {self.fixed['bundle'][:12]}",
            f"{len(self.frames)} of {total} images, {self.with_mask} with a known defect",
            f"{samples} samples for methods that take noisy copies, seed {self.bench.settings['seed']}",
            f"insertion and deletion in {STEPS} steps",
            self.bench.explainer.backend.description,
        ]
        if self.margin:
            facts.insert(2, f"defects widened by {self.margin:g} pixels")
        return facts


class _Bar:
    """A bar on a terminal, nothing elsewhere."""

    def __init__(self, total: int) -> None:
        self._done, self._total = 0, total
        self._shown = sys.stderr.isatty()

    def show(self, label: str) -> None:
        """Say that ``label`` is being measured."""
        if self._shown:
            filled = round(20 * self._done / self._total)
            bar = "█" * filled + "░" * (20 - filled)
            click.echo(f"\r\x1b[2K{bar} {self._done}/{self._total}  {label}", nl=False, err=True)
        self._done += 1

    def clear(self) -> None:
        """Empty the line for a message."""
        if self._shown:
            click.echo("\r\x1b[2K", nl=False, err=True)


def _variants(methods: str) -> list[Variant]:
    variants = [Variant(name.strip()) for name in methods.split(",") if name.strip()]
    for variant in variants:
        method = method_of(variant.settings["method"])
        if variant.settings["guide"] and method.map != "guided":
            raise SettingError(f"{method.name} has no guide", where="--methods", hint=f"write {method.name}")
    if not variants:
        raise SettingError("no method is named", where="--methods", hint="e.g. --methods smoothgrad,vargrad")
    return list(dict.fromkeys(variants))


def _inside(images: Sequence[str]) -> list[str]:
    """Return ``images`` with folders replaced by the image files in them, sorted."""
    found: list[str] = []
    for image in images:
        folder = Path(image)
        if folder.is_dir():
            files = sorted(path for path in folder.iterdir() if path.suffix.lower() in ENDINGS)
            found += map(str, files) if files else [image]
        else:
            found.append(image)
    return found


def _names(paths: list[str]) -> dict[str, str]:
    """Return a short name for each path: its file's name, or the whole path where two are the same."""
    short = [Path(path).name for path in paths]
    return {
        path: (name if short.count(name) == 1 else path).encode("utf-8", "replace").decode()
        for path, name in zip(paths, short, strict=True)
    }


def _fixed(
    bundle: Bundle, randomized: Bundle | None, target: str | None, settings: dict[str, Any], margin: float
) -> dict[str, Any]:
    return {
        "bundle": bundle.sha256,
        "randomized": None if randomized is None else randomized.sha256,
        "target": target,
        "samples": settings["samples"] or bundle.manifest.method.samples,
        "seed": settings["seed"],
        "margin": margin,
        "steps": STEPS,
    }


def _digest(pixels: NDArray[Any]) -> str:
    head = f"{pixels.shape} {pixels.dtype}".encode()
    return hashlib.sha256(head + pixels.tobytes()).hexdigest()
