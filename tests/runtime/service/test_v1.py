"""Version 1: KServe's ``:explain``."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

if TYPE_CHECKING:
    import httpx
    from numpy.typing import NDArray

    from gagrad_runtime.session.explainer import Explainer
    from tests.serving import Serving

PATH = "/v1/models/tiny:explain"


def test_each_instance_is_explained(
    client: httpx.Client, served: Serving, explainer: Explainer, pixels: NDArray[np.uint8], png: bytes
) -> None:
    """Files in base64, in both usual forms, and nested pixels: record and map of the Python call."""
    file = {"b64": base64.b64encode(png).decode()}
    instances: list[Any] = [file, {"image_bytes": file}, pixels.tolist(), pixels[..., 0].tolist()]
    answer = client.post(PATH, json={"instances": instances, "parameters": {"samples": 4}})
    assert answer.status_code == 200, answer.text
    assert answer.json()["model_version"] == served.catalogue.bundle("tiny").version
    found = answer.json()["explanations"]
    assert len(found) == 4
    for one, frame in zip(found, [png, png, pixels, pixels[..., 0]], strict=True):
        own = explainer.explain(frame, samples=4)
        np.testing.assert_array_equal(np.array(one["saliency"], np.float32), own.saliency)
        assert one["record"]["covering"] == own.record()["covering"]


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({}, 400, "instances"),
        ({"instances": []}, 400, "instances"),
        ({"instances": [{}]}, 400, r"instances\[0\].*b64"),
        ({"instances": [{"b64": "%"}]}, 400, r"instances\[0\].*base64"),
        ({"instances": [[[1, 2], [3]]]}, 400, r"instances\[0\].*rows"),
        ({"instances": [[[256]]]}, 400, r"instances\[0\].*255"),
        ({"instances": [[[1]], 7]}, 400, r"instances\[1\]"),
        ({"instances": [[[1]]] * 17}, 400, "16"),
        ({"instances": [[[1]]], "parameters": {"sampels": 3}}, 400, "did you mean samples"),
    ],
)
def test_a_wrong_instance_is_named(
    client: httpx.Client, body: dict[str, Any], status: int, message: str
) -> None:
    """By its number; nothing is explained of a request that is wrong."""
    answer = client.post(PATH, json=body)
    assert answer.status_code == status
    assert re.search(message, answer.json()["error"]), answer.json()["error"]


def test_models_are_listed_and_ready(client: httpx.Client) -> None:
    """By the bundles' names; another verb does not exist."""
    assert client.get("/v1/models").json() == {"models": ["detector", "tiny"]}
    assert client.get("/v1/models/tiny").json() == {"name": "tiny", "ready": True}
    assert client.post("/v1/models/tiny:train", json={}).status_code == 404
    assert client.post("/v1/models/tiny", json={}).status_code == 404
