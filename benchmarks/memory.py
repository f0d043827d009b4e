"""Peak memory of one chunk: ``accumulate`` through the runtime against PyTorch's autograd, each in its own process.

    python -m benchmarks.memory ours ACCUMULATE.onnx BATCH | pytorch NETWORK BATCH

Prints the growth of the process in megabytes, from the loaded graph to the peak of three runs.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from benchmarks.child import Peak, answer, in_child

RUNS = 3


def compare(name: str, accumulate: Path, batch: int, *, in_torch: bool) -> tuple[float, float | None]:
    """Return the growth in megabytes of our chunk, and of PyTorch's batch; None if torch does not have the network."""
    ours = in_child("benchmarks.memory", "ours", accumulate, batch)
    return ours, in_child("benchmarks.memory", "pytorch", name, batch) if in_torch else None


def _ours(path: Path, batch: int) -> float:
    from gagrad_edge.bundle.graph_file import GraphFile
    from gagrad_runtime.backend import open_backend

    backend = open_backend("cpu")
    runner = backend.open("accumulate", GraphFile(path.read_bytes()))
    rng = np.random.default_rng(0)
    inputs = {}
    for name, port in runner.inputs.items():
        shape = [batch if dim is None else dim for dim in port.shape]
        inputs[name] = backend.upload(np.asarray(rng.uniform(0, 1, shape), np.float32))
    peak = Peak()
    for _ in range(RUNS):
        runner.run(inputs)
    return peak.growth()


def _pytorch(name: str, batch: int) -> float:
    from benchmarks.networks import MAKERS, SIZE
    from benchmarks.peers import eager_batch

    # Frozen weights: autograd then keeps less for its backward pass.
    module = MAKERS[name]().requires_grad_(False)
    run = eager_batch(module, 1)
    samples = np.random.default_rng(0).standard_normal((batch, 3, *SIZE)).astype(np.float32)
    peak = Peak()
    for _ in range(RUNS):
        run(samples)
    return peak.growth()


if __name__ == "__main__":
    side, subject, count = sys.argv[1:]
    answer(_ours(Path(subject), int(count)) if side == "ours" else _pytorch(subject, int(count)))
