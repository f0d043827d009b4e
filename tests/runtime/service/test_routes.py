"""Routes: every path answers as the protocol has it, and the published API has every path."""

from __future__ import annotations

import gzip
import http.client
import json
import os
import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gagrad_runtime.service.asking import Question
from gagrad_runtime.service.models import VERBS
from gagrad_runtime.service.openapi import document
from gagrad_runtime.service.routes import application
from tests.runtime.service.asking import LENGTH, binary

if TYPE_CHECKING:
    from pathlib import Path

    import httpx
    import numpy as np
    from numpy.typing import NDArray

    from tests.serving import Serving

INFER = "/v2/models/tiny.explain/infer"


def said(response: httpx.Response, status: int) -> str:
    """Return the message of an answer that has this status and the protocol's form."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    (message,) = response.json().values()
    assert list(response.json()) == ["error"]
    assert isinstance(message, str)
    return message


def test_the_server_says_what_it_is(client: httpx.Client) -> None:
    """Name, version and extensions; alive; ready."""
    assert client.get("/v2").json()["name"] == "gagrad-edge"
    assert "binary_tensor_data" in client.get("/v2").json()["extensions"]
    assert client.get("/v2/health/live").json() == {"live": True}
    assert client.get("/v2/health/ready").json() == {"ready": True}
    assert client.get("/v2/models/tiny.explain/ready").json() == {"name": "tiny.explain", "ready": True}


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/v2/nothing",
        "/v2/models/none.explain",
        "/v2/models/tiny",
        "/v2/models/tiny.nothing/ready",
        "/v1/models/no",
    ],
)
def test_what_does_not_exist_is_404(client: httpx.Client, path: str) -> None:
    """A path, a bundle or a verb; the message says which models there are."""
    message = said(client.get(path), 404)
    assert "tiny.explain" in message or "/models/" not in path


def test_a_head_that_is_too_large_is_431(client: httpx.Client) -> None:
    """Though the buffers that bodies need could take it."""
    said(client.get("/v2", headers={"x-note": "a" * 20_000}), 431)
    assert client.get("/v2", headers={"x-note": "a" * 400_000}).status_code == 431
    assert client.get("/v2", headers={"x-note": "a" * 10_000}).status_code == 200


def test_a_length_of_many_digits_is_400(client: httpx.Client, pixels: NDArray[np.uint8]) -> None:
    """Python converts no number of 5000 digits."""
    sent = binary({"pixels": pixels})
    said(client.post(INFER, content=sent["content"], headers={LENGTH: "1" * 5000}), 400)


def test_a_wrong_method_is_405(client: httpx.Client) -> None:
    """With the methods that the path has."""
    response = client.get(INFER)
    said(response, 405)
    assert "POST" in response.headers["allow"]


PARAMETERS: dict[str, dict[str, Any]] = {
    "did you mean samples": {"sampels": 5},
    "samples": {"samples": 1},
    "1000": {"samples": 1_000_000},
    "whole number|int": {"samples": 4.5},
    "seed": {"seed": -1},
    "budget_ms": {"budget_ms": 0},
    "operator, paper": {"preset": "best"},
    "no class 'crack'": {"target": "crack"},
    "target": {"target": True},
    "no output 7": {"target": 7},
    "against itself": {"target": "ok", "against": "ok"},
    "left,top,right,bottom": {"box": "1,2,3"},
    "lists no detections": {"box": "1,2,3,4"},
    "finds no areas": {"instance": 1},
    "reads no characters": {"character": 1},
}


@pytest.mark.parametrize("message", PARAMETERS)
def test_a_wrong_parameter_is_400_and_named(
    client: httpx.Client, pixels: NDArray[np.uint8], message: str
) -> None:
    """The message says what is wrong and what can be asked for."""
    response = client.post(INFER, **binary({"pixels": pixels}, **PARAMETERS[message]))
    assert re.search(message, said(response, 400))


def test_a_frame_that_is_none_is_400(client: httpx.Client, pixels: NDArray[np.uint8], png: bytes) -> None:
    """No input, two inputs, bytes that are no image, a wrong shape; no path of this machine is told."""
    import numpy as np

    image = np.full((1, 3, 24, 32), 0.5, np.float32)
    wrong: list[tuple[dict[str, Any], str]] = [
        ({}, "no frame"),
        ({"pixels": pixels, "frame": png}, "frame and pixels"),
        ({"frame": b"no image"}, "frame: "),
        ({"frame": png[:60]}, "frame: "),
        ({"frame": b""}, "frame: "),
        ({"pixels": pixels[None, None]}, "shape"),
        ({"pixels": pixels[:0]}, "empty"),
        ({"image": image[:, :2]}, "image"),
        ({"image": image + 1}, "between 0 and 1"),
        ({"image": image * np.float32(np.nan)}, "between 0 and 1"),
        ({"image": pixels}, "UINT8"),
        ({"pixels": pixels, "noise": image}, "no such input"),
    ]
    for inputs, message in wrong:
        found = said(client.post(INFER, **binary(inputs)), 400)
        assert re.search(message, found), found
        assert "/tmp" not in found  # noqa: S108 - the worker's folder is there
    assert "no such output" in said(client.post(INFER, **binary({"frame": png}, ("map",))), 400)
    response = client.post("/v2/models/tiny.predict/infer", **binary({"image": image * np.float32(np.inf)}))
    assert "no number" in said(response, 400)


def test_a_cotangent_is_checked(client: httpx.Client, png: bytes) -> None:
    """Its shape and type, that it says something, and that nothing else says what is explained."""
    import numpy as np

    path = "/v2/models/tiny.saliency/infer"
    for cotangent, parameters, message in (
        (np.ones((1, 2), np.float32), {}, r"\[1, 3\]"),
        (np.ones((1, 3), np.uint8), {}, "UINT8"),
        (np.zeros((1, 3), np.float32), {}, "all zero"),
        (np.full((1, 3), np.nan, np.float32), {}, "no number"),
        (np.ones((1, 3), np.float32), {"target": "ok"}, "already"),
    ):
        response = client.post(path, **binary({"frame": png, "cotangent": cotangent}, **parameters))
        assert re.search(message, said(response, 400))


def test_a_body_is_bounded_before_it_is_read(served: Serving, client: httpx.Client) -> None:
    """413 by its length, at once; 415 for an encoding that is not known."""
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=10)
    connection.putrequest("POST", INFER)
    connection.putheader("content-length", str(1 << 30))
    connection.endheaders(b"the first bytes")
    answer = connection.getresponse()
    assert answer.status == 413
    assert b"64 MiB" in answer.read()
    connection.close()
    said(client.post(INFER, content=b"x", headers={"content-encoding": "br"}), 415)


def test_a_compressed_request_is_taken(client: httpx.Client, pixels: NDArray[np.uint8]) -> None:
    """As tritonclient sends it: the length of the JSON is that before compression."""
    request = binary({"pixels": pixels})
    plain = client.post("/v2/models/tiny.predict/infer", **request)
    packed = client.post(
        "/v2/models/tiny.predict/infer",
        content=gzip.compress(request["content"]),
        headers={**request["headers"], "content-encoding": "gzip"},
    )
    assert packed.content == plain.content


def test_names_that_are_not_ours_are_refused(client: httpx.Client) -> None:
    """A page of another site can neither ask nor read; the message has the protocol's form."""
    said(client.get("/v2", headers={"host": "example.com"}), 403)
    said(client.post(INFER, json={}, headers={"origin": "http://example.com"}), 403)


