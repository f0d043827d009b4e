"""What users have today: each peer is a function of the noisy copies, returning their gradients or a map."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    import onnx
    from numpy.typing import NDArray
    from torch import nn

    Array = NDArray[np.float32]
    Run = Callable[[Array], object]

PERCENTILE = 0.85


def eager_batch(module: nn.Module, target: int) -> Run:
    """Return PyTorch eager on one batch, the gradient only."""

    def run(copies: Array) -> object:
        leaf = torch.from_numpy(copies).requires_grad_()
        module(leaf)[:, target].sum().backward()
        return leaf.grad

    return run


def authors_algorithm(module: nn.Module, target: int) -> Run:
    """Run the paper's program in PyTorch eager: one copy at a time, all gradients kept, then the guide."""

    def run(copies: Array) -> object:
        gradients = []
        for copy in copies:
            leaf = torch.from_numpy(copy[None]).requires_grad_()
            module(leaf)[0, target].backward()
            gradients.append(cast("torch.Tensor", leaf.grad)[0])
        stacked = torch.stack(gradients)
        if len(stacked) < 2:
            return stacked.abs().sum((0, 1))
        variance = stacked.var(0)
        threshold = torch.quantile(variance.flatten(1), PERCENTILE, dim=1)[:, None, None]
        guide = torch.where(variance > threshold, torch.ones_like(variance), variance)
        total = (stacked.abs().sum(0) * guide).sum(0)
        return (total - total.min()) / (total.max() - total.min())

    return run


def captum_noise_tunnel(module: nn.Module, target: int) -> Run:
    """Return captum's NoiseTunnel over Saliency, vargrad, all copies in one batch."""
    from captum.attr import NoiseTunnel, Saliency

    tunnel = NoiseTunnel(Saliency(module))

    def run(copies: Array) -> object:
        image = torch.from_numpy(copies[:1])
        return tunnel.attribute(image, nt_type="vargrad", nt_samples=len(copies), stdevs=0.15, target=target)

    return run


def onnx_ad_graph(model: onnx.ModelProto, target: int) -> Run:
    """Return onnx-ad's reverse graph in ONNX Runtime."""
    import onnx
    import onnx_ad
    import onnxruntime

    graph = onnx_ad.reverse(onnx.shape_inference.infer_shapes(model), layout="onnx")
    session = onnxruntime.InferenceSession(graph.SerializeToString(), _quiet())
    image, seed = (value.name for value in session.get_inputs())
    gradient = next(value.name for value in session.get_outputs() if value.name.endswith(image))
    classes = next(v for v in model.graph.output).type.tensor_type.shape.dim[-1].dim_value

    def run(copies: Array) -> object:
        weights = np.zeros((len(copies), classes, 1), np.float32)
        weights[:, target] = 1
        return session.run([gradient], {image: copies, seed: weights})

    return run


def openvino_graph(accumulate: bytes, feeds: dict[str, Any]) -> Run:
    """Return our ``accumulate`` in OpenVINO, all inputs but the noise fixed."""
    import openvino

    core = openvino.Core()
    request = core.compile_model(
        core.read_model(accumulate), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    ).create_infer_request()

    def run(copies: Array) -> object:
        return request.infer({**feeds, "noise": copies})

    return run


def _quiet() -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    return options
