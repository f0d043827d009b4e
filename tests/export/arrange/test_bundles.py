"""From a model of each task to its bundle and back: the device says what the model itself says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime
import pytest

import gagrad_runtime
from gagrad_edge.errors import SettingError
from gagrad_export import OutputOptions, export
from tests.export.arrange.models import anomalib, model, text_reader

if TYPE_CHECKING:
    from pathlib import Path

    from gagrad_runtime import Explainer

pytestmark = pytest.mark.slow

LETTERS = "ABCDEFGHIJKL"


def frame() -> np.ndarray:
    return np.random.default_rng(2).integers(0, 255, (16, 16, 3), np.uint8)


def outputs_of(proto: onnx.ModelProto) -> dict[str, np.ndarray]:
    """Return what ONNX Runtime gives for ``frame``, by the output's name."""
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    image = (frame().astype(np.float32) / 255).transpose(2, 0, 1)[None]
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, {"x": image}), strict=True))


def bundle(proto: onnx.ModelProto, folder: Path, **options: Any) -> Explainer:
    """Export ``proto`` and open the bundle."""
    onnx.save(proto, folder / "m.onnx")
    export(folder / "m.onnx", folder / "m.gagrad", **options)
    return gagrad_runtime.load(folder / "m.gagrad", device="cpu", trial=False)


def test_an_anomaly_scorer_says_what_its_file_says(tmp_path: Path) -> None:
    """Score, map, label and mask on the device are those of the file, though the limits are taken off."""
    proto = anomalib()
    expected = outputs_of(proto)
    with bundle(proto, tmp_path) as explainer:
        said = explainer.predict(frame())
        assert said.score == pytest.approx(float(expected["pred_score"].ravel()[0]), abs=1e-5)
        assert said.ng == bool(expected["pred_label"].ravel()[0])
        assert said.anomaly_map == pytest.approx(expected["anomaly_map"][0, 0], abs=1e-5)
        share = float(expected["pred_mask"].mean())
        assert sum(one for _, one in said.areas) == pytest.approx(share, abs=1e-3)
        one = explainer.explain(frame(), samples=4)
        assert one.saliency.max() == 1
        assert one.record()["score"] == pytest.approx(said.score)


def test_a_map_alone_is_explained_above_a_given_threshold(tmp_path: Path) -> None:
    """``threshold`` gives the verdict, and the cells that reach it are what is explained."""
    proto = model(
        "float[N, 1, 16, 16] anomaly_map",
        "r = Relu (a)\n anomaly_map = ReduceMean (r, one)",
        one=np.array([1]),
    )
    places = outputs_of(proto)["anomaly_map"][0, 0]
    limit = float(np.quantile(places, 0.9))
    with bundle(proto, tmp_path, outputs=OutputOptions(threshold=limit)) as explainer:
        one = explainer.explain(frame(), samples=4)
        assert one.target.region is not None
        assert (one.target.region.cells > 0).tolist() == (places >= limit).tolist()
        assert one.prediction is not None
        assert one.prediction.ng


@pytest.mark.parametrize("time_first", [False, True])
def test_a_text_reader_reads_what_its_file_reads(tmp_path: Path, *, time_first: bool) -> None:
    """The text and its probabilities come from the file's scores, whichever axis holds the steps."""
    proto = text_reader(13, time_first=time_first)
    scores = outputs_of(proto)["text"]
    steps = scores[:, 0] if time_first else scores[0]
    with bundle(proto, tmp_path, classes=list(LETTERS)) as explainer:
        said = explainer.predict(frame())
        assert said.probabilities is not None
        assert pytest.approx(steps, abs=1e-5) == said.probabilities.T
        best = [int(one) for one in steps.argmax(axis=1)]
        kept = [one for at, one in enumerate(best) if one and (at == 0 or one != best[at - 1])]
        assert said.text == "".join(LETTERS[one - 1] for one in kept)
        assert explainer.explain(frame(), samples=4).target.path


def test_a_segmenter_is_explained_for_its_largest_class(tmp_path: Path) -> None:
    """A map of class scores in front of a softmax has areas, and each class with one can be explained."""
    proto = model("float[N, 4, 16, 16] mask", "r = Tanh (a)\n mask = Softmax <axis = 1> (r)")
    best = outputs_of(proto)["mask"][0].argmax(axis=0)
    names = ["bg", "one", "two", "three"]
    with bundle(proto, tmp_path, classes=names) as explainer:
        said = explainer.predict(frame())
        shares = {name: float((best == index).mean()) for index, name in enumerate(names)}
        assert dict(said.areas) == pytest.approx({name: shares[name] for name, _ in said.areas})
        assert "bg" not in dict(said.areas)
        made = list(explainer.explain_each(frame(), samples=4))
        assert [one.target.name for one in made] == [name for name, _ in said.areas]
    with bundle(proto, tmp_path, classes=names, outputs=OutputOptions(background="none")) as explainer:
        assert "bg" in dict(explainer.predict(frame()).areas)


def test_a_value_has_its_unit(tmp_path: Path) -> None:
    """``unit`` goes into the bundle and from there to whoever reads the value; other tasks have none."""
    proto = model(
        "float[N] width", "r = Relu (a)\n width = ReduceMean <keepdims = 0> (r, p)", p=np.array([1, 2, 3])
    )
    with bundle(proto, tmp_path, outputs=OutputOptions(unit="mm")) as explainer:
        said = explainer.predict(frame())
        assert said.score == pytest.approx(float(outputs_of(proto)["width"][0]), abs=1e-5)
        assert repr(said).endswith(" mm)")
    with pytest.raises(SettingError, match="belongs to the task regression"):
        bundle(text_reader(13), tmp_path, classes=list(LETTERS), outputs=OutputOptions(unit="mm"))
