"""Print what the model says of many images; a bad image is reported, and the rest goes on."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from gagrad_edge import json_text
from gagrad_edge.atomic import check_writable, make_folder, write_atomic
from gagrad_edge.cli import say, say_json
from gagrad_edge.errors import InputError, ModelError
from gagrad_runtime.frame import frame_for
from gagrad_runtime.frame.placement import place
from gagrad_runtime.jobs.explaining import error_record, expand, say_error
from gagrad_runtime.jobs.progress import Progress
from gagrad_runtime.language import listed, phrase, plural, shown, text
from gagrad_runtime.language.numbers import percent
from gagrad_runtime.report.naming import distinct_stems
from gagrad_runtime.report.prediction_picture import prediction_picture
from gagrad_runtime.report.prediction_record import prediction_record
from gagrad_runtime.report.report import encode_png
from gagrad_runtime.session.opening import load

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from gagrad_runtime.answer.prediction import Prediction


def predict_images(
    bundle: Path,
    images: Sequence[str],
    output: Path | None = None,
    *,
    good: Path | bool | None = None,
    device: str,
    threads: int | None,
    trust: Path | None = None,
    as_json: bool,
) -> int:
    """Print what the model says of ``images`` (paths or patterns); return the exit code.

    With the folder ``output`` each image has its picture there, ``NAME.predicted.png``. ``good`` is the file
    of good parts, whose threshold an anomaly scorer without one takes; False for none.

    Errors that concern one image are reported and the next image follows; errors that concern the bundle or
    the device stop the run.
    """
    paths = expand(images)
    stems = distinct_stems(paths)
    if output is not None:
        make_folder(output)
        check_writable(output)
    exit_code = usable = 0
    with (
        Progress() as progress,
        load(bundle, device=device, threads=threads, trust=trust, good=good, progress=progress) as explainer,
    ):
        for path in paths:
            try:
                frame = frame_for(explainer.manifest.input, path)
                said = explainer.predict(frame)
            except (InputError, ModelError) as error:
                exit_code = max(exit_code, error.exit_code)  # a model at fault (4) outweighs a bad image (3)
                say_error(path, error)
                if as_json:
                    say_json(json_text.encode(error_record(path, error)))
                continue
            usable += 1
            if output is not None:
                placement = place((frame.height, frame.width), explainer.manifest.input)
                picture = prediction_picture(said, frame, placement, explainer.manifest.name)
                write_new(output, stems[path], encode_png(picture))
            if as_json:
                record = prediction_record(said, frame)
                say_json(json_text.encode(record))
            else:
                say(*lines_of(path, said))
    if usable < len(paths):
        say(
            plural(
                "{usable} of {count} image could be used",
                "{usable} of {count} images could be used",
                len(paths),
                usable=usable,
            ),
            err=True,
        )
    return exit_code


def write_new(folder: Path, stem: str, data: bytes) -> Path:
    """Write ``data`` to a file of its own in ``folder``, and return its path. Raises OutputError.

    The picture of another image is never replaced: a number tells the two apart.
    """
    for number in itertools.count(1):
        path = folder / f"{stem}{f'-{number}' if number > 1 else ''}.predicted.png"
        if not path.exists() or path.read_bytes() == data:
            break
    write_atomic(path, [data])
    return path


def lines_of(path: str, said: Prediction) -> list[str]:
    """Return the lines for people about one image: the answer, and each detection with its box."""
    lines = [f"{path}: {shown(said.answer)}"]
    if said.task == "classification" and (behind := said.likeliest(3)[1:]):
        others = [
            phrase("{name} {measure}", name=said.called(name), measure=percent(chance))
            for name, chance in behind
        ]
        lines[0] += text("  (then {others})", others=listed(others))
    for number, one in enumerate(said.detections, start=1):
        box = ", ".join(f"{value:.0f}" for value in one.box)
        name, chance = shown(said.called(one.name)), shown(percent(one.score))
        lines.append(f"  {number:3}  {name:20} {chance:>12}  {box}")
    return lines
