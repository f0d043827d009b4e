"""The demo: from model files to pictures, on parts whose defects are known."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import click
import cv2
import numpy as np
from PIL import Image

from gagrad_edge.atomic import make_folder
from gagrad_edge.cli import group, say
from gagrad_edge.errors import MissingPackageError
from gagrad_runtime.jobs.progress import Progress
from gagrad_runtime.language import listed, marked, shown, text
from gagrad_runtime.language.numbers import share_text
from gagrad_runtime.report.task_words import words_of
from gagrad_runtime.session.opening import load

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gagrad_runtime.explanation.explanation import Explanation

INPUT = ("--size", "224", "224", "--mean", "0.5", "0.5", "0.5", "--std", "0.25", "0.25", "0.25")
"""How all of the demo's models were trained; see ``examples/defects/``."""

MARGIN = 6
"""Model pixels by which a defect's mask is widened: a model looks at a scratch's edges, not inside it."""


@dataclass(frozen=True)
class Demo:
    """One network of the demo and what it is shown on; files and folders lie in ``gagrad_edge/demo``."""

    name: str
    """Name of the bundle and of the folder with the results."""
    title: str
    model: str
    frames: str
    """Folder of the pictures; a picture's name says which defects are on it."""
    truths: str
    """Folder with ``STEM.png``: where the defects are, 0 or 1, or each pixel's line of labels.txt."""
    classes: str | None = None
    """File of the class names."""
    options: tuple[str, ...] = ()
    """What ``export`` is told beside the input and the classes."""


DEMOS = (
    Demo("classifier", "defect classifier", "defects.onnx", "samples", "masks", classes="labels.txt"),
    Demo("detector", "defect detector", "detector.onnx", "several", "truths", classes="detector.txt"),
    Demo("segmenter", "defect segmenter", "segmenter.onnx", "several", "truths", classes="segmenter.txt"),
    Demo("anomaly", "anomaly scorer", "anomaly.onnx", "samples", "masks"),
)
"""In the order in which they are shown."""
TITLES = (
    marked("defect classifier"),
    marked("defect detector"),
    marked("defect segmenter"),
    marked("anomaly scorer"),
)
"""Titles of the demos."""


def run_demo(output: Path, *, device: str, threads: int | None, demos: Sequence[Demo] = DEMOS) -> int:
    """Export the built-in models to ``output`` and explain their pictures there; return the exit code.

    Raises MissingPackageError when the exporter is not installed.
    """
    make_folder(output)
    with resources.as_file(resources.files("gagrad_edge") / "demo") as data:
        for number, demo in enumerate(demos, start=1):
            bundle = output / f"{demo.name}.gagrad"
            say(
                text(
                    "{number}. Compiling the {network} into {bundle}",
                    number=number,
                    network=text(demo.title),
                    bundle=bundle,
                ),
                err=True,
            )
            compile_demo(demo, data, bundle)
            frames = sorted((data / demo.frames).iterdir())
            say(text("   Explaining {count} parts", count=len(frames)), err=True)
            make_folder(output / demo.name)
            with (
                Progress() as progress,
                load(bundle, device=device, threads=threads, progress=progress) as explainer,
            ):
                for frame in frames:
                    explanation = explainer.explain(frame)
                    files = explanation.save(output / demo.name, stem=frame.stem, replace=True)
                    mask = truth(demo, data, frame.stem, _kind(explanation))
                    say(_line(explanation, mask, files["picture"]), err=True)
    pictures, program = f"{output.resolve()}/*/*.explained.png", Path(sys.executable).parent / "gagrad-edge"
    say(text("{number}. Open the pictures: {files}", number=len(demos) + 1, files=pictures), err=True)
    say(
        text("{number}. Go on with the README: {program} --help", number=len(demos) + 2, program=program),
        err=True,
    )
    return 0


def truth(demo: Demo, data: Path, stem: str, kind: str | None) -> NDArray[np.bool_] | None:
    """Return where the defects of the class ``kind`` are, ``[H, W]``; None for a part without any defect.

    All defects are meant where the truth does not tell their classes, and where ``kind`` is none of them.
    """
    path = data / demo.truths / f"{stem}.png"
    if not path.is_file():
        return None
    with Image.open(path) as picture:
        classes = np.asarray(picture)
    names = (data / "labels.txt").read_text(encoding="utf-8").split()
    mask = classes > 0
    if classes.dtype != bool and kind in names[1:]:  # the first is no defect
        mask = classes == names.index(kind)
    return mask


def mass_inside(saliency: NDArray[np.float32], mask: NDArray[np.bool_]) -> float:
    """Return the share of the mass of ``saliency [H, W]`` that lies where ``mask [H, W]`` is true."""
    return float(saliency[mask].sum() / saliency.sum())


def widened(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return ``mask [H, W]`` grown by MARGIN on all sides."""
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * MARGIN + 1, 2 * MARGIN + 1))
    return cv2.dilate(mask.astype(np.uint8), kernel).astype(bool)


def compile_demo(demo: Demo, data: Path, bundle: Path) -> None:
    """Compile the network of ``demo`` into ``bundle``. Raises MissingPackageError without the exporter.

    It runs the ``export`` command by its name: this side does not import the exporter.
    """
    context = click.Context(group)
    command = group.get_command(context, "export")
    if command is None:
        raise MissingPackageError(
            "the exporter is not installed", hint='pip install "gagrad-edge[cpu,export]"'
        )
    classes = () if demo.classes is None else ("--classes", str(data / demo.classes))
    command.main(
        args=[str(data / demo.model), "-o", str(bundle), *INPUT, *classes, *demo.options],
        prog_name="gagrad-edge export",
        standalone_mode=False,
    )


def _kind(explanation: Explanation) -> str | None:
    """Return the class that is explained, whichever detection or region of it; None for a score."""
    return explanation.classes[explanation.target.index[0]] if explanation.classes else None


def _line(explanation: Explanation, mask: NDArray[np.bool_] | None, picture: Path) -> str:
    figures = [words_of(explanation).line()]
    if explanation.rcap is not None:
        figures.append(f"RCAP {explanation.rcap.score:.2f}")
    if mask is None:
        figures.append(text("no defect"))
    elif not mask.any():
        figures.append(text("no such defect on this part"))
    else:
        size = explanation.saliency.shape
        shrunk = cv2.resize(mask.astype(np.float32), (size[1], size[0]), interpolation=cv2.INTER_AREA)
        inside = widened(shrunk > 0.5)
        share, area = mass_inside(explanation.saliency, inside), float(inside.mean())
        figures.append(
            text(
                "{share} of the map on the defect ({area} % of the image: {times}×)",
                share=share_text(share),
                area=f"{area * 100:.1f}",
                times=f"{share / area:.0f}",
            )
        )
    return f"   {explanation.frame.name}: {shown(listed(figures))} → {picture}"
