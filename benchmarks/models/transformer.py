"""Hugging Face transformers: small configurations with random weights, written by torch.onnx."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from benchmarks.models.torch_file import answering, enlivened, pictures, torch_entry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from torch import nn

    from benchmarks.models.entry import Entry

LABELS = {0: "good", 1: "scratch", 2: "dent", 3: "stain", 4: "crack"}
_DETECTION = ("logits", "pred_boxes")
_TORCHSCRIPT = ("hf-rt-detr-v2", "hf-d-fine")
"""What torch's newer exporter does not convert (torch 2.13: aten._is_all_true)."""


_CONFIGURED = ("hf-conditional-detr",)
"""What the outputs alone do not tell: whether one score is of no class. The number of labels does, which stands in
the config.json that transformers and optimum write beside a model."""


def entries() -> Iterator[Entry]:
    """Return the models of transformers."""
    for name, (family, build, side, outputs) in _MODELS.items():
        entry = torch_entry(
            name,
            family,
            "transformers",
            functools.partial(_answers, build, outputs, side),
            (side, side),
            outputs=outputs,
            dynamo=name not in _TORCHSCRIPT,
        )
        if name in _CONFIGURED:
            make = functools.partial(_make_with_config, entry.make, build)
            entry = replace(entry, make=make, producer=f"{entry.producer}, config.json")
        yield entry


def _make_with_config(make: Callable[[Path], None], build: Callable[[Any], Any], path: Path) -> None:
    import transformers

    make(path)
    build(transformers).config.save_pretrained(path.parent)


def _answers(build: Callable[[Any], nn.Module], outputs: tuple[str, ...], side: int) -> nn.Module:
    from benchmarks.models.vision_operators import declare

    declare()
    import transformers

    module = build(transformers)
    if len(outputs) > 1:
        _find_something(enlivened(module, (3, side, side)), side)
    return answering(module, lambda answer: [getattr(answer, name) for name in outputs])


def _find_something(module: nn.Module, side: int) -> None:
    """Let the heads for classes speak as trained ones do: most candidates are nothing, and some are something.

    With random weights every query has nearly the same scores. A softmax has a last class for nothing, which
    Hugging Face adds to the labels; a sigmoid has low scores.
    """
    import torch

    inputs: dict[Any, list[torch.Tensor]] = {}
    heads = [
        part
        for name, part in module.named_modules()
        if isinstance(part, torch.nn.Linear) and "class" in name and part.out_features - len(LABELS) in (0, 1)
    ]
    hooks = [
        head.register_forward_pre_hook(lambda part, x: inputs.setdefault(part, []).append(x[0]))
        for head in heads
    ]
    with torch.no_grad():
        module(pictures(2, (3, side, side)))
        for head, seen in inputs.items():
            features = torch.cat([x.reshape(-1, x.shape[-1]) for x in seen])
            middle = features.mean(0)
            head.weight *= 1.5 / float(((features - middle) @ head.weight.T).std())
            head.bias.copy_(-head.weight @ middle)
            if head.out_features > len(LABELS):
                head.bias[-1] += 4
            else:
                head.bias -= 3.5
    for hook in hooks:
        hook.remove()


def _resnet(hf: Any, *levels: str, kind: str = "ResNet") -> Any:
    """Return the configuration of a small backbone that gives ``levels``."""
    return getattr(hf, f"{kind}Config")(
        embedding_size=32,
        hidden_sizes=[32, 48, 64, 96],
        depths=[1, 1, 1, 1],
        layer_type="basic",
        out_features=list(levels),
    )


_LEVELS = ("stage2", "stage3", "stage4")


def _swin(hf: Any, **more: Any) -> Any:
    return hf.SwinConfig(image_size=128, embed_dim=24, depths=[2, 2, 2, 2], num_heads=[2, 2, 4, 4], **more)


