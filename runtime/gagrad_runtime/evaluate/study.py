"""A study: every image explained and measured with every method, and the report."""

from __future__ import annotations

import hashlib
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gagrad_edge.atomic import check_writable, make_folder
from gagrad_edge.errors import FrameError, InputError, ModelError, SettingError
from gagrad_runtime.evaluate.curves import STEPS
from gagrad_runtime.evaluate.journal import Entry, Journal, key_of
from gagrad_runtime.evaluate.measuring import Bench, Variant, check_randomized, mask_of
from gagrad_runtime.evaluate.page import write_results
from gagrad_runtime.evaluate.thumbnail import frame_thumbnail
from gagrad_runtime.frame import frame_for
from gagrad_runtime.jobs.explaining import expand
from gagrad_runtime.jobs.folders import with_images
from gagrad_runtime.question.methods import method_of
from gagrad_runtime.question.presets import OPERATOR_PRESET, PRESETS, SAMPLES
from gagrad_runtime.session.opening import open_session

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from gagrad_edge.bundle.bundle import Bundle
    from gagrad_edge.errors import GagradError
    from gagrad_runtime.frame.frame import Frame

JOURNAL = "results.jsonl"


@dataclass(frozen=True)
class StudyResult:
    """What a study measured, and where its report is."""

    page: Path
    """``report.html``."""
    images: int
    """Images that were measured."""
    total: int
    """Images that were given."""
    methods: int
    exit_code: int
    """0, or that of the worst image that was left out."""


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
    progress: Callable[[int, int, str], None] = lambda *_: None,
    on_error: Callable[[str, GagradError], None] = lambda *_: None,
) -> StudyResult:
    """Measure ``methods`` (names with commas) on ``images`` and write the report to the folder ``output``.

    Results of an earlier run with the same images, bundle and settings are kept. ``progress`` is called with
    (measurements done, all measurements, label), and while an engine is built; ``on_error`` with the path and
    the error of each image that is left out. Raises FrameError when no image is left, and every error that
    concerns more than one image.
    """
    variants = _variants(methods)
    if masks is not None and not masks.is_dir():
        raise SettingError(f"there is no folder {masks}", where="masks", hint="name the folder of masks")
    make_folder(output)
    check_writable(output)
    opening: dict[str, Any] = {"threads": threads, "trust": trust, "prove": "never", "progress": progress}
    with ExitStack() as stack:
        session = stack.enter_context(open_session(bundle, device, **opening))
        paths = expand(with_images(images, session.bundle.manifest.input))
        other = None
        if randomized is not None:
            other = stack.enter_context(open_session(randomized, device, **opening))
            check_randomized(session.explainer, other.explainer)
        shuffled = None if other is None else other.bundle
        study = _Study(
            bench=Bench(session.explainer, None if other is None else other.explainer, target, settings),
            journal=stack.enter_context(Journal(output / JOURNAL)),
            fixed=_fixed(session.bundle, shuffled, target, settings, mask_margin),
            masks=masks,
            margin=mask_margin,
            measurements=len(paths) * len(variants),
            progress=progress,
            on_error=on_error,
        )
        names = _names(paths)
        for path in paths:
            study.image(path, names[path], variants)
    if not study.entries:
        raise FrameError(
            "none of the images could be explained, so there is nothing to report", where=str(output)
        )
    name = session.bundle.manifest.name
    page = write_results(output, name, study.entries, study.frames, study.facts(len(paths)))
    return StudyResult(page, len(study.frames), len(paths), len(variants), study.exit_code)


@dataclass
class _Study:
    """The state of one study."""

    bench: Bench
    journal: Journal
    fixed: dict[str, Any]
    """Parts of the key that all results share."""
    masks: Path | None
    margin: float
    measurements: int
    """Images times methods."""
    progress: Callable[[int, int, str], None]
    on_error: Callable[[str, GagradError], None]
    entries: list[Entry] = field(default_factory=list)
    frames: dict[str, bytes] = field(default_factory=dict)
    """Thumbnails by image name, JPEG."""
    with_mask: int = 0
    kept: int = 0
    """Results of an earlier run."""
    exit_code: int = 0
    _done: int = 0

    def image(self, path: str, name: str, variants: list[Variant]) -> None:
        """Measure one image with every method, or report why not."""
        try:
            frame = frame_for(self.bench.explainer.manifest.input, path)
            mask = (
                None
                if self.masks is None
                else mask_of(frame, self.masks / f"{Path(path).stem}.png", self.margin)
            )
            found = [self._entry(frame, name, mask, variant) for variant in variants]
        except (InputError, ModelError) as error:
            self.on_error(path, error)
            self.exit_code = max(self.exit_code, error.exit_code)
            return
        self.entries += found
        self.frames[name] = frame_thumbnail(frame, mask)
        self.with_mask += mask is not None

    def _entry(self, frame: Frame, name: str, mask: NDArray[np.bool_] | None, variant: Variant) -> Entry:
        self.progress(self._done, self.measurements, f"{name} {variant.name}")
        self._done += 1
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
        """Return the conditions of the measurement, in words, for the report."""
        manifest = self.bench.explainer.manifest
        asked = self.bench.settings["samples"]
        fewer = "" if asked else f", {SAMPLES} for the preset {OPERATOR_PRESET}"
        widened = [f"defects widened by {self.margin:g} pixels"] if self.margin else []
        averaged = f"{asked or manifest.method.samples} samples for methods that average over noise{fewer}"
        return [
            f"bundle {manifest.name}, {self.fixed['bundle'][:12]}",
            f"{len(self.frames)} of {total} images, {self.with_mask} with a known defect",
            *widened,
            f"{averaged}, seed {self.bench.settings['seed']}",
            f"insertion and deletion in {STEPS} steps",
            self.bench.explainer.backend.description,
        ]


def _variants(methods: str) -> list[Variant]:
    variants = [Variant(name.strip()) for name in methods.split(",") if name.strip()]
    for variant in variants:
        if variant.name in PRESETS:
            continue
        method = method_of(variant.settings["method"])
        if variant.settings["guide"] and method.map != "guided":
            raise SettingError(f"{method.name} has no guide", where="methods", hint=f"write {method.name}")
    if not variants:
        raise SettingError("no method is named", where="methods", hint="for example smoothgrad,vargrad")
    return list(dict.fromkeys(variants))


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
        "samples": settings["samples"] or [bundle.manifest.method.samples, SAMPLES],
        "seed": settings["seed"],
        "margin": margin,
        "steps": STEPS,
    }


def _digest(pixels: NDArray[Any]) -> str:
    head = f"{pixels.shape} {pixels.dtype}".encode()
    return hashlib.sha256(head + pixels.tobytes()).hexdigest()
