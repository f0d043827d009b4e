"""Exports one file as a user does, explains a frame, and writes what happened and the question that was asked.

    python -m benchmarks.models.measure FOLDER HEIGHT WIDTH CHANNELS
    python -m benchmarks.models.measure --segments FOLDER
    python -m benchmarks.models.measure --double FOLDER

Runs in the project's own environment and knows nothing of who made the file: ``FOLDER/model.onnx``. Writes
``result.json``, the picture, and ``question.npz``: noisy model inputs, the target's cotangent, and the mean gradients
that the bundle's graph has for them. ``benchmarks.models.autograd`` answers it with the producer's own module; where it
cannot, ``--segments`` compares the same target with the change of its score along segments. Where float32 is off,
``--double`` runs the bundle's graph in float64, which tells a wrong derivative from rounding at a kink.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx

import gagrad_export
import gagrad_runtime
from gagrad_edge import abi
from gagrad_edge.bundle.bundle import Bundle, read_bundle
from gagrad_edge.errors import GagradError
from gagrad_edge.manifest import GraphKey, GraphRole
from gagrad_edge.method.noise import noise_chunks
from gagrad_export.verify.double import in_double
from gagrad_export.verify.gradient import NOISE_STD, Point, against_segments, model_input
from gagrad_export.verify.sessions import Sessions, accumulate_inputs
from gagrad_runtime.report.caption import write_caption
from gagrad_runtime.report.lettering import lettering
from tests.export.networks import tensorrt_refuses

ROLES: tuple[GraphRole, ...] = ("predict", "accumulate", "finalize", "recover")
BATCHES = (1, 1, 2)
"""Rows of the batches whose mean gradient is compared; the last shows that rows are not mixed."""
TENSORRT_ROWS = 5
KINKED = {
    "Abs",
    "Clip",
    "HardSigmoid",
    "HardSwish",
    "LeakyRelu",
    "Max",
    "MaxPool",
    "Min",
    "PRelu",
    "ReduceMax",
    "Relu",
    "TopK",
}
"""Operators whose derivative jumps."""


def main() -> None:
    """Measure one file."""
    folder = Path(sys.argv[1])
    height, width, channels = map(int, sys.argv[2:5])
    result: dict[str, Any] = {}

    def keep(**more: Any) -> None:
        """Add to the result and write it, so that what is done is kept when the next step ends the process."""
        result.update(more)
        (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")

    stage = "export"
    try:
        began = time.perf_counter()
        bundle_path = folder / "model.gagrad"
        report = gagrad_export.export(folder / "model.onnx", bundle_path, size=(height, width))
        manifest = report.manifest
        keep(
            seconds=time.perf_counter() - began,
            size=report.size / report.model_size,
            task=manifest.output.task,
            notes=manifest.model.notes,
        )
        stage = "explain"
        bundle = read_bundle(bundle_path)
        question = _explained(folder, bundle_path, _frame(height, width, channels), keep)
        keep(kinks=sorted(KINKED & set(manifest.model.operators)))
        stage = "gradient"
        sessions = Sessions({GraphKey(role): bundle.graph_file(role) for role in ROLES})
        _ask(folder, sessions, bundle, question)
        stage = "TensorRT"
        keep(tensorrt=_tensorrt(bundle))
    except GagradError as error:
        keep(
            refused={"stage": stage, "why": error.what, "where": error.where or "", "hint": error.hint or ""}
        )


def _frame(height: int, width: int, channels: int) -> np.ndarray[Any, Any]:
    """Return a frame of the model's size: soft blobs and fine grain, uint8 ``[H, W]`` or ``[H, W, C]``."""
    rng = np.random.default_rng(3)
    rows, columns = np.linspace(0, 5, height), np.linspace(0, 5, width)
    grid = rng.random((7, 7, channels))
    top, left = rows.astype(int), columns.astype(int)
    down, right = (rows - top)[:, None, None], (columns - left)[None, :, None]
    upper = grid[top][:, left] * (1 - right) + grid[top][:, left + 1] * right
    lower = grid[top + 1][:, left] * (1 - right) + grid[top + 1][:, left + 1] * right
    soft = upper * (1 - down) + lower * down
    frame = np.clip(soft + rng.normal(0, 0.05, soft.shape), 0, 1) * 255
    return frame.astype(np.uint8)[..., 0] if channels == 1 else frame.astype(np.uint8)


