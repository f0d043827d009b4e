"""The programs that users have today. Each peer is a function of the samples; it returns gradients or a map."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from gagrad_edge import abi

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import onnx
    from numpy.typing import NDArray
    from torch import nn

    Array = NDArray[np.float32]
    Run = Callable[[Array], object]

PERCENTILE, NOISE_STD = 0.85, 0.15


def eager_batch(module: nn.Module, target: int) -> Run:
    """Return PyTorch eager on one batch: only the gradient by the input, as in all PyTorch peers."""

    def run(samples: Array) -> object:
        leaf = torch.from_numpy(samples).to(_device(module)).requires_grad_()
        return torch.autograd.grad(module(leaf)[:, target].sum(), leaf)[0]

    return run


def authors_algorithm(module: nn.Module, target: int) -> Run:
    """Return the paper's program in PyTorch eager: one sample at a time, all gradients kept, then the guide."""

    def run(samples: Array) -> object:
        return _guided([_gradient(module, torch.from_numpy(sample[None]), target) for sample in samples])

    return run


def authors_program(module: nn.Module, samples: int) -> Run:
    """Return the paper's program from a model input ``[1, C, H, W]`` on: target and noise included."""

    def run(image: Array) -> object:
        x = torch.from_numpy(image).to(_device(module))
        with torch.no_grad():
            target = int(module(x)[0].argmax())
        sigma = NOISE_STD * float(x.max() - x.min())
        noisy = (x + sigma * torch.randn_like(x) for _ in range(samples))
        return _guided([_gradient(module, sample, target) for sample in noisy])

    return run


def _device(module: nn.Module) -> torch.device:
    return next(module.parameters()).device


def _gradient(module: nn.Module, sample: torch.Tensor, target: int) -> torch.Tensor:
    leaf = sample.requires_grad_()
    return torch.autograd.grad(module(leaf)[0, target], leaf)[0][0]


def _guided(gradients: Sequence[torch.Tensor]) -> torch.Tensor:
    """Return the map of all ``gradients [C, H, W]``."""
    stacked = torch.stack(list(gradients))
    if len(stacked) < 2:
        return stacked.abs().sum((0, 1))
    variance = stacked.var(0)
    threshold = torch.quantile(variance.flatten(1), PERCENTILE, dim=1)[:, None, None]
    guide = torch.where(variance > threshold, torch.ones_like(variance), variance)
    total = (stacked.abs().sum(0) * guide).sum(0)
    return (total - total.min()) / (total.max() - total.min())


def captum_noise_tunnel(module: nn.Module, target: int) -> Run:
    """Return captum's NoiseTunnel over Saliency, vargrad, all samples in one batch."""
    from captum.attr import NoiseTunnel, Saliency

    tunnel = NoiseTunnel(Saliency(module))

    def run(samples: Array) -> object:
        image = torch.from_numpy(samples[:1])
        return tunnel.attribute(
            image, nt_type="vargrad", nt_samples=len(samples), stdevs=NOISE_STD, target=target
        )

    return run


def onnx_ad_graph(model: onnx.ModelProto, target: int, batch: int) -> Run:
    """Return onnx-ad's reverse graph in ONNX Runtime; onnx-ad needs a fixed batch and all shapes."""
    import onnx
    import onnx_ad
    import onnxruntime

    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    del fixed.graph.value_info[:]
    for value in (*fixed.graph.input, *fixed.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = batch
    fixed = onnx.shape_inference.infer_shapes(fixed, data_prop=True)
    graph = onnx_ad.reverse(fixed, layout="onnx")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(graph.SerializeToString(), options)
    image, seed = (value.name for value in session.get_inputs())
    gradient = next(value.name for value in session.get_outputs() if value.name.endswith(image))
    classes = fixed.graph.output[0].type.tensor_type.shape.dim[-1].dim_value
    weights = np.zeros((batch, classes, 1), np.float32)
    weights[:, target] = 1

    def run(samples: Array) -> object:
        return session.run([gradient], {image: samples, seed: weights})

    return run


def openvino_graph(accumulate: bytes, feeds: dict[str, Any]) -> Callable[[Array], dict[str, Array]]:
    """Return our ``accumulate`` graph in OpenVINO: outputs by name, all inputs but the noise are fixed."""
    import openvino

    core = openvino.Core()
    # By default OpenVINO computes in bfloat16 if the processor supports it.
    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = core.compile_model(core.read_model(accumulate), "CPU", settings)
    request = compiled.create_infer_request()

    def run(samples: Array) -> dict[str, Array]:
        results = request.infer({**feeds, abi.NOISE: samples})
        return {name: value for port, value in results.items() for name in port.get_names()}

    return run


@contextmanager
def time_limit(seconds: int) -> Iterator[None]:
    """Raise TimeoutError in the body after ``seconds``; a call into C is not interrupted."""

    def stop(*_: object) -> None:
        raise TimeoutError(f"more than {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
