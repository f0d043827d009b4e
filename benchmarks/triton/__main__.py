"""Run Triton's own server over a repository that the exporter writes: python -m benchmarks.triton FOLDER.

FOLDER is ``pytriton/tritonserver`` of an installed nvidia-pytriton (``make triton-check`` installs it). The demo's
classifier is exported with ``--triton``; the server must take all four models as they are configured, and answer with
the scores of ``predict`` and the map of ``explain``. Exit code 1 where it does not.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.triton.server import Server
from gagrad_edge.bundle.bundle import read_bundle
from gagrad_edge.cli import run
from gagrad_runtime.backend import open_backend
from gagrad_runtime.frame.image import prepare
from gagrad_runtime.session.explainer import Explainer
from gagrad_runtime.session.selftest import reference_frame

DEMO = Path(__file__).parent.parent.parent / "gagrad_edge" / "demo"
NAME = "defects"


def main() -> int:
    """Export, start, ask, compare."""
    triton = Path(sys.argv[1]).absolute()
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        repository, path = scratch / "models", scratch / f"{NAME}.gagrad"
        options = [
            "--size",
            "224",
            "224",
            "--mean",
            "0.5",
            "--std",
            "0.25",
            "--classes",
            str(DEMO / "labels.txt"),
        ]
        if run(
            ["export", str(DEMO / "defects.onnx"), "-o", str(path), *options, "--triton", str(repository)]
        ):
            return 1
        return compare(triton, repository, path, scratch)


def compare(triton: Path, repository: Path, path: Path, scratch: Path) -> int:
    """Print each check with its figure; return 1 where one fails."""
    bundle = read_bundle(path)
    frame = reference_frame(bundle)
    image, _ = prepare(frame, bundle.manifest.input)
    three = np.concatenate([image, image[..., ::-1], 1 - image])
    method = bundle.manifest.method
    with Explainer(bundle, open_backend("cpu")) as explainer:
        # The server takes all samples in one batch.
        known = explainer.explain(frame, preset="paper", samples=method.samples, chunk=method.samples)
        scores = explainer.scores(three)
    with Server(triton, repository, scratch) as server:
        version = server.get("/v2")["version"]
        configured = {kind: server.get(f"/v2/models/{NAME}.{kind}/config") for kind in KINDS}
        explained = server.infer(f"{NAME}.explain", image=image)
        predicted = server.infer(f"{NAME}.predict", image=three)
    index = int(np.ravel(known.target.index)[0])
    found = {
        "the server is ready with the models as configured": all(
            configured[kind]["name"] == f"{NAME}.{kind}" for kind in KINDS
        ),
        "scores of a batch of three": float(np.abs(predicted["scores"] - scores).max()) < 1e-4,
        "scores of the ensemble": float(np.abs(explained["scores"][0] - known.scores).max()) < 1e-4,
        "target of the ensemble": int(explained["target"][0]) == index,
        "map of the ensemble": float((np.abs(explained["saliency"] - known.saliency) < 1e-3).mean()) >= 0.995,
    }
    print(f"Triton's server {version}:")
    for check, passed in found.items():
        print(f"{'passed' if passed else 'FAILED'}  {check}")
    return 0 if all(found.values()) else 1


KINDS = ("predict", "target", "saliency", "explain")


if __name__ == "__main__":
    sys.exit(main())
