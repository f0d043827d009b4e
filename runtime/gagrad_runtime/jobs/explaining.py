"""Explain many images in one go: report a bad one, go on with the rest, and say how it went."""

from __future__ import annotations

import glob
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from gagrad_edge import json_text
from gagrad_edge.atomic import check_writable, make_folder
from gagrad_edge.cli import message, say, say_json
from gagrad_edge.errors import FAILED, GagradError, InputError, ModelError, SettingError
from gagrad_edge.printable import printable
from gagrad_runtime.answer.choices import check_class
from gagrad_runtime.answer.reader import Wanted
from gagrad_runtime.explanation.comparing import disagreement
from gagrad_runtime.frame import frame_for
from gagrad_runtime.jobs.folders import with_images
from gagrad_runtime.jobs.indexing import Index, asked_of
from gagrad_runtime.jobs.progress import Progress
from gagrad_runtime.language import current, listed, marked, plural, shown, text
from gagrad_runtime.language.numbers import share_text
from gagrad_runtime.question.methods import METHODS
from gagrad_runtime.report.covering_words import Strength, strength
from gagrad_runtime.report.index_page import empty_row, error_row, explained_row
from gagrad_runtime.report.naming import distinct_stems
from gagrad_runtime.report.prediction_record import prediction_record
from gagrad_runtime.report.report import Report
from gagrad_runtime.report.roi import check_limit, read_roi
from gagrad_runtime.report.task_words import words_of
from gagrad_runtime.session.opening import load

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from gagrad_runtime.explanation.explanation import Explanation
    from gagrad_runtime.frame.frame import Frame
    from gagrad_runtime.report.index_page import Row
    from gagrad_runtime.report.roi import Roi
    from gagrad_runtime.session.explainer import Explainer


def explain_images(
    bundle: Path,
    images: Sequence[str],
    output: Path,
    *,
    raw: tuple[str, ...],
    full: bool = False,
    html: bool = False,
    recursive: bool = False,
    device: str,
    threads: int | None,
    trust: Path | None = None,
    as_json: bool,
    targets: Sequence[str] = (),
    each: bool = False,
    detections: bool = False,
    settings: dict[str, Any],
    roi: Path | None = None,
    roi_limit: float | None = None,
    roi_fail_exit: bool = False,
    good: Path | bool | None = None,
) -> int:
    """Explain ``images`` (paths, patterns or folders) into the folder ``output``; return the exit code.

    Each of ``targets`` gets an explanation of its own; with ``each`` each label, detection or class that the
    model says is there; else the model's answer is explained. ``detections`` says that the model has to be a
    detector. ``settings`` are further arguments of ``Explainer.explain``.
    ``roi`` is the file of a region of interest: each map's share inside is reported, and must reach
    ``roi_limit`` (0..1); with ``roi_fail_exit`` the exit code is 1 when a map failed and nothing worse
    happened. ``good`` is the file of good parts to compare with, by default the one beside the bundle; False
    for none.
    ``full`` asks for files at the frame's size, too; ``recursive`` for the images in the folders of folders.
    ``html`` asks for a page with all of them, and leaves out images that an earlier run with it explained.

    Errors that concern one image are reported and the next image follows; errors that concern the bundle,
    the settings, the device or the folder stop the run.
    """
    check_limit(roi_limit)
    settings = {name: value for name, value in settings.items() if value is not None}
    if each:
        _check_each(targets, settings)
    if roi is None and (roi_limit is not None or roi_fail_exit):
        where = "roi_fail_exit" if roi_limit is None else "roi_limit"
        raise SettingError("there is no region to judge by", where=where, hint="give its file as roi")
    if roi_fail_exit and roi_limit is None:
        raise SettingError(
            "without a limit nothing can fail", where="roi_fail_exit", hint="give a roi limit, e.g. 0.5"
        )
    compared = Compared(
        roi=None if roi is None else read_roi(roi),
        roi_limit=roi_limit,
    )
    make_folder(output)
    check_writable(output)
    with (
        Progress() as progress,
        load(bundle, device=device, threads=threads, trust=trust, good=good, progress=progress) as explainer,
    ):
        spec = explainer.manifest.output
        if detections and spec.detection is None:
            explainer.reader.refuse_others(Wanted(detection=1))
        against = settings.get("against")
        for where, name in (*(("target", one) for one in targets), ("against", against)):
            if name is not None:
                check_class(str(name), spec, where, in_region="region" in settings)
        paths = expand(with_images(images, explainer.manifest.input, recursive=recursive))
        index = None
        if html:
            asked = {
                **settings, "targets": list(targets), "each": each, "raw": raw, "full": full, "roi": roi,
                "roi_limit": roi_limit, "good": explainer.good_sha256, "bundle": explainer.bundle_sha256,
                "engine": explainer.backend.description,
                **({} if current() == "en" else {"language": current()}),
            }  # fmt: skip
            facts = (explainer.backend.description,)
            index = Index(output, explainer.manifest.name, asked_of(asked), facts)
        with index or nullcontext():
            stems = distinct_stems(paths)
            run = _Run(
                explainer, output, raw, full, tuple(targets), settings, as_json, stems, compared, index, each
            )
            for path in paths:
                run.one(path)
    return run.finish() or (FAILED if roi_fail_exit and run.failed else 0)


