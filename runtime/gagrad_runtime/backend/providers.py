"""ONNX Runtime's execution providers that a device name selects, and the options of each.

Each computes in float32. By default a GPU would take TF32, whose ten bits show in the guide, a step function.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gagrad_runtime.machine.cache import cache_folder

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gagrad_edge.manifest import GraphTarget


@dataclass(frozen=True)
class Provider:
    """One execution provider."""

    device: str
    """Name by which a caller selects the provider."""
    name: str
    """Name of the provider in ONNX Runtime."""
    memory: str = "cuda"
    """Device type of its tensors, as ``OrtValue`` names it."""
    options: Mapping[str, str] = field(default_factory=dict)
    backup: str = ""
    """Device name of the provider that runs the nodes that this provider refuses, before the CPU."""
    plugin: str = ""
    """Module with the provider's library and name, where ONNX Runtime itself does not contain it."""
    cache_options: tuple[str, ...] = ()
    """Options whose value is the folder in which the engines of one graph are stored."""
    target: GraphTarget = "portable"
    install: str = 'pip install "gagrad-edge[gpu]"'
    half: bool = False
    """Whether it can take the bundle's float16 graphs: the device name with ``:fp16``."""


_CUDA = {
    "device_id": "0",
    "use_tf32": "0",
    # The default measures each convolution in each process, and could choose other kernels, hence other bits.
    "cudnn_conv_algo_search": "HEURISTIC",
    "arena_extend_strategy": "kSameAsRequested",
}

PROVIDERS = {
    provider.device: provider
    for provider in (
        Provider("cpu", "CPUExecutionProvider", memory="cpu", install='pip install "gagrad-edge[cpu]"'),
        Provider("cuda", "CUDAExecutionProvider", options=_CUDA, half=True),
        Provider(
            "tensorrt-ort",
            "TensorrtExecutionProvider",
            options={
                "device_id": "0",
                "trt_fp16_enable": "0",
                "trt_engine_cache_enable": "1",
                "trt_timing_cache_enable": "1",
            },
            cache_options=("trt_engine_cache_path", "trt_timing_cache_path"),
            backup="cuda",
            target="tensorrt",
        ),
        Provider(
            "tensorrt-rtx-ort",
            "NvTensorRTRTXExecutionProvider",
            plugin="onnxruntime_ep_nv_tensorrt_rtx",
            cache_options=("nv_runtime_cache_path",),
            target="tensorrt",
            install='pip install "gagrad-edge[cpu]" onnxruntime-ep-nv-tensorrt-rtx',
        ),
    )
}


def provider_options(provider: Provider, data: bytes) -> dict[str, str]:
    """Return the options for the graph in ``data``, with a cache folder for this graph alone.

    For this graph alone, because ONNX Runtime names a cached engine by the graph's names, not by its weights.
    """
    options = dict(provider.options)
    if not provider.cache_options:
        return options
    root = cache_folder(provider.device)
    folder = None if root is None else root / hashlib.sha256(data).hexdigest()
    try:
        if folder is not None:
            # An engine is native code, so no other user may write to the folder.
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError:
        folder = None
    if folder is None:
        return {name: value for name, value in options.items() if not name.endswith("_cache_enable")}
    return options | dict.fromkeys(provider.cache_options, str(folder))