_SMALL = {"d_model": 64, "encoder_layers": 2, "decoder_layers": 2}
_HEADS = {"encoder_attention_heads": 4, "decoder_attention_heads": 4}
_WIDE = {"encoder_ffn_dim": 128, "decoder_ffn_dim": 128, "num_queries": 30}


def _detr(hf: Any) -> Any:
    backbone = _resnet(hf, "stage4")
    config = hf.DetrConfig(
        backbone_config=backbone, use_timm_backbone=False, id2label=LABELS, **_SMALL, **_HEADS, **_WIDE
    )
    return hf.DetrForObjectDetection(config)


def _conditional(hf: Any) -> Any:
    backbone = _resnet(hf, "stage4")
    config = hf.ConditionalDetrConfig(
        backbone_config=backbone, use_timm_backbone=False, id2label=LABELS, **_SMALL, **_HEADS, **_WIDE
    )
    return hf.ConditionalDetrForObjectDetection(config)


def _deformable(hf: Any, **more: Any) -> Any:
    config = hf.DeformableDetrConfig(
        backbone_config=_resnet(hf, *_LEVELS),
        use_timm_backbone=False,
        num_feature_levels=4,
        id2label=LABELS,
        **_SMALL,
        **_HEADS,
        **_WIDE,
        **more,
    )
    return hf.DeformableDetrForObjectDetection(config)


def _hybrid(kind: str, hf: Any) -> Any:
    """Return RT-DETR, its second version or D-FINE: an encoder over three levels, queries chosen by TopK."""
    backbone = _resnet(hf, *_LEVELS, kind="RTDetrResNet")
    config = getattr(hf, f"{kind}Config")(
        backbone_config=backbone,
        encoder_in_channels=[48, 64, 96],
        encoder_hidden_dim=64,
        decoder_in_channels=[64, 64, 64],
        feat_strides=[8, 16, 32],
        d_model=64,
        num_queries=30,
        decoder_layers=2,
        encoder_ffn_dim=128,
        decoder_ffn_dim=128,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        num_denoising=0,
        id2label=LABELS,
        anchor_image_size=[128, 128],
    )
    return getattr(hf, f"{kind}ForObjectDetection")(config)


def _rf_detr(hf: Any) -> Any:
    config = hf.RfDetrConfig(num_queries=30, id2label=LABELS)
    return hf.RfDetrForObjectDetection(config)


def _vit(hf: Any, kind: str, head: str, **more: Any) -> Any:
    """Return a plain transformer of four layers with the given head."""
    config = getattr(hf, f"{kind}Config")(
        image_size=more.pop("image_size", 128),
        patch_size=16,
        hidden_size=64,
        num_hidden_layers=4,
        num_attention_heads=4,
        intermediate_size=128,
        id2label=LABELS,
        **more,
    )
    return getattr(hf, f"{kind}For{head}")(config)


def _yolos(hf: Any) -> Any:
    return _vit(hf, "Yolos", "ObjectDetection", image_size=[128, 128], num_detection_tokens=20)


def _segformer(hf: Any) -> Any:
    config = hf.SegformerConfig(hidden_sizes=[16, 32, 48, 64], decoder_hidden_size=64, id2label=LABELS)
    return hf.SegformerForSemanticSegmentation(config)


def _mask2former(hf: Any) -> Any:
    config = hf.Mask2FormerConfig(
        backbone_config=_swin(hf, out_features=["stage1", "stage2", "stage3", "stage4"]),
        feature_size=64,
        mask_feature_size=64,
        hidden_dim=64,
        encoder_feedforward_dim=128,
        encoder_layers=2,
        decoder_layers=3,
        dim_feedforward=128,
        num_attention_heads=4,
        num_queries=20,
        id2label=LABELS,
    )
    return hf.Mask2FormerForUniversalSegmentation(config)


def _maskformer(hf: Any) -> Any:
    config = hf.MaskFormerConfig(
        backbone_config=_swin(hf, out_features=["stage1", "stage2", "stage3", "stage4"]),
        decoder_config=hf.DetrConfig(num_queries=20, **_SMALL, **_HEADS),
        fpn_feature_size=64,
        mask_feature_size=64,
        id2label=LABELS,
    )
    return hf.MaskFormerForInstanceSegmentation(config)


