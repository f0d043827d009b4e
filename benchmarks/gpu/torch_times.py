"""Job: what PyTorch takes on the same GPU, and the rates of its matrix products, from which the floor follows."""

from __future__ import annotations

import statistics
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import peers
from benchmarks.gpu.explaining import repeated
from benchmarks.gpu.models import module_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import nn

    from benchmarks.gpu.machine import Machine


def run(machine: Machine, folder: Path, network: str, samples: str, rounds: str) -> dict[str, Any]:  # noqa: ARG001
    """Return seconds by kind of program, the seconds of the floor by precision, and what could not be measured.

    The floor is twice the operations of the forward pass of each sample, at the rate of a large matrix product.
    """
    device, skipped, times = machine.torch_device, list[str](), dict[str, float]()
    if device == "cuda" and not torch.cuda.is_available():
        return {"times": times, "skipped": [f"PyTorch's times of {network}: this torch sees no GPU"]}
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    module = module_of(network).to(device)
    image = np.random.default_rng(0).standard_normal((1, 3, *machine.size), np.float32)
    copies = np.repeat(image, int(samples), axis=0)

    def timed(name: str, make: Callable[[], Callable[[], object]]) -> None:
        try:
            call = make()
            call()
            times[name] = statistics.median(repeated(partial(_whole, call, device), int(rounds)))
        except Exception as error:  # noqa: BLE001 - torch.compile needs a compiler, and more
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            skipped.append(f"{name} of {network}: {reason[:200]}")

    timed("authors", lambda: partial(peers.authors_program(module, int(samples)), image))
    timed("batched", lambda: partial(peers.eager_batch(module, 0), copies))
    timed("compiled", lambda: partial(peers.eager_batch(_compiled(machine, module), 0), copies))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(torch.from_numpy(image).to(device))
    operations = 2 * int(samples) * counter.get_total_flops()
    half = module.half()
    timed("compiled16", lambda: partial(_half_batch(_compiled(machine, half), device), copies))
    for name, precision in (("floor32", torch.float32), ("floor16", torch.float16)):
        a = torch.randn(machine.matrix, machine.matrix, device=device, dtype=precision)
        timed(name, lambda a=a: partial(torch.matmul, a, a))  # type: ignore[misc]
        if name in times:
            times[name] = operations / (2 * machine.matrix**3 / times[name])
    return {"times": times, "skipped": skipped, "operations": operations}


def _compiled(machine: Machine, module: nn.Module) -> nn.Module:
    torch._dynamo.reset()
    return cast("nn.Module", torch.compile(module, backend=machine.compiler))


def _half_batch(module: nn.Module, device: str) -> peers.Run:
    """Return the gradients of all samples in float16, the cotangent scaled as in our graphs."""

    def call(samples: peers.Array) -> object:
        leaf = torch.from_numpy(samples).to(device).half().requires_grad_()
        return torch.autograd.grad(256 * module(leaf)[:, 0].sum(), leaf)[0]

    return call


def _whole(call: Callable[[], object], device: str) -> None:
    call()
    if device == "cuda":
        torch.cuda.synchronize()
