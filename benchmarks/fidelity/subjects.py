"""The trained models of the study, and the pictures explained with each."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import onnxruntime

from examples.defects.parts import CLASSES, MATERIALS, part
from gagrad_edge import abi
from gagrad_edge.bundle.bundle import read_bundle
from gagrad_export import export

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Array = NDArray[np.float32]

STORE = Path(os.environ.get("FIDELITY_STORE", ".fidelity"))
MODELS = ("lite0", "defects", "textline")
PHOTOGRAPHS = (
    "astronaut.png",
    "camera.png",
    "chelsea.png",
    "coffee.png",
    "coins.png",
    "motorcycle_left.png",
    "retina.jpg",
    "rocket.jpg",
)
TEXTS = (
    "Lot 4711-B",
    "Best before 03/28",
    "SERIAL 0042",
    "Torque 12 Nm",
    "made in EU",
    "Caution: hot",
    "Ref. A-113 / 9",
    "keep upright",
)
PARTS_SERIES = 4
"""Series of the parts; not the training series (1), the held-out series (2) or the series of the demo (3)."""


@dataclass(frozen=True)
class Subject:
    """One picture for one model: ``image`` float32 ``[1, 3, H, W]`` in 0..1, ``mask`` bool ``[H, W]``."""

    model: str
    name: str
    image: Array
    mask: NDArray[np.bool_] | None = None


class Model:
    """A bundle's graphs in ONNX Runtime on one thread."""

    def __init__(self, name: str) -> None:
        self._bundle = read_bundle(_bundle(name))
        self._open: dict[str, Any] = {}

    def run(self, role: str, inputs: dict[str, Array]) -> list[Array]:
        """Run the graph of one role."""
        if role not in self._open:
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = 1
            options.log_severity_level = 4
            graph = self._bundle.graph(role)  # type: ignore[arg-type]
            self._open[role] = onnxruntime.InferenceSession(
                graph, options, providers=["CPUExecutionProvider"]
            )
        outputs: list[Array] = self._open[role].run(None, inputs)
        return outputs

    def probabilities(self, images: Array) -> NDArray[np.float64]:
        """Return the softmax of the scores ``[N, K]`` of ``images [N, 3, H, W]``."""
        scores = self.run("predict", {abi.IMAGE: images})[0].astype(np.float64)
        powers = np.exp(scores - scores.max(axis=1, keepdims=True))
        result: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
        return result

    def gradient(self, image: Array, noise: Array, noise_std: float, target: int) -> Array:
        """Return the gradient ``[3, H, W]`` of the target's score at one sample."""
        classes = self._bundle.manifest.output.shape[0]
        zeros = np.zeros(image.shape[1:], np.float32)
        inputs = {abi.IMAGE: image, abi.NOISE: noise[None], abi.NOISE_STD: np.array(noise_std, np.float32)}
        inputs |= {abi.COTANGENT: np.eye(1, classes, target, dtype=np.float32), abi.ABS_SUM: zeros}
        inputs |= {abi.MEAN: zeros, abi.M2: zeros, abi.COUNT: np.array(0, np.float32)}
        return self.run("accumulate", inputs)[2]  # one sample is its own mean


def subjects(model: str) -> Iterator[Subject]:
    """Yield the pictures of one model."""
    if model == "lite0":
        yield from _photographs()
    elif model == "defects":
        yield from _parts()
    else:
        yield from _text_lines()


def _photographs() -> Iterator[Subject]:
    """Yield the centres of pictures in scikit-image's wheel; only its files are read, it is not imported."""
    package = find_spec("skimage")
    folder = Path(str(package.origin)).parent / "data" if package else Path("skimage is not installed")
    for name in PHOTOGRAPHS:
        photo = cv2.imread(str(folder / name), cv2.IMREAD_COLOR_RGB)
        if photo is None:
            raise FileNotFoundError(folder / name)
        side = min(photo.shape[:2])
        top, left = (photo.shape[0] - side) // 2, (photo.shape[1] - side) // 2
        yield Subject(
            "lite0", Path(name).stem, _planes(photo[top : top + side, left : left + side], (224, 224))
        )


def _parts() -> Iterator[Subject]:
    """Yield two parts of each kind of defect, with masks grown by 6 pixels as in the demo."""
    for index in range(8):
        label = 1 + index % 4
        made = part(PARTS_SERIES, index, label=label, material=MATERIALS[index % len(MATERIALS)].name)
        mask = cv2.resize(made.mask.astype(np.float32), (224, 224), interpolation=cv2.INTER_AREA) > 0.5
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (13, 13))
        grown = cv2.dilate(mask.astype(np.uint8), disc).astype(bool)
        yield Subject("defects", f"{index}-{CLASSES[label]}", _planes(made.image, (224, 224)), grown)


def _text_lines() -> Iterator[Subject]:
    """Yield printed text lines on uneven paper, every other line upside down."""
    from PIL import Image, ImageDraw, ImageFont

    rng = np.random.default_rng(0)
    for index, text in enumerate(TEXTS):
        paper = Image.new("RGB", (192, 48), tuple(int(v) for v in rng.integers(170, 255, 3)))
        ink = tuple(int(v) for v in rng.integers(0, 90, 3))
        ImageDraw.Draw(paper).text((96, 24), text, ink, ImageFont.load_default(22), anchor="mm")
        if index % 2:
            paper = paper.rotate(180)
        shade = cv2.resize(rng.normal(0, 12, (3, 8)), (192, 48), interpolation=cv2.INTER_CUBIC)[..., None]
        noisy = np.asarray(paper, np.float32) + shade + rng.normal(0, 3, (48, 192, 3))
        yield Subject("textline", f"{index}", _planes(np.clip(noisy, 0, 255).astype(np.uint8), (48, 192)))


def _planes(picture: NDArray[Any], size: tuple[int, int]) -> Array:
    resized = cv2.resize(picture, size[::-1], interpolation=cv2.INTER_AREA)
    planes: Array = np.ascontiguousarray(resized.transpose(2, 0, 1)[None], dtype=np.float32)
    return planes / np.float32(255)


def _bundle(name: str) -> Path:
    path = STORE / f"{name}.gagrad"
    if path.exists():
        return path
    from tests.export.networks import lite0, text_direction_model

    if name == "lite0":
        mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
        export(lite0(), path, size=(224, 224), mean=mean, std=std)
    elif name == "defects":
        export("gagrad_edge/demo/defects.onnx", path, size=(224, 224), mean=[0.5] * 3, std=[0.25] * 3)
    else:
        export(text_direction_model(), path, size=(48, 192), mean=[0.5], std=[0.5])
    return path