def test_the_published_api_is_the_documented_one(client: httpx.Client, root: Path) -> None:
    """docs/service.openapi.json is what the service publishes; ``UPDATE_SCHEMAS=1`` writes it again."""
    path = root / "docs" / "service.openapi.json"
    made = json.dumps(document(), indent=1, ensure_ascii=False, sort_keys=True) + "\n"
    if os.environ.get("UPDATE_SCHEMAS"):
        path.write_text(made, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == made
    assert client.get("/openapi.json").json() == document()


def test_the_published_api_has_every_route(served: Serving) -> None:
    """Each path and method of the application, and no other; each reference leads somewhere."""
    routes = {
        (route.path_format, method)
        for route in application(served.catalogue, 1 << 20).routes
        for method in route.methods  # type: ignore[union-attr]
        if method != "OPTIONS"
    }
    # The verb of version 1 is a part of its last segment.
    v1 = ("/v1/models/{model}", "POST")
    routes = {("/v1/models/{model}:explain", "POST") if route == v1 else route for route in routes}
    described = {
        (path, method.upper())
        for path, methods in document()["paths"].items()
        for method in methods
        if method in ("get", "post")
    }
    assert described == routes
    text = json.dumps(document())
    for name in re.findall(r"#/components/schemas/(\w+)", text):
        assert name in document()["components"]["schemas"]
    properties = document()["components"]["schemas"]["Question"]["properties"]
    assert list(properties) == list(Question.__struct_fields__)


TEXT = st.text(max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=12,
)
INPUTS = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["image", "frame", "pixels", "cotangent", ""]) | TEXT,
        "shape": st.lists(st.integers(-1, 4), max_size=5) | VALUES,
        "datatype": st.sampled_from(["FP32", "UINT8", "UINT16", "BYTES", "FP64"]) | TEXT,
    },
    optional={
        "data": st.lists(st.integers(-1, 300), max_size=30) | VALUES,
        "parameters": st.dictionaries(st.just("binary_data_size"), st.integers(-1, 99) | VALUES) | VALUES,
    },
)
WANTED = st.fixed_dictionaries(
    {"name": st.sampled_from(["saliency", "record"]) | TEXT}, optional={"parameters": VALUES}
)
MESSAGES = st.fixed_dictionaries(
    {"inputs": st.lists(INPUTS, max_size=3) | VALUES},
    optional={
        "id": VALUES,
        "parameters": st.dictionaries(
            st.sampled_from([*Question.__struct_fields__, "binary_data_output"]) | TEXT, VALUES, max_size=3
        ),
        "outputs": st.lists(WANTED, max_size=3) | VALUES,
    },
)
BODIES = st.one_of(
    st.binary(max_size=60),
    MESSAGES.map(json.dumps).map(str.encode),
    st.fixed_dictionaries({"instances": st.lists(VALUES, max_size=3)}, optional={"parameters": VALUES})
    .map(json.dumps)
    .map(str.encode),
)
MODELS = [f"/v2/models/{name}.{verb}" for name in ("tiny", "detector") for verb in VERBS]
ENDS = ("", "/ready", "/infer", "/versions/1", "/versions/1/ready", "/versions/1/infer")
PATHS = st.sampled_from(
    [
        *("/v2", "/v2/health/live", "/v2/health/ready", "/openapi.json", "/v1/models", "/v1/models/tiny"),
        *(model + end for model in MODELS for end in ENDS),
        *(f"/v1/models/{name}:explain" for name in ("tiny", "detector", "x", "")),
    ]
)
HEADERS = st.dictionaries(
    st.sampled_from([LENGTH, "content-encoding", "content-type", "accept", "authorization", "x-other"]),
    st.text("abc019,;=/ -", max_size=8).map(str.strip)
    | st.integers(-5, 200).map(str)
    | st.sampled_from(["gzip", "deflate"]),
    max_size=3,
)


@pytest.mark.slow
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    path=PATHS,
    method=st.sampled_from(["GET", "POST", "POST", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"]),
    body=BODIES,
    headers=HEADERS,
    tail=st.binary(max_size=20),
)
def test_nothing_that_is_sent_is_a_defect(
    client: httpx.Client, path: str, method: str, body: bytes, headers: dict[str, str], tail: bytes
) -> None:
    """Any request on any route gets an answer or a refusal in the protocol's form, and never 500."""
    response = client.request(method, path, content=body + tail, headers=headers)
    assert response.status_code in (200, 204, 400, 404, 405, 413, 415, 422), response.text
    if response.status_code >= 400 and method != "HEAD":
        said(response, response.status_code)
    assert client.get("/v2/health/ready").json() == {"ready": True}
