"""Which layer the exporter takes for class activation maps, in networks of many kinds, and why.

python -m benchmarks.feature_layers        (about five minutes; writes docs/feature-layers.md)
"""

from __future__ import annotations

import logging
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from benchmarks.table import machine, markdown, publish
from gagrad_edge.abi import COTANGENT, IMAGE, feature_name
from gagrad_edge.input import InputSpec
from gagrad_edge.method.class_activation import added_levels, class_activation_maps
from gagrad_export.assemble.cam import DELTA, cam_probe_graph
from gagrad_export.assemble.feature_layer import choose_feature_layers
from gagrad_export.canonicalise import Canonical, canonicalise
from gagrad_export.load.torch_module import load_torch_module
from gagrad_export.verify.sessions import open_session
from tests.export import networks  # noqa: F401 - lets torchvision, and so timm, be imported
from tests.export.feature_networks import NETWORKS, SIZE, SIZES, feature_network

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

    from gagrad_edge.manifest import FeatureLayer

TIMM = (
    "resnet18",
    "densenet121",
    "inception_v3",
    "regnety_002",
    "mobilenetv3_small_100",
    "efficientnet_b0",
    "hrnet_w18_small",
    "convnext_atto",
    "mobilevit_xxs",
    "vit_tiny_patch16_224",
    "vit_tiny_r_s16_p8_224",
    "deit_tiny_distilled_patch16_224",
    "cait_xxs24_224",
    "eva02_tiny_patch14_224",
    "xcit_nano_12_p16_224",
    "swin_tiny_patch4_window7_224",
    "pvt_v2_b0",
    "maxvit_tiny_tf_224",
    "levit_128s",
    "mixer_s16_224",
)
PLACES = 16
INTRODUCTION = """# Where class activation maps are taken

`export` chooses the layer of Grad-CAM, Grad-CAM++ and LayerCAM by itself, prints it (the `grad-cam` lines) and
`inspect --layer cells.png` draws its cells over a frame. The choice is made on the graph. No name of a layer plays a part:

- Each axis is followed from the image's rows and columns through every operator. A map is a value whose cells lie where
  they see the image, to within a cell, and which has more than one feature. Rows of a head that happen to be 9×9, and tokens
  that are laid out in one row, are none; nor is the image itself, or a reconstruction of it.
- There are weights in front of the map, and on every path behind it. Behind the last weights stand scores.
- On each path from image to score, the last map is taken. Mostly that is one and the same map. Of a detector it is one for each
  scale. Where heads for classes and boxes read one map, it is that map.
- Patches whose last values the score does not read, because a class token has gathered them, are passed over: the tokens that the
  last attention reads are taken.
- Where a part of the image reaches the score beside every map, there is no layer, and a note says so.

**Several layers.** The gradient at each layer is taken with the others held, so what passes through a later layer is counted there
only. The maps of the layers are not scaled one by one: each is enlarged to the largest grid and divided by the number of cells that
take the place of one. So all are in the unit of the target, and an anchor's map comes from its own scale, the others being zero.
The LayerCAM map of a sum of scores is then the sum of their maps. pytorch-grad-cam scales each layer's map to 0..1 and
takes the mean. The last table shows what that does to a target of two anchors of which one has a hundredth of the other's weight.

**A finer layer.** Where the one layer has fewer than 20 cells along its shorter side, the last map in front of it that lies on every path and has cells
of half the sides is taken beside it. Its maps are an output of their own and are not added; `inspect` prints the layer as `and finer`.

In the column *follows the image*, a patch of the image as large as a cell is changed, in {places} places: in how many the layer
changes most in the cell over that patch or beside it. The weights are random, the networks those of timm and
`tests/export/feature_networks.py`. An attention with random weights looks everywhere alike, so the figure is low where no sum carries
the positions around it (levit). Where a cell sees most of the image, the change spreads over its neighbours (inception).

Reproduce: `python -m benchmarks.feature_layers`. {machine}

"""


def main() -> None:
    """Choose, check and publish."""
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    rows = [row for name in TIMM for row in _rows(name, _timm(name), (0, 0))]
    for name in NETWORKS:
        rows += _rows(name, feature_network(name), SIZES.get(name, SIZE))
    header = ("network", "layer", "features", "height × width", "follows the image", "why")
    text = INTRODUCTION.format(places=PLACES, machine=machine("torch", "timm", "onnxruntime"))
    scales = ("LayerCAM of two anchors", "added, one unit", "each layer scaled to 0..1, mean")
    publish("feature-layers", text + markdown(header, rows) + "\n" + markdown(scales, _two_anchors()))


def _timm(name: str) -> nn.Module:
    import timm

    torch.manual_seed(0)
    model: nn.Module = timm.create_model(name)
    return model.eval()


def _canonical(name: str, module: Any, size: tuple[int, int]) -> Canonical:
    height, width = size if size[0] else module.default_cfg["input_size"][1:]
    return canonicalise(load_torch_module(module, name=name, input_shape=(3, height, width)).model)


