"""segmentation_models_pytorch: encoders with random weights under each of its decoders."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from benchmarks.models.torch_file import torch_entry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn

    from benchmarks.models.entry import Entry

_DECODERS: dict[str, tuple[str, dict[str, Any]]] = {
    "Unet": ("resnet18", {"classes": 4}),
    "UnetPlusPlus": ("timm-efficientnet-b0", {"classes": 1}),
    "FPN": ("mobilenet_v2", {"classes": 4}),
    "DeepLabV3Plus": ("resnet18", {"classes": 4}),
    "PSPNet": ("resnet18", {"classes": 3}),
    "MAnet": ("resnet18", {"classes": 2}),
    "Linknet": ("mobilenet_v2", {"classes": 1, "activation": "sigmoid"}),
    "PAN": ("resnet18", {"classes": 4}),
    "UPerNet": ("resnet18", {"classes": 4, "activation": "softmax2d"}),
    "Segformer": ("mit_b0", {"classes": 4}),
    "DPT": ("tu-vit_tiny_patch16_224", {"classes": 4}),
}
"""Decoder, its encoder and options: several classes, one class, and activations inside as people ask for."""


def entries() -> Iterator[Entry]:
    """Return the segmentation models."""
    for decoder, (encoder, options) in _DECODERS.items():
        build = functools.partial(_model, decoder, encoder, **options)
        side = 224 if decoder == "DPT" else 128
        name = f"smp-{decoder.lower()}"
        family = {"Unet": "U-Net", "UnetPlusPlus": "U-Net++", "DeepLabV3Plus": "DeepLabV3"}.get(
            decoder, decoder
        )
        yield torch_entry(
            name, family, "segmentation_models_pytorch", build, (side, side), outputs=("mask",), dynamo=True
        )


def _model(decoder: str, encoder: str, **options: Any) -> nn.Module:
    from benchmarks.models.vision_operators import declare

    declare()
    import segmentation_models_pytorch as smp

    model: nn.Module = getattr(smp, decoder)(encoder, encoder_weights=None, **options)
    return model
