"""Explain many images in one go: report a bad one, go on with the rest, and say how it went."""

from __future__ import annotations

import glob
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from gagrad_edge.atomic import check_writable, make_folder
from gagrad_edge.cli import message
from gagrad_edge.errors import GagradError, InputError, ModelError, SettingError
from gagrad_runtime.frame import load_frame
from gagrad_runtime.jobs.progress import Progress
from gagrad_runtime.question.methods import METHODS
from gagrad_runtime.report.record import encode, record
from gagrad_runtime.report.report import safe_stem
from gagrad_runtime.report.roi import check_limit, judge, read_roi
from gagrad_runtime.report.scale import read_scale
from gagrad_runtime.session.opening import load

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gagrad_runtime.explanation.explanation import Explanation
    from gagrad_runtime.report.roi import Roi
    from gagrad_runtime.report.scale import GoodScale
    from gagrad_runtime.session.explainer import Explainer

FAILED = 1
"""Exit code when a map failed its region of interest and the caller asked to be told so."""


def explain_images(
    bundle: Path,
    images: Sequence[str],
    output: Path,
    *,
    raw: tuple[str, ...],
    device: str,
    threads: int | None,
    trust: Path | None = None,
    as_json: bool,
    targets: Sequence[str] = (),
    settings: dict[str, Any],
    roi: Path | None = None,
    roi_limit: float | None = None,
    roi_fail_exit: bool = False,
    scale: Path | None = None,
) -> int:
    """Explain ``images`` (paths or patterns) into the folder ``output``; return the exit code.

    Each of ``targets`` gets an explanation of its own; none means what the model says. Of each map it is told
    how much keeps to the region of interest in the file ``roi``, and whether that is ``roi_limit``; with
    ``roi_fail_exit`` the exit code is 1 when one failed and nothing worse happened. The file ``scale`` fixes
    the colours by good parts.

    Errors that concern one image are reported and the next image follows; errors that concern the bundle,
    the settings, the device or the folder stop the run.
    """
    check_limit(roi_limit)
    region = None if roi is None else read_roi(roi)
    good_scale = None if scale is None else read_scale(scale)
    if region is None and (roi_limit is not None or roi_fail_exit):
        option = "--roi-fail-exit" if roi_limit is None else "--roi-limit"
        raise SettingError("there is no region to judge by", where=option, hint="give one with --roi FILE")
    if roi_fail_exit and roi_limit is None:
        raise SettingError(
            "without a limit nothing can fail", where="--roi-fail-exit", hint="give one, e.g. --roi-limit 0.5"
        )
    paths = expand(images)
    make_folder(output)
    check_writable(output)
    with (
        Progress() as progress,
        load(bundle, device=device, threads=threads, trust=trust, progress=progress) as explainer,
    ):
        run = _Run(explainer, output, raw, tuple(targets), settings, as_json, total=len(paths))
        run.roi, run.roi_limit = region, roi_limit
        run.scale = good_scale
        for path in paths:
            run.one(path)
    return run.finish() or (FAILED if roi_fail_exit and run.failed else 0)


def expand(images: Iterable[str]) -> list[str]:
    """Return the paths that ``images`` name, patterns expanded and sorted, each path once, in order.

    A name that exists is taken literally, also when it holds ``*`` or ``[``. A pattern without a match
    stays, so that it is reported like a missing file.
    """
    found: dict[str, None] = {}
    for image in images:
        matches = [image]
        if glob.has_magic(image) and not Path(image).exists():
            # Path.glob refuses absolute patterns.
            matches = sorted(glob.glob(image, recursive=True)) or [image]  # noqa: PTH207
        found.update(dict.fromkeys(matches))
    return list(found)