def _check_each(targets: Sequence[str], settings: dict[str, Any]) -> None:
    """Raise SettingError where all that is there is to be explained, and also something certain."""
    parts = ("against", "region", "detection", "box", "instance", "character")
    given = [*(["target"] if targets else []), *(name for name in parts if name in settings)]
    if given:
        raise SettingError(
            f"all that the model finds is explained, so none is chosen with `{given[0]}`",
            where="each",
            hint=f"leave out `each` or `{given[0]}`",
        )


@dataclass(frozen=True)
class Compared:
    """What each map is compared with: a region of interest; None for none."""

    roi: Roi | None
    roi_limit: float | None
    """Share of the map, 0..1, that must lie inside the region."""


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
    """One run over many images, and how it went so far."""

    explainer: Explainer
    output: Path
    raw: tuple[str, ...]
    full: bool
    targets: tuple[str, ...]
    settings: dict[str, Any]
    as_json: bool
    stems: dict[str, str]
    """The stem of the result files for each path, in the order of the run."""
    compared: Compared
    index: Index | None
    """The page of the run; None where nobody asked for one."""
    each: bool = False
    """Whether to explain everything that the model says is there."""
    _told: bool = False
    """Whether it was said that the colours are not compared with good parts."""
    failed: int = 0
    """Number of maps of which too little lies inside the region of interest."""
    _exit_code: int = 0
    _seen: int = 0
    _good: int = 0

    def one(self, path: str) -> None:
        """Explain one image, or report why not."""
        self._seen += 1
        roi, limit = self.compared.roi, self.compared.roi_limit
        try:
            frame = frame_for(self.explainer.manifest.input, path)
            if roi is not None:
                roi.on((frame.height, frame.width))  # before the work, not after it
            if self.index is not None:
                before = self.index.before(path, frame)
                if before is not None:
                    self._say_before(path, frame, before)
                    return
            several, count, rows = self.each or len(self.targets) > 1, 0, []
            for explanation in self._explanations(path, frame):
                report = Report(explanation, roi=roi, roi_limit=limit)
                self.failed += report.roi is not None and report.roi.passed is False
                files = report.save_as(
                    self.output, self.stems[path], raw=self.raw, full=self.full, with_target=several
                )
                self._say(path, report, files)
                count += 1
                if self.index is not None:
                    rows.append(explained_row(path, report, files))
            if not count:
                self._say_nothing(path, frame)
            if self.index is not None:
                self.index.done(path, frame, rows or [empty_row(path, frame)])
        except (InputError, ModelError) as error:
            self._report(path, error)
            return
        self._good += 1

    def _say_before(self, path: str, frame: Frame, rows: Sequence[Row]) -> None:
        """Count an image that an earlier run explained, and print its records where JSON is asked for."""
        self._good += 1
        self.failed += sum(row.region == "FAIL" for row in rows)
        records = [row.files["record"] for row in rows if "record" in row.files]
        if not records:
            self._say_nothing(path, frame)
        for record in records if self.as_json else ():
            say_json(msgspec.json.encode(msgspec.json.decode((self.output / record).read_bytes())))

    def _explanations(self, path: str, frame: Frame) -> Iterator[Explanation]:
        """Yield the explanations of one image, each with a progress bar of its own."""
        if self.each:
            with Progress(self._label(path)) as progress:
                for explanation in self.explainer.explain_each(frame, progress=progress, **self.settings):
                    progress.clear()
                    yield explanation
            return
        targets = self.targets or (None,)
        for number, target in enumerate(targets, 1):
            with Progress(self._label(path)) as progress:
                explanation = self.explainer.explain(frame, target, progress=progress, **self.settings)
            if (self._seen, number) == (len(self.stems), len(targets)):
                self.explainer.close()  # the picture of a large frame may take as much memory as the model
            yield explanation

    def _say_nothing(self, path: str, frame: Frame) -> None:
        """Say of an image that the model finds nothing on it, so that there is nothing to explain."""
        if self.as_json:  # as `predict` says it
            said = self.explainer.predict(frame)
            say_json(json_text.encode(prediction_record(said, frame)))
        say(text("{path}: nothing found, so no picture", path=path), err=True)

    def _say(self, path: str, report: Report, files: dict[str, Path]) -> None:
        if self.as_json:
            say_json(json_text.encode(report.record(files)))
        say(_line(path, report, files["picture"]), err=True)
        self._say_uncompared(report)
        for caution in report.explanation.cautions:
            say(f"  ! {shown(caution.text)}", err=True)

    def _say_uncompared(self, report: Report) -> None:
        """Say once that good parts are known, and that their maps were made for another question."""
        reference = self.explainer.reference
        known = None if reference is None else reference.scale
        if self._told or known is None or report.scale is not None:
            return
        self._told = True
        said = text("the colours are not compared with good parts")
        reason = None if report.explanation.target.region else disagreement(known, report.explanation)
        if reason is not None and reason[0] == "good_image":
            said = text("{said}: this part does not look or lie as they do", said=said)
        elif reason is not None:
            field, theirs, ours = reason
            said = text(
                "{said}: those were calibrated for {field} {theirs}, and this is for {ours}",
                said=said,
                field=field.replace("_", " "),
                theirs=theirs,
                ours=ours,
            )
        say(f"  {said}", err=True)

    def finish(self) -> int:
        """Say how it went, and return the exit code."""
        if len(self.stems) > 1 or self._good < len(self.stems):
            values: dict[str, object] = {
                "good": self._good, "all": len(self.stems), "folder": f"{self.output}/"
            }  # fmt: skip
            said = text("{good} of {all} explained, in {folder}", **values)
            if self.failed:
                said = text(
                    "{good} of {all} explained, {failed} FAIL, in {folder}", **values, failed=self.failed
                )
            say(said, err=True)
        if self.index is not None:
            if self.index.kept:
                kept = plural(
                    "{count} was explained before with the same bundle and settings, and kept",
                    "{count} were explained before with the same bundle and settings, and kept",
                    self.index.kept,
                )
                say(kept, err=True)
            say(text("page: {path}", path=self.index.page), err=True)
        return self._exit_code

    def _report(self, path: str, error: GagradError) -> None:
        # A model at fault (4) outweighs a bad image (3).
        self._exit_code = max(self._exit_code, error.exit_code)
        say_error(path, error)
        if self.index is not None:
            self.index.failed(path, error_row(path, error))
        if self.as_json:
            say_json(json_text.encode(error_record(path, error)))

    def _label(self, path: str) -> str:
        name = Path(path).name
        return f"[{self._seen}/{len(self.stems)}] {name}" if len(self.stems) > 1 else name


