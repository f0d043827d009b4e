"""ONNX Runtime's execution providers that ``--device`` names, and what each is opened with.

Each computes in float32 here: a GPU would take TF32, of ten bits, by itself, and the guide is a step.
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
    """The ``--device`` name."""
    name: str
    """What ONNX Runtime calls it."""
    memory: str = "cuda"
    """Kind of memory that its tensors live in, in ``OrtValue``'s words."""
    options: Mapping[str, str] = field(default_factory=dict)
    backup: str = ""
    """Device name of the provider that takes what this one refuses, in front of the CPU."""
    plugin: str = ""
    """Module that carries it, when ONNX Runtime does not; of it come the library and the name."""
    cache_options: tuple[str, ...] = ()
    """Options that are set to a folder of the graph's own, to keep what was compiled."""
    target: GraphTarget = "portable"
    install: str = 'pip install "gagrad-edge[gpu]"'


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
        Provider("cuda", "CUDAExecutionProvider", options=_CUDA),
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
    """Return the options for the graph in ``data``, with a folder of its own to keep what was compiled.

    Of its own, because ONNX Runtime names an engine by the graph's names and not by its weights.
    """
    options = dict(provider.options)
    if not provider.cache_options:
        return options
    root = cache_folder(provider.device)
    folder = None if root is None else root / hashlib.sha256(data).hexdigest()
    try:
        if folder is not None:
            # An engine is native code: nobody else may put one there.
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError:
        folder = None
    if folder is None:
        return {name: value for name, value in options.items() if not name.endswith("_cache_enable")}
    return options | dict.fromkeys(provider.cache_options, str(folder))
