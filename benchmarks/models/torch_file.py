"""torch modules with random weights that answer like trained ones, and their ONNX files."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from benchmarks.models.entry import Entry

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import torch
    from torch import nn


def torch_entry(
    name: str,
    family: str,
    producer: str,
    build: Callable[[], nn.Module],
    size: tuple[int, int],
    *,
    channels: int = 3,
    outputs: Sequence[str] = (),
    dynamo: bool = True,
    lively: bool = True,
) -> Entry:
    """Return the entry of a module that torch.onnx writes, by its newer exporter or by ``dynamo=False``."""

    def module() -> nn.Module:
        import torch

        torch.manual_seed(0)
        built = build()
        return enlivened(built, (channels, *size)) if lively else built.eval()

    def make(path: Path) -> None:
        write(module(), path, (channels, *size), outputs=outputs, dynamo=dynamo)

    kind = "torch.onnx" if dynamo else "torch.onnx (TorchScript)"
    return Entry(name, family, f"{producer}, {kind}", size, make, module, channels)


def write(
    module: nn.Module, path: Path, shape: tuple[int, ...], *, outputs: Sequence[str] = (), dynamo: bool = True
) -> None:
    """Write ``module``, whose images are ``shape`` [C, H, W], with a fixed batch of one, as most people do."""
    import torch

    example = torch.rand(1, *shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        answer = module(example)
    names = list(outputs) or [f"output{i}" for i in range(len(flat(answer)))]
    common: dict[str, Any] = {"input_names": ["image"], "output_names": names}
    if dynamo:
        torch.onnx.export(module, (example,), path, dynamo=True, external_data=False, verbose=False, **common)
    else:
        torch.onnx.export(module, (example,), str(path), dynamo=False, opset_version=17, **common)


def flat(answer: Any) -> list[torch.Tensor]:
    """Return the tensors of a module's answer in the order in which torch.onnx makes them outputs."""
    import torch

    if isinstance(answer, torch.Tensor):
        return [answer]
    if answer is None or isinstance(answer, str):  # torchvision's pyramid names its levels
        return []
    if isinstance(answer, dict):
        answer = answer.values()
    return [tensor for part in answer for tensor in flat(part)]


def enlivened(module: nn.Module, shape: tuple[int, ...]) -> nn.Module:
    """Return ``module`` in evaluation mode with weights and statistics that let its answer depend on the image.

    Weights that start near zero are redrawn, as whole branches would have no gradient; then the statistics of
    batch normalisation are taken from a few images, as training does.
    """
    import torch

    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if not name.endswith("bias") and parameter.is_floating_point() and parameter.abs().max() < 1e-3:
                parameter.normal_(std=0.05, generator=generator)
    module.eval()
    norms = [part for part in module.modules() if isinstance(part, torch.nn.modules.batchnorm._BatchNorm)]
    norms = [part for part in norms if part.running_mean is not None]
    for part in norms:
        part.reset_running_stats()
        part.momentum = None
        part.train()
    if norms:
        with torch.no_grad():
            module(pictures(4, shape))
    for part in norms:
        part.momentum = 0.1
    module.requires_grad_(requires_grad=False)
    return module.eval()


def pictures(count: int, shape: tuple[int, ...]) -> torch.Tensor:
    """Return ``[count, C, H, W]`` images of soft blobs and fine grain, 0..1, always the same."""
    import torch

    channels, height, width = shape
    generator = torch.Generator().manual_seed(2)
    coarse = torch.rand(count, channels, 6, 6, generator=generator)
    soft = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic", align_corners=False)
    grain = torch.randn(count, channels, height, width, generator=generator)
    return (soft + 0.05 * grain).clamp(0, 1)


def answering(module: nn.Module, choose: Callable[[Any], Any]) -> nn.Module:
    """Return a module that answers ``choose(module(image))``: the tensors of a dictionary or a dataclass."""
    return _answering()(module, choose)


@functools.cache
def _answering() -> Any:
    import torch

    class Answering(torch.nn.Module):
        """A module, and what is taken from its answer."""

        def __init__(self, module: nn.Module, choose: Callable[[Any], Any]) -> None:
            super().__init__()
            self.module = module
            self.choose = choose

        def forward(self, image: torch.Tensor) -> Any:
            return self.choose(self.module(image))

    return Answering