def say_error(path: str, error: GagradError) -> None:
    """Print to stderr the error of one image of many."""
    click.secho("Error: ", fg="red", bold=True, nl=False, err=True)
    said = message(error)
    if printable(path) not in said:
        said = f"{printable(path)}: {said}"
    say(*said.split("\n"), err=True)


def error_record(path: str, error: GagradError) -> dict[str, object]:
    """Return the object that stands among lines of JSON for an image with an error."""
    details = {"what": error.what, "where": error.where, "hint": error.hint, "choices": error.choices}
    return {"file": path, "error": {"exit_code": error.exit_code, **details}}


def _line(path: str, report: Report, picture: Path) -> str:
    """Return the line for people about one explained image."""
    explanation, roi = report.explanation, report.roi
    figures = [words_of(explanation).line()]
    if explanation.rcap is not None:
        figures.append(f"RCAP {explanation.rcap.score:.2f}")
    if explanation.place_stability is not None:
        figures.append(text("place 1 steady {share}", share=share_text(explanation.place_stability)))
    elif explanation.stability is not None:
        figures.append(text("stability {stability}", stability=f"{explanation.stability:.2f}"))
    evidence = strength(explanation)
    if evidence is not None:
        figures.append(text(_EVIDENCE[evidence]))
    if roi is not None:
        outcome = {None: [], True: [text("PASS")], False: [text("FAIL")]}[roi.passed]
        figures[:0] = [*outcome, text("{share} in the region", share=share_text(roi.share))]
    if METHODS[explanation.provenance.method].samples_at == "noisy":
        figures.append(text(_SAMPLES[explanation.provenance.stopped], count=explanation.samples))
    figures.append(text("{seconds} s", seconds=f"{sum(explanation.seconds.values()):.2f}"))
    return f"{path}: {shown(listed(figures))} → {picture}"


_EVIDENCE: dict[Strength, str] = {
    "strong": marked("strong evidence"),
    "weak": marked("weak evidence"),
    "none": marked("no evidence"),
}
_SAMPLES = {
    "samples": marked("{count} samples"),
    "stable": marked("{count} samples (stable)"),
    "budget": marked("{count} samples (time was up)"),
}
"""The number of samples, and why there were not more."""