@dataclass
class _Run:
    """The state of one run over many images."""

    explainer: Explainer
    output: Path
    raw: tuple[str, ...]
    targets: tuple[str, ...]
    settings: dict[str, Any]
    as_json: bool
    total: int
    roi: Roi | None = None
    roi_limit: float | None = None
    scale: GoodScale | None = None
    failed: int = 0
    """Maps that did not keep to the region."""
    _stems: set[str] = field(default_factory=set)
    _exit_code: int = 0
    _seen: int = 0
    _good: int = 0

    def one(self, path: str) -> None:
        """Explain one image, or report why not."""
        self._seen += 1
        try:
            frame = load_frame(path)
            if self.roi is not None:
                self.roi.on((frame.height, frame.width))  # before the work, not after it
            stem = self._stem(path)
            for target in self.targets or (None,):
                with Progress(self._label(path)) as progress:
                    explanation = self.explainer.explain(frame, target, progress=progress, **self.settings)
                if self.roi is not None:
                    verdict = judge(explanation, self.roi, self.roi_limit)
                    explanation = replace(explanation, roi=verdict)
                    self.failed += verdict.passed is False
                if self.scale is not None:
                    self.scale.check(explanation, self.settings.get("baseline"))
                    explanation = replace(explanation, good_scale=self.scale)
                named = stem if len(self.targets) < 2 else f"{stem}.{safe_stem(str(explanation.target))}"
                self._say(path, explanation, explanation.save(self.output, stem=named, raw=self.raw))
        except (InputError, ModelError) as error:
            self._report(path, error)
            return
        self._good += 1

    def _say(self, path: str, explanation: Explanation, files: dict[str, Path]) -> None:
        if self.as_json:
            click.echo(encode(record(explanation, files), pretty=False), nl=False)
        click.echo(_line(path, explanation, files["picture"]), err=True)
        for caution in explanation.cautions:
            click.echo(f"  ! {caution.text}", err=True)

    def finish(self) -> int:
        """Say how it went, and return the exit code."""
        if self.total > 1 or self._good < self.total:
            failed = f", {self.failed} FAIL" if self.failed else ""
            click.echo(f"{self._good} of {self.total} explained{failed}, in {self.output}/", err=True)
        return self._exit_code

    def _report(self, path: str, error: GagradError) -> None:
        # A model at fault (4) outweighs a bad image (3).
        self._exit_code = max(self._exit_code, error.exit_code)
        say_error(path, error)
        if self.as_json:
            details = {"what": error.what, "where": error.where, "hint": error.hint, "choices": error.choices}
            failure = {"file": path, "error": {"exit_code": error.exit_code, **details}}
            click.echo(msgspec.json.encode(failure))

    def _label(self, path: str) -> str:
        name = Path(path).name
        return f"[{self._seen}/{self.total}] {name}" if self.total > 1 else name

    def _stem(self, path: str) -> str:
        """Return a name for the results that no other image of this run has: part, part-2, part-3."""
        stem = safe_stem(Path(path).name, ending=True)
        candidate, number = stem, 1
        while candidate in self._stems:
            number += 1
            candidate = f"{stem}-{number}"
        self._stems.add(candidate)
        return candidate


def say_error(path: str, error: GagradError) -> None:
    """Tell people what is wrong with one image of many."""
    click.secho("Error: ", fg="red", bold=True, nl=False, err=True)
    said = message(error)
    click.echo(said if path in said else f"{path}: {said}", err=True)


def _line(path: str, explanation: Explanation, picture: Path) -> str:
    """Return the line for people about one explained image."""
    chance = explanation.probability
    named = "" if explanation.classes else "class "
    said = f"{named}{explanation.target}" + ("" if chance is None else f" {chance:.1%}")
    figures = [said, f"RCAP {explanation.rcap.score:.2f}"]
    if explanation.stability is not None:
        figures.append(f"stability {explanation.stability:.2f}")
    if explanation.roi is not None:
        verdict = {None: "", True: "PASS, ", False: "FAIL, "}[explanation.roi.passed]
        figures.insert(0, f"{verdict}{explanation.roi.share:.0%} in the region")
    if METHODS[explanation.provenance.method].copies == "noisy":
        why = {"samples": "", "stable": " (stable)", "budget": " (time was up)"}[
            explanation.provenance.stopped
        ]
        figures.append(f"{explanation.samples} samples{why}")
    figures.append(f"{sum(explanation.seconds.values()):.2f} s")
    return f"{path}: {', '.join(figures)} → {picture}"
