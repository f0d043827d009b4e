"""Codec: what is not a request is refused with a message, whatever the bytes are."""

from __future__ import annotations

import contextlib
import json
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gagrad_runtime.service.codec import Output, answer_of, request_of
from gagrad_runtime.service.protocol import InferResponse
from gagrad_runtime.service.refusals import RefusedError
from tests.runtime.service.asking import binary


def of(message: dict[str, Any], data: bytes = b"") -> Any:
    """Return the request of a message and the bytes behind it."""
    text = json.dumps(message).encode()
    return request_of(text + data, str(len(text)))


def one(datatype: str, shape: list[int], **fields: Any) -> dict[str, Any]:
    """Return a message with one input ``x``."""
    return {"inputs": [{"name": "x", "shape": shape, "datatype": datatype, **fields}]}


@pytest.mark.parametrize("dtype", [np.float32, np.uint8, np.uint16])
def test_a_tensor_survives_the_way(dtype: type) -> None:
    """Its values, shape and type, as bytes and as JSON."""
    values = np.arange(24).astype(dtype).reshape(2, 3, 4)
    sent = binary({"x": values})
    found = request_of(sent["content"], sent["headers"]["Inference-Header-Content-Length"])
    np.testing.assert_array_equal(found.inputs["x"].values, values)
    assert found.binary
    described = {"float32": "FP32", "uint8": "UINT8", "uint16": "UINT16"}[values.dtype.name]
    flat = of(one(described, [2, 3, 4], data=values.ravel().tolist()))
    nested = of(one(described, [2, 3, 4], data=values.tolist()))
    for request in (flat, nested):
        assert request.inputs["x"].values.dtype == dtype
        np.testing.assert_array_equal(request.inputs["x"].values, values)


def test_outputs_are_bytes_where_they_are_wanted_so() -> None:
    """One in JSON and one behind it in the same answer; by the output's own flag, else by the request's."""
    message = {
        **one("UINT8", [1], data=[1]),
        "outputs": [{"name": "a", "parameters": {"binary_data": False}}, {"name": "b"}],
        "parameters": {"binary_data_output": True, "seed": 3},
    }
    request = of(message)
    assert dict(request.outputs) == {"a": False, "b": True}
    assert request.parameters == {"seed": 3}
    values = np.array([[0.5, 1]], np.float32)
    head = InferResponse(model_name="m", model_version="1", outputs=[])
    body, length = answer_of(head, [(Output("a", values), False), (Output("b", b"\xff\x00"), True)])
    assert json.loads(body[:length])["outputs"] == [
        {"name": "a", "shape": [1, 2], "datatype": "FP32", "data": [0.5, 1.0]},
        {"name": "b", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": 6}},
    ]
    assert body[length:] == struct.pack("<I", 2) + b"\xff\x00"


WRONG: dict[str, tuple[dict[str, Any], bytes, str]] = {
    "no data": (one("FP32", [1]), b"", "neither data"),
    "unknown datatype": (one("FP8", [1], data=[1]), b"", "FP8"),
    "too few values": (one("FP32", [2], data=[1]), b"", "2 values"),
    "too many values": (one("FP32", [1], data=[1, 2]), b"", "1 values"),
    "ragged": (one("FP32", [2], data=[[1], 2]), b"", "mixes lists"),
    "text among numbers": (one("FP32", [1], data=["1"]), b"", "data"),
    "a null": (one("FP32", [1], data=[None]), b"", "data"),
    "out of range": (one("UINT8", [1], data=[256]), b"", "0 to 255"),
    "beyond 64 bits": (one("UINT8", [1], data=[1 << 70]), b"", "outside 0 to 255"),
    "a fraction": (one("UINT8", [1], data=[1.5]), b"", "data"),
    "no base64": (one("BYTES", [1], data=["%%%"]), b"", "base64"),
    "negative size": (one("FP32", [-1], data=[1]), b"", "shape"),
    "twice": ({"inputs": [one("UINT8", [1], data=[1])["inputs"][0]] * 2}, b"", "twice"),
    "more than follows": (one("UINT8", [9], parameters={"binary_data_size": 9}), b"12", "2 bytes follow"),
    "not a number": (one("UINT8", [1], parameters={"binary_data_size": True}), b"1", "binary_data_size"),
    "bytes of nobody": (one("UINT8", [1], data=[1]), b"1", "belong to no tensor"),
    "another shape": (one("FP32", [3], parameters={"binary_data_size": 4}), b"1234", "12 bytes"),
    "element too long": (
        one("BYTES", [1], parameters={"binary_data_size": 5}),
        struct.pack("<I", 9) + b"x",
        "beyond",
    ),
    "half a length": (one("BYTES", [1], parameters={"binary_data_size": 3}), b"\0\0\0", "beyond"),
    "one element too many": (one("BYTES", [1], parameters={"binary_data_size": 8}), b"\0" * 8, "1 element"),
    "a million elements": (one("BYTES", [1_000_000], parameters={"binary_data_size": 4}), b"\0" * 4, "hold"),
    "flag": ({"inputs": [], "parameters": {"binary_data_output": "yes"}}, b"", "true nor false"),
    "many inputs": (
        {"inputs": [{"name": str(i), "shape": [], "datatype": "FP32"} for i in range(17)]},
        b"",
        "16",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_request_is_refused_with_the_place(case: str) -> None:
    """The status is 400 and the message says what is wrong."""
    message, data, said = WRONG[case]
    with pytest.raises(RefusedError, match=said) as refused:
        of(message, data)
    assert refused.value.status == 400


@pytest.mark.parametrize(
    ("body", "length"),
    [
        (b"", None),
        (b"{}", None),
        (b"{", None),
        (b"\xff\xfe", None),
        (b"[" * 200_000, None),
        (b'{"inputs":' + b"[" * 200_000, None),
        (b'{"inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":' + b"[" * 200_000, None),
        (b'{"inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":[1e999]}]}', None),
        (b'{"inputs":[]}', "99"),
        (b'{"inputs":[]}', "-1"),
        (b'{"inputs":[]}', "1e1"),
        (b'{"inputs":[]}', "\u0661"),
        (b'{"inputs":[]}', "9" * 5000),
    ],
)
def test_what_is_no_json_is_refused(body: bytes, length: str | None) -> None:
    """Cut, nested too deep, no UTF-8, or with a length that it does not have."""
    with pytest.raises(RefusedError) as refused:
        request_of(body, length)
    assert refused.value.status == 400


@pytest.mark.slow
@given(body=st.binary(max_size=300), length=st.one_of(st.none(), st.text(max_size=5)))
@settings(max_examples=200, deadline=None)
def test_no_bytes_are_a_defect(body: bytes, length: str | None) -> None:
    """Any bytes are a request or are refused."""
    with contextlib.suppress(RefusedError):
        request_of(body, length)
