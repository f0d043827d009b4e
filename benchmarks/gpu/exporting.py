"""Job: export a network in all forms, and explain one frame on the CPU, which the devices are compared with."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.gpu.explaining import explain, frame_of
from benchmarks.gpu.models import module_of
from gagrad_edge.bundle.bundle import read_bundle
from gagrad_export import BundleOptions, export
from gagrad_runtime.backend import open_backend
from gagrad_runtime.session.explainer import Explainer

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.gpu.machine import Machine


def run(machine: Machine, folder: Path, network: str, samples: str) -> dict[str, Any]:
    """Write ``NETWORK.gagrad`` and ``NETWORK.npy``, the CPU's map, into ``folder``."""
    path = folder / f"{network}.gagrad"
    options = BundleOptions(targets=["tensorrt"], precisions=["float16"])
    began = time.perf_counter()
    export(module_of(network), path, size=machine.size, mean=[0.5], std=[0.25], bundle=options)
    seconds = time.perf_counter() - began
    with Explainer(read_bundle(path), open_backend("cpu")) as explainer:
        explanation = explain(explainer, frame_of(machine), None, int(samples))
    np.save(folder / f"{network}.npy", explanation.saliency)
    return {
        "seconds": seconds,
        "bytes": path.stat().st_size,
        "target": int(np.ravel(explanation.target.index)[0]),
    }
