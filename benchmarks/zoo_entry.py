"""Measures one network of the coverage table: ``python -m benchmarks.zoo_entry NAME RESULT``."""

from __future__ import annotations

import copy
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from gagrad_edge.manifest import GraphKey
from gagrad_edge.method.noise import noise_chunks
from gagrad_export.assemble import accumulate_graph, finalize_graph, predict_graph, recover_graph
from gagrad_export.canonicalise import canonicalise
from gagrad_export.load.torch_module import load_torch_module
from gagrad_export.settings import input_spec
from gagrad_export.verify.frame import frame_image, reference_frame
from gagrad_export.verify.sessions import Sessions
from tests.export.networks import tensorrt_refuses
from tests.export.test_networks import autograd, relative

if TYPE_CHECKING:
    from gagrad_edge.bundle.graph_file import GraphFile

MEAN, STD, NOISE_STD, DRAWS = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), 0.15, 3


def main() -> None:
    """Measure one network and write the result as JSON."""
    name, path = sys.argv[1], Path(sys.argv[2])
    import timm

    torch.manual_seed(0)
    module = timm.create_model(name, pretrained=False).eval()
    module.requires_grad_(requires_grad=False)
    _waken(module)
    shape = tuple(timm.data.resolve_model_data_config(module)["input_size"])
    source = load_torch_module(module, name=name, input_shape=shape)
    began = time.perf_counter()
    canonical = canonicalise(source.model, size=shape[1:])
    spec = input_spec(canonical, mean=MEAN, std=STD)
    accumulate, _ = accumulate_graph(canonical, spec)
    seconds = time.perf_counter() - began
    graphs = {
        GraphKey("predict"): predict_graph(canonical, spec),
        GraphKey("accumulate"): accumulate,
        GraphKey("finalize"): finalize_graph(shape),
        GraphKey("recover"): recover_graph(shape, 0.5, 0.1),
    }
    result: dict[str, Any] = {"seconds": seconds, "size": accumulate.size / source.model.ByteSize()}
    result |= _errors(module, Sessions(graphs), shape, canonical.score_shape)
    # Written before the TensorRT build too: if the build exceeds the time limit, the other figures are kept.
    path.write_text(json.dumps(result | {"tensorrt": "–"}))
    if "--no-tensorrt" not in sys.argv:
        path.write_text(json.dumps(result | {"tensorrt": _tensorrt(graphs)}))


def _waken(module: torch.nn.Module) -> None:
    """Redraw weights that start at or near zero: heads, residual branches, layer scales, position biases.

    With their initial weights whole branches have no gradient, and some networks have none at all, so there would
    be nothing to compare. Biases stay: random biases would be larger than the image's effect on these networks.
    """
    for name, parameter in module.named_parameters():
        if not name.endswith("bias") and parameter.abs().max() < 1e-3:
            parameter.normal_(std=0.05)


def _errors(module: torch.nn.Module, sessions: Sessions, shape: Any, scores: Any) -> dict[str, Any]:
    image = frame_image(reference_frame(shape[1], shape[2], shape[0]), colour="rgb")
    mean, std = (np.asarray(values, np.float32).reshape(1, 3, 1, 1) for values in (MEAN, STD))
    x = (image - mean) / std
    cotangent = np.zeros((1, *scores), np.float32)
    cotangent.flat[7] = 1
    double = copy.deepcopy(module).double()
    found: dict[str, float] = {}
    own: list[float] = []
    for batch in (1, 5):
        errors = []
        for noise in noise_chunks(0, batch * DRAWS, batch, shape):
            samples = x + noise * (np.float32(NOISE_STD) * (x.max() - x.min()))
            # For a batch of 1 torch itself (2.13) gives some networks a wrong gradient; LeViT is one.
            rows = samples if batch > 1 else np.concatenate([samples, samples])
            single = autograd(module, rows, cotangent).mean(0)
            try:
                expected = autograd(double, rows.astype(np.float64), cotangent).mean(0)
            except RuntimeError:  # some models make float32 constants of their own
                expected = single
            if batch == 5:
                own.append(relative(single, expected))
            state, _ = sessions.accumulate(image, noise, NOISE_STD, cotangent)
            errors.append(relative(state.mean, expected))
        found[str(batch)] = float(np.median(errors))
    return {"gradient": found, "own": float(np.median(own))}


def _tensorrt(graphs: dict[GraphKey, GraphFile]) -> str:
    refused = {key.role: tensorrt_refuses(file.complete(), batch=5) for key, file in graphs.items()}
    refused = {role: why for role, why in refused.items() if why}
    return "all" if not refused else "; ".join(f"not {role}: {why[:120]}" for role, why in refused.items())


if __name__ == "__main__":
    main()
