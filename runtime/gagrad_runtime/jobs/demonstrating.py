"""The demo: from a model file to pictures, on six parts whose defects are known."""

from __future__ import annotations

import sys
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import cv2
import numpy as np

from gagrad_edge.atomic import make_folder
from gagrad_edge.cli import group
from gagrad_edge.errors import MissingPackageError
from gagrad_runtime.frame import load_frame
from gagrad_runtime.jobs.progress import Progress
from gagrad_runtime.question.probability import percent, share_text
from gagrad_runtime.session.opening import load

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gagrad_runtime.explanation.explanation import Explanation

NORMALISATION = {"--size": ["224", "224"], "--mean": ["0.5", "0.5", "0.5"], "--std": ["0.25", "0.25", "0.25"]}
"""How the demo model was trained; see ``examples/defects/``."""

MARGIN = 6
"""Model pixels by which a defect's mask is widened: a model looks at a scratch's edges, not inside it."""


def run_demo(output: Path, *, device: str, threads: int | None) -> int:
    """Export the built-in model to ``output`` and explain its samples there; return the exit code.

    Raises MissingPackageError when the exporter is not installed.
    """
    make_folder(output)
    bundle = output / "defects.gagrad"
    with resources.as_file(resources.files("gagrad_edge") / "demo") as data:
        click.echo(f"1. Compiling the defect classifier into {bundle}", err=True)
        _export(data / "defects.onnx", data / "labels.txt", bundle)
        click.echo("2. Explaining six parts", err=True)
        with (
            Progress() as progress,
            load(bundle, device=device, threads=threads, progress=progress) as explainer,
        ):
            for sample in sorted((data / "samples").iterdir()):
                explanation = explainer.explain(sample)
                files = explanation.save(output, stem=sample.stem, replace=True)
                mask = data / "masks" / f"{sample.stem}.png"
                click.echo(_line(explanation, mask if mask.is_file() else None, files["picture"]), err=True)
    click.echo(f"3. Open the pictures: {output.resolve()}/*.explained.png", err=True)
    click.echo(f"4. Go on with the README: {Path(sys.executable).parent / 'gagrad-edge'} --help", err=True)
    return 0


def mass_inside(saliency: NDArray[np.float32], mask: NDArray[np.bool_]) -> float:
    """Return the share of the mass of ``saliency [H, W]`` that lies where ``mask [H, W]`` is true."""
    return float(saliency[mask].sum() / saliency.sum())


def widened(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return ``mask [H, W]`` grown by MARGIN on all sides."""
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * MARGIN + 1, 2 * MARGIN + 1))
    return cv2.dilate(mask.astype(np.uint8), kernel).astype(bool)


def _export(model: Path, labels: Path, bundle: Path) -> None:
    """Run the ``export`` command by its name: this side does not import the exporter."""
    context = click.Context(group)
    command = group.get_command(context, "export")
    if command is None:
        raise MissingPackageError(
            "the exporter is not installed", hint='pip install "gagrad-edge[cpu,export]"'
        )
    options: list[str] = [word for name, values in NORMALISATION.items() for word in (name, *values)]
    command.main(
        args=[str(model), "-o", str(bundle), "--classes", str(labels), *options],
        prog_name="gagrad-edge export",
        standalone_mode=False,
    )


def _line(explanation: Explanation, mask_path: Path | None, picture: Path) -> str:
    said = f"   {explanation.frame.name}: {explanation.target.name}"
    if explanation.probability is not None:
        said += f" {percent(explanation.probability)}"
    said += f", RCAP {explanation.rcap.score:.2f}"
    if mask_path is not None:
        mask = _mask_at(mask_path, explanation.saliency.shape)
        share, area = mass_inside(explanation.saliency, mask), float(mask.mean())
        size = f"{area * 100:.1f} % of the image: {share / area:.0f}×"
        said += f", {share_text(share)} of the map on the defect ({size})"
    else:
        said += ", no defect"
    return f"{said} → {picture}"


def _mask_at(path: Path, size: tuple[Any, ...]) -> NDArray[np.bool_]:
    """Return a defect's mask at the map's size, widened by the margin."""
    pixels = load_frame(path).pixels.astype(np.float32)
    return widened(cv2.resize(pixels, (size[1], size[0]), interpolation=cv2.INTER_AREA) > 127)
