"""What the jobs run on: the real machine, or one of stand-ins on which the run is rehearsed without a GPU."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gagrad_edge.errors import DeviceError
from gagrad_runtime.backend import open_backend
from gagrad_runtime.backend.onnxruntime import OnnxRuntimeBackend
from gagrad_runtime.backend.providers import PROVIDERS, Provider

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gagrad_edge.bundle.graph_file import GraphFile
    from gagrad_edge.manifest import GraphPrecision
    from gagrad_runtime.backend import Backend, Runner
    from gagrad_runtime.backend.base import Array, Tensor


@dataclass(frozen=True)
class Machine:
    """The engines, torch's device and the sizes of one kind of run."""

    name: str
    networks: tuple[str, ...]
    devices: tuple[str, ...]
    size: tuple[int, int]
    batches: tuple[int, ...]
    """Samples of one run of ``accumulate``, in the table of graphs."""
    torch_device: str
    compiler: str
    """Backend of torch.compile."""
    matrix: int
    """Side of the matrices whose product gives the machine's rate."""
    provider: Provider
    """ONNX Runtime's provider whose graphs are measured by themselves."""
    sanitizer: str
    """Program that finds reads and writes out of bounds."""

    def open(self, device: str) -> Backend:
        """Return the backend of ``device``. Raises DeviceError and MissingPackageError."""
        return open_backend(device)

    def measured(self, precision: GraphPrecision, options: Mapping[str, str]) -> OnnxRuntimeBackend:
        """Return ONNX Runtime's backend with further ``options`` of its provider."""
        provider = replace(self.provider, options={**self.provider.options, **options})
        return OnnxRuntimeBackend(provider, precision=precision)

    def sanitizer_path(self) -> str | None:
        """Return the path of the sanitizer; None where there is none."""
        return shutil.which(self.sanitizer)


class StandIns(Machine):
    """Engines of the CPU under the names of a GPU's, and engines that fail in each way that the run must bear."""

    def open(self, device: str) -> Backend:
        """Return the stand-in for ``device``."""
        known: dict[str, type[OnnxRuntimeBackend]] = {"wrong": _Wrong, "hangs": _Hangs, "crashes": _Crashes}
        name, _, part = device.partition(":")
        if name == "absent":
            raise DeviceError("there is no such device, as the rehearsal wants it", where=f"device={device}")
        precision: GraphPrecision = "float16" if part == "fp16" else "float32"
        backend = known.get(name, OnnxRuntimeBackend)(self.provider, precision=precision)
        # An engine that the exporter did not verify with, so that the canary runs.
        backend.verified = False
        return backend

    def measured(self, precision: GraphPrecision, options: Mapping[str, str]) -> OnnxRuntimeBackend:
        """Return the CPU's backend; an option that is ``refused`` is one that the engine does not know."""
        if "refused" in options.values():
            raise DeviceError("the provider does not know the option, as the rehearsal wants it")
        return OnnxRuntimeBackend(self.provider, precision=precision)

    def sanitizer_path(self) -> str | None:
        """Return ``env``, which runs a command as a sanitizer does."""
        return shutil.which("env")


class _Wrong(OnnxRuntimeBackend):
    """Engine whose second row is wrong, as in NVIDIA/TensorRT #4853."""

    def upload(self, array: Array) -> Tensor:
        """Spoil the second row of a batch."""
        if array.ndim == 4 and len(array) > 1:
            array = array.copy()
            array[1] = 0
        return super().upload(array)


class _Hangs(OnnxRuntimeBackend):
    """Engine that never opens a graph."""

    def open(self, graph: str, file: GraphFile, rows: int = 1) -> Runner:  # noqa: ARG002
        """Wait for ever."""
        while True:
            time.sleep(1)


class _Crashes(OnnxRuntimeBackend):
    """Engine that ends the process, as a fault in a driver does."""

    def open(self, graph: str, file: GraphFile, rows: int = 1) -> Runner:  # noqa: ARG002
        """End the process."""
        os.abort()


REAL = Machine(
    name="real",
    networks=("resnet50", "efficientnet_lite0", "vit_base"),
    devices=(
        *("cuda", "cuda:fp16", "tensorrt", "tensorrt:fp16", "tensorrt-rtx", "tensorrt-rtx:fp16"),
        *("tensorrt-ort", "tensorrt-rtx-ort"),
    ),
    size=(224, 224),
    batches=(1, 5, 10, 20, 40),
    torch_device="cuda",
    compiler="inductor",
    matrix=8192,
    provider=PROVIDERS["cuda"],
    sanitizer="compute-sanitizer",
)
STAND_INS = StandIns(
    name="stand-ins",
    networks=("small", "refused"),
    devices=("cuda", "cuda:fp16", "absent", "wrong", "hangs", "crashes"),
    size=(32, 32),
    batches=(1, 2),
    torch_device="cpu",
    compiler="eager",
    matrix=128,
    provider=Provider("cuda", "CPUExecutionProvider", memory="cpu", half=True),
    sanitizer="env",
)
MACHINES = {one.name: one for one in (REAL, STAND_INS)}
