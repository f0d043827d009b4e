"""Requests as a client without a library writes them: JSON, and tensors' bytes behind it."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import httpx
    from numpy.typing import NDArray

LENGTH = "Inference-Header-Content-Length"
_DATATYPES = {"float32": "FP32", "uint8": "UINT8", "uint16": "UINT16", "int64": "INT64"}


def tensor(name: str, values: NDArray[Any] | bytes) -> tuple[dict[str, Any], bytes]:
    """Return the description of an input in binary form, and its bytes."""
    if isinstance(values, bytes):
        shape, datatype, data = [1], "BYTES", struct.pack("<I", len(values)) + values
    else:
        shape, datatype = list(values.shape), _DATATYPES[values.dtype.name]
        data = np.ascontiguousarray(values).tobytes()
    described = {"name": name, "shape": shape, "datatype": datatype}
    return {**described, "parameters": {"binary_data_size": len(data)}}, data


def binary(
    inputs: dict[str, NDArray[Any] | bytes], outputs: tuple[str, ...] = (), **parameters: Any
) -> dict[str, Any]:
    """Return the keywords of ``httpx.post`` for a request in binary form that wants a binary answer."""
    tensors = [tensor(name, values) for name, values in inputs.items()]
    message = {
        "inputs": [described for described, _ in tensors],
        "outputs": [{"name": name} for name in outputs],
        "parameters": {"binary_data_output": True, **parameters},
    }
    text = json.dumps(message).encode()
    return {
        "content": b"".join([text, *(data for _, data in tensors)]),
        "headers": {LENGTH: str(len(text))},
    }


def outputs_of(response: httpx.Response) -> dict[str, Any]:
    """Return the outputs of an answer: arrays, and bytes for those of BYTES."""
    assert response.status_code == 200, response.text
    end = int(response.headers.get(LENGTH, len(response.content)))
    found: dict[str, Any] = {}
    for one in json.loads(response.content[:end])["outputs"]:
        if "data" in one:
            found[one["name"]] = one["data"]
            continue
        start, end = end, end + one["parameters"]["binary_data_size"]
        data = response.content[start:end]
        if one["datatype"] == "BYTES":
            found[one["name"]] = data[4:]
        else:
            kind = {"FP32": "<f4", "INT64": "<i8"}[one["datatype"]]
            found[one["name"]] = np.frombuffer(data, kind).reshape(one["shape"])
    assert end == len(response.content)
    return found


def infer(
    client: httpx.Client,
    model: str,
    inputs: dict[str, NDArray[Any] | bytes],
    outputs: tuple[str, ...] = (),
    **parameters: Any,
) -> dict[str, Any]:
    """Return the outputs that ``model`` gives."""
    return outputs_of(client.post(f"/v2/models/{model}/infer", **binary(inputs, outputs, **parameters)))
