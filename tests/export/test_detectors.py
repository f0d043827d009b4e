"""Detectors from model to bundle: what is verified, and what ``predict`` gives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx
import pytest

from gagrad_edge.bundle.bundle import read_bundle
from gagrad_edge.manifest import GraphKey
from gagrad_export import BundleOptions, MethodSpec, export
from tests.export.arrange import detectors
from tests.export.arrange.detectors import CELLS, SIZE, ultralytics

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    from gagrad_export.pipeline import ExportReport

OPTIONS = BundleOptions(method=MethodSpec(samples=4, chunk=2), feature_layer=None)


def exported(model: onnx.ModelProto | torch.nn.Module, folder: Path, **options: object) -> ExportReport:
    """Export with few samples."""
    if isinstance(model, onnx.ModelProto):
        onnx.save(model, folder / "model.onnx")
        return export(folder / "model.onnx", folder / "m.gagrad", bundle=OPTIONS, **options)  # type: ignore[arg-type]
    return export(model, folder / "m.gagrad", bundle=OPTIONS, **options)  # type: ignore[arg-type]


@pytest.mark.slow
def test_a_detector_becomes_a_bundle(tmp_path: Path) -> None:
    """The manifest says what is listed, the self-test explains a class row, and no box is clipped or lost."""
    report = exported(detectors.yolov8(3, 0, ultralytics("detect", 3)), tmp_path)
    output = report.manifest.output
    assert (output.task, output.activation, output.shape) == ("detection", "sigmoid", [3, CELLS])
    assert output.classes == ["kind 0", "kind 1", "kind 2"]
    assert output.detection is not None
    assert output.detection.candidates == CELLS
    assert len(report.manifest.selftest.target) == 2
    assert report.manifest.verification.forward_error < 1e-4
    assert any(note.startswith("detection: output0 holds") for note in report.manifest.model.notes)
    assert not any("gagrad-" in note for note in report.manifest.model.notes)


@pytest.mark.slow
def test_predict_computes_the_model_once(tmp_path: Path) -> None:
    """Scores and boxes come out of one run: ``predict`` has as many convolutions as the model."""
    model = detectors.yolov8()
    exported(model, tmp_path)
    graph = read_bundle(tmp_path / "m.gagrad").graph(GraphKey("predict"))
    predict = onnx.load_model_from_string(bytes(graph))
    own = [node.op_type for node in model.graph.node].count("Conv")
    assert [node.op_type for node in predict.graph.node].count("Conv") == own
    assert [value.name for value in predict.graph.output] == ["scores", "boxes"]


def torch_detector() -> torch.nn.Module:
    """Return a module with YOLOv8's output: boxes on two grids, and probabilities."""
    import torch

    class Detector(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.first = torch.nn.Conv2d(3, 8, 8, 8)
            self.second = torch.nn.Conv2d(8, 8, 2, 2)
            self.heads = torch.nn.ModuleList([torch.nn.Conv2d(8, 7, 1), torch.nn.Conv2d(8, 7, 1)])
            places = [self.grid(stride) for stride in (8, 16)]
            self.register_buffer("places", torch.cat([one[0] for one in places], 1)[None])
            self.register_buffer("strides", torch.cat([one[1] for one in places])[None, None])

        @staticmethod
        def grid(stride: int) -> tuple[torch.Tensor, torch.Tensor]:
            side = SIZE // stride
            y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
            return torch.stack([x.flatten(), y.flatten()]) + 0.5, torch.full((side * side,), float(stride))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            first = torch.tanh(self.first(x))
            features = first, torch.tanh(self.second(first))
            raw = torch.cat([head(one).flatten(2) for head, one in zip(self.heads, features, strict=True)], 2)
            size = raw[:, 2:4].exp() * self.strides
            boxes = torch.cat([(raw[:, :2].tanh() + self.places) * self.strides, size], 1)
            return torch.cat([boxes, raw[:, 4:].sigmoid()], 1)

    return Detector()


@pytest.mark.slow
def test_a_module_is_checked_by_autograd_of_the_class(tmp_path: Path) -> None:
    """Torch does not know the added nodes; its own class probability gives the logit's gradient."""
    report = exported(torch_detector(), tmp_path, size=(SIZE, SIZE))
    assert report.manifest.output.task == "detection"
    assert report.manifest.verification.reference == "autograd"
    assert report.manifest.verification.gradient_error < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("make", ["yolov5", "yolox", "end_to_end", "suppressing", "ssd"])
def test_every_layout_becomes_a_bundle(make: str, tmp_path: Path) -> None:
    """Boxes and probabilities are the source's own, and the gradient of a likely candidate is confirmed."""
    report = exported(getattr(detectors, make)(), tmp_path)
    output, verified = report.manifest.output, report.manifest.verification
    assert output.task == "detection"
    assert output.detection is not None
    assert verified.forward_error < 1e-4
    assert verified.gradient_error <= verified.gradient_tolerance
    if make == "ssd":
        assert report.manifest.selftest.target[0] != output.detection.background == 0


@pytest.mark.slow
def test_names_may_leave_the_background_out(tmp_path: Path) -> None:
    """Three names for DETR's four scores: the fourth is named ``background``, and is never listed."""
    report = exported(detectors.detr(4, bias=-1.0), tmp_path, classes=["dent", "crack", "stain"])
    assert report.manifest.output.classes == ["dent", "crack", "stain", "background"]
    assert report.manifest.output.activation == "softmax"
    assert report.manifest.output.detection is not None
    assert report.manifest.output.detection.background == 3