def _rows(name: str, module: nn.Module, size: tuple[int, int]) -> list[Sequence[object]]:
    model = _canonical(name, module, size)
    chosen = choose_feature_layers(model, "auto")
    if not chosen.layers:
        return [(name, "none", "", "", "", chosen.why)]
    rows: list[Sequence[object]] = []
    for layer, found in zip(chosen.layers, _following(model, chosen.layers), strict=True):
        cells = f"{layer.height} × {layer.width}{' tokens' if layer.layout == 'tokens' else ''}"
        why = '"' if rows else chosen.why
        rows.append(
            (name, f"`{layer.name}` ({layer.operator})", layer.features, cells, f"{found} of {PLACES}", why)
        )
    return rows


def _spec(model: Canonical) -> InputSpec:
    _, height, width = model.input_shape
    return InputSpec(height=height, width=width, colour="rgb", mean=[0.0] * 3, std=[1.0] * 3)


def _zeros(layers: Sequence[FeatureLayer]) -> dict[str, np.ndarray]:
    return {
        f"{DELTA}_{i}": np.zeros((1, layer.features, layer.height, layer.width), np.float32)
        for i, layer in enumerate(layers)
    }


def _following(model: Canonical, layers: Sequence[FeatureLayer]) -> list[int]:
    """Return for each layer in how many places it changes most where the image was changed."""
    session = open_session(cam_probe_graph(model, _spec(model), layers), "cam_probe")
    _, height, width = model.input_shape
    rng = np.random.default_rng(0)
    image = rng.uniform(0.3, 0.7, (1, *model.input_shape)).astype(np.float32)
    cotangent = np.ones((1, *model.score_shape), np.float32)
    zeros = _zeros(layers)

    def features(x: np.ndarray, index: int) -> np.ndarray:
        found: np.ndarray = session.run([feature_name(index)], {IMAGE: x, COTANGENT: cotangent, **zeros})[0]
        return found

    counts = []
    for index, layer in enumerate(layers):
        before, right = features(image, index), 0
        for _ in range(PLACES):
            row, column = int(rng.integers(layer.height)), int(rng.integers(layer.width))
            y, x = height * row // layer.height, width * column // layer.width
            part = (
                ...,
                slice(y, height * (row + 1) // layer.height),
                slice(x, width * (column + 1) // layer.width),
            )
            changed = image.copy()
            changed[part] = rng.uniform(0, 1, changed[part].shape)
            moved = np.abs(features(changed, index) - before).sum(axis=1)[0]
            at = np.unravel_index(int(moved.argmax()), moved.shape)
            right += max(abs(int(at[0]) - row), abs(int(at[1]) - column)) <= 1
        counts.append(right)
    return counts


def _two_anchors() -> list[Sequence[object]]:
    """Return LayerCAM's values at two anchors, the strong one's as 1, for both ways to add.

    Each anchor is the one of its scale with the largest value, the weak one not beside the strong one.
    """
    name = "pyramid, class rows"
    model = _canonical(name, feature_network(name), SIZE)
    layers = choose_feature_layers(model, "auto").layers
    session = open_session(cam_probe_graph(model, _spec(model), layers), "cam_probe")
    image = np.random.default_rng(0).uniform(0, 1, (1, *model.input_shape)).astype(np.float32)
    zeros = _zeros(layers)

    def maps(cotangent: np.ndarray) -> list[np.ndarray]:
        _, *rest = session.run(None, {IMAGE: image, COTANGENT: cotangent, **zeros})
        pairs = zip(rest[: len(layers)], rest[len(layers) :], strict=True)
        return [class_activation_maps(features, gradient)[2:] for features, gradient in pairs]

    cotangent = np.zeros((1, *model.score_shape), np.float32)
    cotangent[0, 2] = 1
    fine, coarse, _ = (level[0, 0].copy() for level in maps(cotangent))
    row, column = (int(i) for i in np.unravel_index(int(fine.argmax()), fine.shape))
    coarse[max(row // 2 - 2, 0) : row // 2 + 3, max(column // 2 - 2, 0) : column // 2 + 3] = 0
    y, x = (int(i) for i in np.unravel_index(int(coarse.argmax()), coarse.shape))
    cotangent[:] = 0
    cotangent[0, 2, row * fine.shape[1] + column] = 1
    cotangent[0, 2, fine.size + y * coarse.shape[1] + x] = 0.01
    levels = maps(cotangent)
    found = [added_levels(levels), _mean([level / max(float(level.max()), 1e-12) for level in levels])]
    ratios = [
        float(total[0, 0, 2 * y : 2 * y + 2, 2 * x : 2 * x + 2].max() / total[0, 0, row, column])
        for total in found
    ]
    return [
        ("at the anchor of weight 1", "1", "1"),
        ("at the anchor of weight 0.01", *(f"{ratio:.2g}" for ratio in ratios)),
    ]


def _mean(levels: Sequence[np.ndarray]) -> np.ndarray:
    """Return the maps as pytorch-grad-cam adds them: each scaled to 0..1 and enlarged, then their mean."""
    import cv2

    size = levels[0].shape[:1:-1]
    large = [cv2.resize(level[0, 0], size, interpolation=cv2.INTER_LINEAR) for level in levels]
    return np.mean(large, axis=0)[None, None]


if __name__ == "__main__":
    main()
