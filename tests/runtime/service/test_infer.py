"""Infer: the service's answers are those of the Python call, in every form of request."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import cv2
import httpx
import msgspec
import numpy as np
import pytest

from gagrad_edge.bundle.bundle import read_bundle, write_bundle
from gagrad_edge.errors import SettingError
from gagrad_runtime.frame.frame import load_frame
from gagrad_runtime.frame.image import prepare
from gagrad_runtime.report.report import Report
from tests.detector import marked
from tests.models import CLASSES
from tests.runtime.service.asking import binary, infer, outputs_of
from tests.serving import serving

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from gagrad_runtime.session.explainer import Explainer
    from tests.serving import Serving

ALL = ("scores", "target", "saliency", "record", "picture")


@pytest.mark.slow
def test_an_explanation_is_that_of_the_python_call(
    client: httpx.Client, explainer: Explainer, pixels: NDArray[np.uint8]
) -> None:
    """Map, scores and target bit for bit; the record but for times and the frame's name."""
    found = infer(client, "tiny.explain", {"pixels": pixels}, ALL)
    own = explainer.explain(pixels)
    np.testing.assert_array_equal(found["saliency"], own.saliency)
    np.testing.assert_array_equal(found["scores"], own.scores[None])
    assert found["target"].tolist() == list(own.target.index)
    record, expected = json.loads(found["record"]), own.record()
    assert record["frame"].pop("file") == "pixels"
    assert expected["frame"].pop("file") == "array"
    for one in (record, expected):
        one.pop("run")
    assert record == json.loads(json.dumps(expected))
    picture = cv2.imdecode(np.frombuffer(found["picture"], np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == Report(own).picture().shape


@pytest.mark.parametrize("ending", [".png", ".jpg", ".tiff", ".bmp"])
def test_a_file_is_read_as_by_the_python_call(
    client: httpx.Client, explainer: Explainer, pixels: NDArray[np.uint8], ending: str
) -> None:
    """PNG, JPEG, TIFF and BMP, of another size than the model's image."""
    data = cv2.imencode(ending, pixels)[1].tobytes()
    found = infer(client, "tiny.explain", {"frame": data}, preset="paper", samples=4, seed=7)
    own = explainer.explain(data, preset="paper", samples=4, seed=7, rcap=False)
    np.testing.assert_array_equal(found["saliency"], own.saliency)


def test_the_models_own_image_is_taken_as_it_is(
    client: httpx.Client, explainer: Explainer, pixels: NDArray[np.uint8]
) -> None:
    """``image`` gives the scores of the graph exactly, and the map of the frame that it came from."""
    image, _ = prepare(load_frame(pixels), explainer.manifest.input)
    scores = infer(client, "tiny.predict", {"image": image})["scores"]
    np.testing.assert_array_equal(scores, explainer.scores(image))
    found = infer(client, "tiny.explain", {"image": image})
    np.testing.assert_allclose(found["saliency"], explainer.explain(pixels).saliency, atol=2e-3)


def test_several_images_are_predicted_at_once(client: httpx.Client, explainer: Explainer) -> None:
    """Up to sixteen, as in the model repository for Triton."""
    images = np.random.default_rng(0).random((5, *explainer.manifest.input.shape), np.float32)
    scores = infer(client, "tiny.predict", {"image": images})["scores"]
    np.testing.assert_allclose(scores, explainer.scores(images), rtol=1e-5, atol=1e-6)


def test_json_says_the_same_as_bytes(client: httpx.Client, pixels: NDArray[np.uint8], png: bytes) -> None:
    """Flat and nested pixels, a file in base64, and an answer in JSON."""
    wanted = infer(client, "tiny.explain", {"pixels": pixels}, ("saliency", "record", "picture"), samples=4)
    shape = list(pixels.shape)
    forms: list[dict[str, Any]] = [
        {"name": "pixels", "shape": shape, "datatype": "UINT8", "data": pixels.tolist()},
        {"name": "pixels", "shape": shape, "datatype": "UINT8", "data": pixels.ravel().tolist()},
        {"name": "frame", "shape": [1], "datatype": "BYTES", "data": [base64.b64encode(png).decode()]},
    ]
    for form in forms:
        request = {
            "id": "part-7",
            "inputs": [form],
            "outputs": [{"name": "saliency"}, {"name": "record"}, {"name": "picture"}],
            "parameters": {"samples": 4},
        }
        response = client.post("/v2/models/tiny.explain/infer", json=request)
        assert response.headers["content-type"] == "application/json"
        assert response.json()["id"] == "part-7"
        found = outputs_of(response)
        np.testing.assert_array_equal(np.array(found["saliency"], np.float32), wanted["saliency"].ravel())
        assert json.loads(found["record"][0])["places"] == json.loads(wanted["record"])["places"]
        assert base64.b64decode(found["picture"][0]).startswith(b"\x89PNG")


def test_the_record_of_a_prediction_comes_when_asked_for(
    client: httpx.Client, explainer: Explainer, png: bytes
) -> None:
    """It is the line that ``predict --json`` prints, and no part of the usual answer."""
    assert set(infer(client, "tiny.predict", {"frame": png})) == {"scores"}
    record = json.loads(infer(client, "tiny.predict", {"frame": png}, ("record",))["record"])
    assert record["answer"] == explainer.predict(png).answer


def test_a_target_and_its_rival_are_explained(
    client: httpx.Client, explainer: Explainer, pixels: NDArray[np.uint8]
) -> None:
    """By name and by number."""
    own = explainer.explain(pixels, "dent", against="ok", rcap=False, cover=False)
    for target, against in (("dent", "ok"), (2, 0)):
        found = infer(client, "tiny.explain", {"pixels": pixels}, target=target, against=against)
        np.testing.assert_array_equal(found["saliency"], own.saliency)
        assert found["target"].tolist() == [2]


def test_a_detection_is_chosen_by_its_box(client: httpx.Client, served: Serving) -> None:
    """``box`` means the detection that overlaps it most; the boxes of all candidates are an output."""
    frame = marked((40, 40, 0), (136, 88, 1))
    record = json.loads(infer(client, "detector.predict", {"pixels": frame}, ("record",))["record"])
    last = record["detections"][-1]
    box = ",".join(map(str, last["box"]))
    found = json.loads(infer(client, "detector.explain", {"pixels": frame}, ("record",), box=box)["record"])
    assert found["target"]["box"] == pytest.approx(last["box"], abs=0.02)
    assert infer(client, "detector.predict", {"pixels": frame})["boxes"].shape[2] == 4
    shape = served.catalogue.bundle("detector").metadata("predict").outputs[1].shape
    assert shape == [-1, *infer(client, "detector.predict", {"pixels": frame})["boxes"].shape[1:]]


def test_names_and_shapes_are_those_of_the_repository_for_triton(
    client: httpx.Client, tiny_bundle: Path, tmp_path: Path
) -> None:
    """Each model's inputs and outputs there are here too, with the same shape and datatype."""
    import onnx

    from gagrad_export.triton import write_repository

    write_repository(read_bundle(tiny_bundle), tmp_path)
    for verb in ("predict", "saliency"):
        graph = onnx.load(tmp_path / f"tiny.{verb}" / "1" / "model.onnx").graph
        metadata = client.get(f"/v2/models/tiny.{verb}").json()
        for ports, named in ((graph.input, metadata["inputs"]), (graph.output, metadata["outputs"])):
            known = {one["name"]: one for one in named}
            for port in ports:
                shape = [axis.dim_value or -1 for axis in port.type.tensor_type.shape.dim]
                assert known[port.name]["shape"] == shape
                assert known[port.name]["datatype"] == "FP32"


def test_the_papers_map_is_that_of_the_graph_for_triton(
    client: httpx.Client, tiny_bundle: Path, explainer: Explainer
) -> None:
    """With ``preset=paper``: for a class, for a difference, and for weights that no class stands for."""
    import onnxruntime

    from gagrad_export.triton.graphs import saliency_graph

    bundle = read_bundle(tiny_bundle)
    session = onnxruntime.InferenceSession(
        saliency_graph(bundle, bundle.manifest.method.samples, 0), providers=["CPUExecutionProvider"]
    )
    # Whole 65535ths: what ``image`` is rounded to.
    whole = np.random.default_rng(5).integers(0, 65536, (1, *explainer.manifest.input.shape))
    image = (whole / np.float32(65535)).astype(np.float32)
    for weights in ([0, 1, 0], [-1, 1, 0], [0.5, 0.25, -2]):
        cotangent = np.array([weights], np.float32)
        (expected,) = session.run(["saliency"], {"image": image, "cotangent": cotangent})
        found = infer(client, "tiny.saliency", {"image": image, "cotangent": cotangent}, preset="paper")[
            "saliency"
        ]
        assert np.mean(np.abs(found - expected) <= 1e-3) >= 0.995
    explained = infer(client, "tiny.explain", {"image": image}, preset="paper")
    best = np.eye(3, dtype=np.float32)[explained["target"]]
    (expected,) = session.run(["saliency"], {"image": image, "cotangent": best})
    assert np.mean(np.abs(explained["saliency"] - expected) <= 1e-3) >= 0.995


def test_a_version_is_the_bundles_hash(client: httpx.Client, served: Serving, png: bytes) -> None:
    """In full, or the twelve characters that pages show; another version does not exist."""
    sha256 = served.catalogue.bundle("tiny").version
    for version in (sha256, sha256[:12], sha256[:20].upper()):
        path = f"/v2/models/tiny.predict/versions/{version}"
        assert client.get(path).json()["versions"] == [sha256]
        assert client.get(f"{path}/ready").json() == {"name": "tiny.predict", "ready": True}
        answer = client.post(f"{path}/infer", **binary({"frame": png}))
        head = json.loads(answer.content[: int(answer.headers["Inference-Header-Content-Length"])])
        assert head["model_version"] == sha256
    for version in (sha256[:11], "1", "0" * 64):
        response = client.get(f"/v2/models/tiny.predict/versions/{version}")
        assert response.status_code == 404
        assert sha256 in response.json()["error"]


@pytest.mark.slow
def test_two_bundles_of_one_name_are_two_versions(tiny_bundle: Path, tmp_path: Path, png: bytes) -> None:
    """The one that was given last is the default; the same bundle twice is refused."""
    bundle = read_bundle(tiny_bundle)
    output = msgspec.structs.replace(bundle.manifest.output, classes=["a", "b", "c"])
    other = tmp_path / "other.gagrad"
    write_bundle(other, msgspec.structs.replace(bundle.manifest, output=output), bundle.members)
    with serving([tiny_bundle, other]) as served:
        first, second = (one.version for one in served.catalogue.served)
        with httpx.Client(base_url=served.address, trust_env=False) as client:
            assert client.get("/v2/models/tiny.explain").json()["versions"] == [second]
            for model, classes in (
                (f"tiny.predict/versions/{first}", set(CLASSES)),
                (f"tiny.predict/versions/{second}", {"a", "b", "c"}),
                ("tiny.predict", {"a", "b", "c"}),
            ):
                record = json.loads(infer(client, model, {"frame": png}, ("record",))["record"])
                assert {one["name"] for one in record["classes"]} == classes
    with pytest.raises(SettingError, match="given twice"), serving([other, other]):
        pass
