"""anomalib 2: models fitted on a few made pictures, and the files that its own ``to_onnx`` writes.

A file holds what a user of anomalib deploys: preprocessing, the model, normalisation of its scores, threshold
and mask. Backbones have random weights: nothing is downloaded.
"""

from __future__ import annotations

import contextlib
import functools
import shutil
import tempfile
from typing import TYPE_CHECKING, Any

from benchmarks.models.entry import Entry
from benchmarks.models.torch_file import flat, pictures, torch_entry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import torch
    from torch import nn

SIDE = 128


def entries() -> Iterator[Entry]:
    """Return the anomaly models."""
    for name, (build, side) in _MODELS.items():
        make = functools.partial(_export, build, side)
        module = functools.partial(_module, build, side)
        family = name.partition("-")[0].title()
        yield Entry(name, _FAMILIES.get(name, family), "anomalib, its own export", (side, side), make, module)
    yield torch_entry(
        "autoencoder",
        "Autoencoder",
        "own module",
        _autoencoder,
        (96, 96),
        outputs=("anomaly_map", "pred_score"),
    )


_FAMILIES = {
    "patchcore": "PatchCore",
    "padim": "PaDiM",
    "efficient-ad": "EfficientAD",
    "stfpm": "STFPM",
    "fastflow": "FastFlow",
    "reverse-distillation": "Reverse Distillation",
    "dfm": "DFM",
    "supersimplenet": "SuperSimpleNet",
}


def _without_downloads() -> Any:
    """Return anomalib's models, with timm told not to fetch weights."""
    from benchmarks.models.vision_operators import declare

    declare()
    import timm
    import torchvision

    create = timm.create_model

    def untrained(*args: Any, **kwargs: Any) -> Any:
        return create(*args, **{**kwargs, "pretrained": False})

    timm.create_model = untrained
    for name in ("resnet18", "wide_resnet50_2", "efficientnet_b5"):
        plain = getattr(torchvision.models, name)
        setattr(torchvision.models, name, lambda plain=plain, **_: plain(weights=None))
    from anomalib.models import image
    from anomalib.models.components.feature_extractors import timm as extractors

    extractors.timm.create_model = untrained
    return image


def _options(image: Any, name: str, side: int, *, crop: int | None = None, **more: Any) -> Any:
    """Return a model of anomalib for images of ``side``² without evaluation and pictures."""
    model = getattr(image, name)
    cropping = {} if crop is None else {"crop_size": crop}
    kinds = {"evaluator": False, "visualizer": False, **more}
    return model(pre_processor=model.configure_pre_processor((side, side), **cropping), **kinds)


def _patchcore(image: Any, side: int) -> Any:
    model = _options(image, "Patchcore", side, backbone="resnet18", pre_trained=False)
    _settled(model.model, side)
    model.model.train()
    model.model.feature_extractor.eval()
    model.model(pictures(4, (3, side, side)))
    model.model.subsample_embedding(0.1)
    return model


def _padim(image: Any, side: int) -> Any:
    model = _options(image, "Padim", side, backbone="resnet18", pre_trained=False)
    _settled(model.model, side)
    model.model.train()
    model.model.feature_extractor.eval()
    for _ in range(4):
        model.model(pictures(32, (3, side, side)))
    model.model.fit()
    return model


def _efficient_ad(image: Any, side: int) -> Any:
    import torch

    model = _options(image, "EfficientAd", side)
    inner = model.model
    with torch.no_grad():
        features = inner.teacher(pictures(4, (3, side, side)))
        inner.mean_std["mean"].data = features.mean((0, 2, 3), keepdim=True)
        inner.mean_std["std"].data = features.std((0, 2, 3), keepdim=True)
        for name, value in {"qa_st": 0.0, "qb_st": 20.0, "qa_ae": 0.0, "qb_ae": 20.0}.items():
            inner.quantiles[name].data = torch.tensor(value)
    return model


def _distilled(name: str, image: Any, side: int, **more: Any) -> Any:
    model = _options(image, name, side, **more)
    _settled(model.model, side)
    return model


def _supersimplenet(image: Any, side: int) -> Any:
    model = _distilled("Supersimplenet", image, side, backbone="resnet18")
    for head in (model.model.segdec.seg_head[-1], model.model.segdec.cls_fc):
        _unsaturated(head, model, side)
    return model


def _unsaturated(head: Any, model: Any, side: int) -> None:
    """Scale the last layer in front of a sigmoid: with random weights the sigmoid is exactly 0 or 1."""
    import torch

    seen: list[Any] = []
    hook = head.register_forward_hook(lambda _part, _inputs, answer: seen.append(answer))
    with torch.no_grad():
        for picture in pictures(4, (3, side, side)):
            model.model(model.pre_processor(picture[None]))
    hook.remove()
    values = torch.cat([answer.flatten() for answer in seen])
    head.weight.data /= values.std()
    if head.bias is not None:
        head.bias.data = (head.bias.data - values.mean()) / values.std()