def _upernet(hf: Any) -> Any:
    backbone = hf.ConvNextConfig(
        hidden_sizes=[16, 32, 48, 64],
        depths=[1, 1, 1, 1],
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )
    config = hf.UperNetConfig(
        backbone_config=backbone, hidden_size=64, auxiliary_in_channels=48, id2label=LABELS
    )
    return hf.UperNetForSemanticSegmentation(config)


def _dpt(hf: Any) -> Any:
    sizes = {"neck_hidden_sizes": [16, 32, 48, 64], "fusion_hidden_size": 32}
    return _vit(hf, "DPT", "DepthEstimation", backbone_out_indices=[0, 1, 2, 3], **sizes)


def _depth_anything(hf: Any) -> Any:
    backbone = hf.Dinov2Config(
        image_size=126,
        patch_size=14,
        hidden_size=48,
        num_hidden_layers=4,
        num_attention_heads=3,
        out_features=["stage1", "stage2", "stage3", "stage4"],
        reshape_hidden_states=False,
    )
    config = hf.DepthAnythingConfig(
        backbone_config=backbone,
        reassemble_hidden_size=48,
        patch_size=14,
        neck_hidden_sizes=[16, 32, 48, 64],
        fusion_hidden_size=32,
        head_hidden_size=16,
    )
    return hf.DepthAnythingForDepthEstimation(config)


def _convnext(hf: Any) -> Any:
    config = hf.ConvNextV2Config(hidden_sizes=[16, 32, 48, 64], depths=[1, 1, 2, 1], id2label=LABELS)
    return hf.ConvNextV2ForImageClassification(config)


_MODELS: dict[str, tuple[str, Callable[[Any], Any], int, tuple[str, ...]]] = {
    "hf-detr": ("DETR", _detr, 128, _DETECTION),
    "hf-conditional-detr": ("Conditional DETR", _conditional, 128, _DETECTION),
    "hf-deformable-detr": ("Deformable DETR", _deformable, 128, _DETECTION),
    "hf-rt-detr": ("RT-DETR", functools.partial(_hybrid, "RTDetr"), 128, _DETECTION),
    "hf-rt-detr-v2": ("RT-DETRv2", functools.partial(_hybrid, "RTDetrV2"), 128, _DETECTION),
    "hf-d-fine": ("D-FINE", functools.partial(_hybrid, "DFine"), 128, _DETECTION),
    "hf-rf-detr": ("RF-DETR", _rf_detr, 224, _DETECTION),
    "hf-yolos": ("YOLOS", _yolos, 128, _DETECTION),
    "hf-segformer": ("Segformer", _segformer, 128, ("logits",)),
    "hf-mask2former": ("Mask2Former", _mask2former, 128, ("class_queries_logits", "masks_queries_logits")),
    "hf-maskformer": ("MaskFormer", _maskformer, 128, ("class_queries_logits", "masks_queries_logits")),
    "hf-upernet": ("UPerNet", _upernet, 128, ("logits",)),
    "hf-vit": ("ViT", lambda hf: _vit(hf, "ViT", "ImageClassification"), 128, ("logits",)),
    "hf-beit": ("BEiT", lambda hf: _vit(hf, "Beit", "ImageClassification"), 128, ("logits",)),
    "hf-swin": (
        "Swin",
        lambda hf: hf.SwinForImageClassification(_swin(hf, id2label=LABELS, window_size=4)),
        128,
        ("logits",),
    ),
    "hf-convnext": ("ConvNeXt V2", _convnext, 128, ("logits",)),
    "hf-dpt": ("DPT", _dpt, 128, ("predicted_depth",)),
    "hf-depth-anything": ("Depth Anything", _depth_anything, 126, ("predicted_depth",)),
}
