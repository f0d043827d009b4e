"""Text: PP-OCR's three files, which Paddle made, and docTR's detector and recogniser."""

from __future__ import annotations

import functools
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.models.entry import Entry
from benchmarks.models.torch_file import torch_entry

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch
    from torch import nn

_PP_OCR = {
    "pp-ocr-det": ("PP-OCR text detector", "ch_PP-OCRv4_det_infer.onnx", (160, 160)),
    "pp-ocr-cls": ("PP-OCR text direction", "ch_ppocr_mobile_v2.0_cls_infer.onnx", (48, 192)),
    "pp-ocr-rec": ("PP-OCR recogniser", "ch_PP-OCRv4_rec_infer.onnx", (48, 160)),
}


def entries() -> Iterator[Entry]:
    """Return the models that find and read text."""
    for name, (family, file, size) in _PP_OCR.items():
        yield Entry(name, family, "PaddlePaddle, paddle2onnx", size, functools.partial(_copy, file))
    for name, family, size, outputs in (
        ("db_mobilenet_v3_large", "DBNet", (128, 128), ("logits",)),
        ("crnn_mobilenet_v3_small", "CRNN", (32, 128), ("logits",)),
    ):
        build = functools.partial(_doctr, name)
        yield torch_entry(f"doctr-{name.split('_')[0]}", family, "python-doctr", build, size, outputs=outputs)
    yield torch_entry("crnn", "CRNN", "own module", _crnn, (32, 160), channels=1, outputs=("logits",))


def _copy(file: str, path: Path) -> None:
    """Copy one of the files that rapidocr-onnxruntime carries, with its trained weights."""
    package = find_spec("rapidocr_onnxruntime")
    if package is None or package.submodule_search_locations is None:
        raise ModuleNotFoundError("rapidocr_onnxruntime")
    shutil.copyfile(Path(package.submodule_search_locations[0]) / "models" / file, path)


def _doctr(name: str) -> nn.Module:
    from benchmarks.models.vision_operators import declare

    declare()
    from doctr import models

    kind = models.detection if name.startswith("db") else models.recognition
    # exportable: the logits alone, as its documentation says for ONNX.
    model: nn.Module = getattr(kind, name)(pretrained=False, pretrained_backbone=False, exportable=True)
    return model


def _crnn() -> nn.Module:
    """Return the network of Shi et al. (2015) at half its width: columns, two LSTMs, 37 characters and a blank."""
    from torch import nn

    class Reader(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            columns: list[nn.Module] = []
            for narrow, wide, pool in ((1, 32, 2), (32, 64, 2), (64, 128, (2, 1)), (128, 128, (2, 1))):
                columns += [
                    nn.Conv2d(narrow, wide, 3, 1, 1),
                    nn.BatchNorm2d(wide),
                    nn.ReLU(),
                    nn.MaxPool2d(pool),
                ]
            self.columns = nn.Sequential(*columns, nn.Conv2d(128, 128, (2, 1)), nn.ReLU())
            self.sequence = nn.LSTM(128, 64, num_layers=2, bidirectional=True, batch_first=True)
            self.characters = nn.Linear(128, 38)

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            features = self.columns(image).squeeze(2).transpose(1, 2)
            answer: torch.Tensor = self.characters(self.sequence(features)[0])
            return answer

    return Reader()
