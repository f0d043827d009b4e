"""Gradients of whole networks at 224² against autograd in float64, beside autograd's own float32 error.

python -m benchmarks.gradients        (about three minutes; writes docs/gradients.md)
"""

from __future__ import annotations

import copy
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.table import machine, markdown, publish
from gagrad_edge.bundle.bundle import read_bundle
from gagrad_edge.manifest import GraphKey
from gagrad_edge.method.noise import noise_chunks
from gagrad_export import export
from gagrad_export.verify.sessions import Sessions
from tests.export.networks import TORCH_MODELS, network
from tests.export.test_networks import MEAN, ROLES, STD, autograd, relative

GOLDEN = Path(__file__).parent.parent / "tests" / "golden"
SIZE, DRAWS, NOISE_STD = (224, 224), 6, 0.15
INTRODUCTION = """# Gradients against autograd

The exported `accumulate` graph in ONNX Runtime (`ours`) and PyTorch's autograd in float32, both compared with PyTorch's
autograd in float64. The figure is the relative error of the mean gradient of a batch, ‖g − g₆₄‖₂ / ‖g₆₄‖₂, over {draws} batches
of noisy samples of a photograph (the coffee cup of the golden vectors, 224²). EfficientNet-Lite0 has its
ImageNet weights, the other networks have random weights.

Where an activation lies within rounding of a ReLU's kink, two float32 programs may take different sides, and
a whole path of the gradient changes. That is not an error of a rule: PyTorch in float32 shows the same against PyTorch in
float64. So the table shows both errors, and in how many batches the error of the exported graph is ≤ 1e-4, that is, no
activation took another side than in float64.

Reproduce: `python -m benchmarks.gradients`. {machine}

"""


def main() -> None:
    """Measure and publish."""
    with np.load(GOLDEN / "lite0_coffee.npz") as vectors:
        image = np.ascontiguousarray(vectors["image"].transpose(2, 0, 1)[None]).astype(np.float32) / 255
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name in TORCH_MODELS:
            rows += _rows(name, image, Path(folder))
    header = (
        "network",
        "batch",
        "ours: smallest",
        "median",
        "largest",
        "PyTorch float32: median",
        "largest",
        "≤ 1e-4",
    )
    text = INTRODUCTION.format(draws=DRAWS, machine=machine("torch", "onnxruntime"))
    publish("gradients", text + markdown(header, rows))


def _rows(name: str, image: np.ndarray, folder: Path) -> list[tuple[object, ...]]:
    module = network(name)
    export(module, folder / f"{name}.gagrad", size=SIZE, mean=MEAN, std=STD)
    bundle = read_bundle(folder / f"{name}.gagrad")
    sessions = Sessions({GraphKey(role): bundle.graph_file(role) for role in ROLES})
    double = copy.deepcopy(module).double()
    mean, std = (np.asarray(values, np.float32).reshape(1, 3, 1, 1) for values in (MEAN, STD))
    x = (image - mean) / std
    cotangent = np.zeros((1, 1000), np.float32)
    cotangent[0, 504] = 1  # coffee mug
    rows: list[tuple[object, ...]] = []
    for batch in (1, 8):
        ours, theirs = [], []
        for noise in noise_chunks(0, batch * DRAWS, batch, (3, *SIZE)):
            samples = x + noise * (np.float32(NOISE_STD) * (x.max() - x.min()))
            expected = autograd(double, samples.astype(np.float64), cotangent).mean(0)
            state, _ = sessions.accumulate(image, noise, NOISE_STD, cotangent)
            ours.append(relative(state.mean, expected))
            theirs.append(relative(autograd(module, samples, cotangent).mean(0), expected))
        good = sum(error <= 1e-4 for error in ours)
        figures = (min(ours), np.median(ours), max(ours), np.median(theirs), max(theirs))
        rows.append((name, batch, *(f"{value:.1e}" for value in figures), f"{good} of {DRAWS}"))
    return rows


if __name__ == "__main__":
    main()
