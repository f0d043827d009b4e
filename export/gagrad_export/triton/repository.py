"""The model repository for Triton: four models, the last an ensemble of the others.

NAME.predict    image [N, C, H, W] → scores [N, K…]
NAME.target     scores → cotangent, target         (the predicted class)
NAME.saliency   image, cotangent → saliency [H, W] (for a target of the client's own)
NAME.explain    image → scores, target, saliency   (an ensemble: no scripting backend is needed)
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from gagrad_edge.abi import COTANGENT, IMAGE, SALIENCY, SCORES
from gagrad_edge.atomic import check_writable, make_folder
from gagrad_edge.errors import OutputError, SettingError
from gagrad_export.triton.config import TARGET, Tensor, ensemble_config, onnx_config
from gagrad_export.triton.graphs import saliency_graph, target_graph

if TYPE_CHECKING:
    from gagrad_edge.bundle.bundle import Bundle

MAX_SAMPLES = 64
"""Largest number of samples: all samples are one batch on the server, so memory grows with their number."""


def write_repository(bundle: Bundle, folder: str | Path, *, batch: int = 16, seed: int = 0) -> list[Path]:
    """Write the models of ``bundle`` into the repository ``folder`` and return their folders.

    ``batch`` is the largest batch of ``predict``. A model of the same name is replaced as a whole; other
    models in the folder are not touched. Raises SettingError for more samples than ``MAX_SAMPLES`` and
    OutputError.
    """
    samples = bundle.manifest.method.samples
    if samples > MAX_SAMPLES:
        raise SettingError(
            f"{samples} samples in one batch are more than a server should hold",
            where="samples",
            hint=f"export with `samples={MAX_SAMPLES}` or fewer",
        )
    folder = Path(folder)
    make_folder(folder)
    check_writable(folder)
    name = bundle.manifest.name
    image, scores = list(bundle.manifest.input.shape), list(bundle.manifest.output.shape)
    one, cotangent = Tensor(IMAGE, [1, *image]), Tensor(COTANGENT, [1, *scores])
    saliency, target = Tensor(SALIENCY, image[1:]), Tensor(TARGET, [1], "TYPE_INT64")
    row = Tensor(SCORES, [1, *scores])
    models: dict[str, tuple[str, bytes | None]] = {
        f"{name}.predict": (
            onnx_config(f"{name}.predict", [Tensor(IMAGE, image)], [Tensor(SCORES, scores)], batch),
            bundle.graph("predict"),
        ),
        f"{name}.target": (
            onnx_config(f"{name}.target", [row], [cotangent, target], 0),
            target_graph(bundle),
        ),
        f"{name}.saliency": (
            onnx_config(f"{name}.saliency", [one, cotangent], [saliency], 0),
            saliency_graph(bundle, samples, seed),
        ),
        f"{name}.explain": (ensemble_config(name, one, [row, target, saliency]), None),
    }
    return [_write(folder, model, *contents) for model, contents in models.items()]


def _write(folder: Path, name: str, config: str, graph: bytes | None) -> Path:
    """Put a model in place in one step: the server may be watching the folder."""
    place = folder / name
    try:
        with tempfile.TemporaryDirectory(prefix=".", dir=folder) as scratch:
            new = Path(scratch) / "new"
            (new / "1").mkdir(parents=True)
            (new / "config.pbtxt").write_text(config, encoding="utf-8")
            if graph is not None:
                (new / "1" / "model.onnx").write_bytes(graph)
            if place.exists():
                place.rename(Path(scratch) / "old")
            new.rename(place)
            shutil.rmtree(Path(scratch) / "old", ignore_errors=True)
    except OSError as error:
        raise OutputError(
            f"the model cannot be written ({error.strerror or error})",
            where=str(place),
            hint="make room or give another folder",
        ) from error
    return place