def _explained(folder: Path, bundle_path: Path, frame: Any, keep: Any) -> dict[str, Any]:
    """Explain ``frame`` without any option, save the picture, and return image, scores and cotangent."""
    with gagrad_runtime.load(bundle_path, device="cpu") as explainer:
        uploads: list[Any] = []
        upload = explainer.backend.upload

        def recorded(array: Any) -> Any:
            uploads.append(np.array(array))
            return upload(array)

        explainer.backend.upload = recorded  # type: ignore[method-assign]
        explanation = explainer.explain(frame)
    shape = (1, *explanation.scores.shape)
    # Explainer hands the engine the image, then the noise's deviation and, behind it, the cotangent.
    after = next(i for i, array in enumerate(uploads) if array.ndim == 0)
    cotangent = next(array for array in uploads[after:] if array.shape == shape)
    caption = write_caption(explanation, lettering())
    keep(title=caption.title, answer=caption.answer, cautions=[c.code for c in explanation.cautions])
    explanation.save(folder)
    return {"image": uploads[0], "cotangent": cotangent}


def _ask(folder: Path, sessions: Sessions, bundle: Bundle, question: dict[str, Any]) -> None:
    """Write the question: inputs, the bundle's gradients for them, and what tells where the explained value is."""
    spec = bundle.manifest.input
    image, cotangent = question["image"], question["cotangent"].astype(np.float32)
    x = model_input(image, spec)
    inputs: list[Any] = []
    gradients: list[Any] = []
    for seed, rows in enumerate(BATCHES):
        noise = next(iter(noise_chunks(seed, rows, rows, image.shape[1:])))
        state, _ = sessions.accumulate(image, noise, NOISE_STD, cotangent)
        inputs.append(x + noise * (np.float32(NOISE_STD) * (x.max() - x.min())))
        gradients.append(state.mean)
    frames = np.concatenate([image, image[..., ::-1], image[:, :, ::-1] * np.float32(0.8)])
    np.savez(
        folder / "question.npz",
        inputs=np.concatenate(inputs),
        gradients=np.stack(gradients),
        batches=np.array(BATCHES),
        frames=model_input(frames, spec),
        scores=np.concatenate([sessions.predict(frame[None]) for frame in frames]),
        cotangent=cotangent,
        image=image,
    )


def segments(folder: Path) -> None:
    """Write ``segments.json``: the error of the question's target along segments, which needs no source."""
    bundle = read_bundle(folder / "model.gagrad")
    spec = bundle.manifest.input
    question = np.load(folder / "question.npz")
    sessions = Sessions({GraphKey(role): bundle.graph_file(role) for role in ROLES})
    operators = {node.op_type for node in onnx.load_from_string(bundle.graph("predict")).graph.node}
    image = question["image"]
    point = Point(image, model_input(image, spec), question["cotangent"])
    found = against_segments(sessions, point, spec, operators=operators)
    answer = {"error": found.median, "tolerance": found.tolerance, "passed": bool(found.passed)}
    (folder / "segments.json").write_text(json.dumps(answer), encoding="utf-8")


def double(folder: Path) -> None:
    """Write ``double.json``: the error of the bundle's graph, run in float64 on the question's first sample."""
    bundle, question = read_bundle(folder / "model.gagrad"), np.load(folder / "question.npz")
    image = question["image"]
    noise = next(iter(noise_chunks(0, 1, 1, image.shape[1:])))
    gradient = in_double(bundle.graph_file("accumulate"), abi.STATE_OUT[abi.MEAN])
    found = gradient(accumulate_inputs(image, noise, NOISE_STD, question["cotangent"].astype(np.float32)))
    expected = np.load(folder / "autograd.npy")
    error = float(np.linalg.norm(found - expected) / np.linalg.norm(expected))
    (folder / "double.json").write_text(json.dumps({"error": error}), encoding="utf-8")


def _tensorrt(bundle: Bundle) -> str:
    refused = {role: tensorrt_refuses(bundle.graph(role), batch=TENSORRT_ROWS) for role in ROLES}
    refused = {role: why for role, why in refused.items() if why}
    return "all" if not refused else "; ".join(f"not {role}: {why[:160]}" for role, why in refused.items())


if __name__ == "__main__":
    if sys.argv[1] in ("--segments", "--double"):
        {"--segments": segments, "--double": double}[sys.argv[1]](Path(sys.argv[2]))
    else:
        main()