def _dinomaly(image: Any, side: int) -> Any:
    return _options(image, "Dinomaly", side, crop=side, encoder_name="vit_small_patch14_reg4_dinov2")


def _dfm(image: Any, side: int) -> Any:
    model = _options(image, "Dfm", side, backbone="resnet18", layer="layer3", pre_trained=False)
    inner = model.model
    _settled(inner, side)
    inner.train()
    inner.feature_extractor.eval()
    inner(pictures(32, (3, side, side)))
    inner.fit()
    return model


_MODELS: dict[str, tuple[Callable[[Any, int], Any], int]] = {
    "patchcore": (_patchcore, SIDE),
    "padim": (_padim, SIDE),
    "efficient-ad": (_efficient_ad, 256),
    "stfpm": (functools.partial(_distilled, "Stfpm"), SIDE),
    "fastflow": (functools.partial(_distilled, "Fastflow", pre_trained=False), SIDE),
    "reverse-distillation": (
        functools.partial(_distilled, "ReverseDistillation", backbone="resnet18", pre_trained=False),
        SIDE,
    ),
    "dinomaly": (_dinomaly, 126),
    "supersimplenet": (_supersimplenet, SIDE),
    "dfm": (_dfm, SIDE),
}


def _settled(module: nn.Module, side: int) -> None:
    """Take the statistics of batch normalisation from pictures, wherever they pass."""
    import torch

    norms = [part for part in module.modules() if isinstance(part, torch.nn.BatchNorm2d)]
    # The model decides by its mode what it does, so it is not told that it trains.
    hooks = [part.register_forward_pre_hook(_measure) for part in norms]
    module.eval()
    # Some models ask for what is fitted later, behind their backbone.
    with torch.no_grad(), contextlib.suppress(ValueError, RuntimeError):
        module(pictures(4, (3, side, side)))
    for hook in hooks:
        hook.remove()


def _measure(part: Any, inputs: tuple[torch.Tensor, ...]) -> None:
    (x,) = inputs
    part.running_mean.data = x.mean((0, 2, 3))
    part.running_var.data = x.var((0, 2, 3)) + 1e-3


def _model(build: Callable[[Any, int], Any], side: int) -> Any:
    """Return a model of anomalib whose scores are normalised by what it says of the made pictures."""
    import torch

    torch.manual_seed(0)
    model = build(_without_downloads(), side).eval()
    post = model.post_processor
    model.post_processor = None
    with torch.no_grad():
        said = [model.model(model.pre_processor(picture[None])) for picture in pictures(8, (3, side, side))]
    scores = torch.stack([answer.pred_score.flatten()[0] for answer in said])
    maps = torch.stack([answer.anomaly_map for answer in said]) if said[0].anomaly_map is not None else scores
    for kind, values in (("image", scores), ("pixel", maps)):
        low, high = values.min(), values.max()
        setattr(post, f"{kind}_min", low)
        setattr(post, f"{kind}_max", high + (high - low))
        setattr(post, f"_{kind}_threshold", high)
    model.post_processor = post
    model.requires_grad_(requires_grad=False)
    return model.eval()


def _export(build: Callable[[Any, int], Any], side: int, path: Path) -> None:
    model = _model(build, side)
    with tempfile.TemporaryDirectory() as folder:
        written = model.to_onnx(folder, path.stem, input_size=(side, side))
        for part in written.parent.iterdir():  # the weights are a file beside it
            shutil.move(part, path.parent / part.name)


def _module(build: Callable[[Any, int], Any], side: int) -> nn.Module:
    from benchmarks.models.torch_file import answering

    return answering(_model(build, side), lambda answer: flat(answer._asdict()))


def _autoencoder() -> nn.Module:
    """Return a convolutional autoencoder that answers the map of its squared error and the map's maximum."""
    from torch import nn

    class Autoencoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            steps: list[nn.Module] = []
            for narrow, wide in ((3, 16), (16, 32), (32, 48)):
                steps += [nn.Conv2d(narrow, wide, 4, 2, 1), nn.BatchNorm2d(wide), nn.LeakyReLU(0.2)]
            for wide, narrow in ((48, 32), (32, 16), (16, 3)):
                steps += [nn.ConvTranspose2d(wide, narrow, 4, 2, 1), nn.BatchNorm2d(narrow), nn.ReLU()]
            self.steps = nn.Sequential(*steps[:-2], nn.Sigmoid())

        def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            squared = (image - self.steps(image)).square().mean(1, keepdim=True)
            smooth = nn.functional.avg_pool2d(squared, 5, 1, 2)
            return smooth, smooth.amax((1, 2, 3))

    return Autoencoder()
