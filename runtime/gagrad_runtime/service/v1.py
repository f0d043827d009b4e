"""KServe's version 1: the instances of ``:explain`` as inputs, and explanations as its answer."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import numpy as np

from gagrad_edge.abi import SALIENCY
from gagrad_runtime.service.answering import RECORD
from gagrad_runtime.service.codec import BYTES, Tensor, decoded
from gagrad_runtime.service.frames import FRAME, PIXELS
from gagrad_runtime.service.protocol import ExplainResponse, V1Explanation
from gagrad_runtime.service.refusals import RefusedError, bad

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gagrad_runtime.service.answering import Answered
    from gagrad_runtime.service.protocol import ExplainRequest

VERB = "explain"
Value = Annotated[int, msgspec.Meta(ge=0, le=255)]


class _File(msgspec.Struct, frozen=True):
    b64: str


class _Named(msgspec.Struct, frozen=True):
    image_bytes: _File


def inputs_of(request: ExplainRequest) -> list[dict[str, Tensor]]:
    """Return the inputs of each instance, as version 2 has them. Raises RefusedError."""
    return [_input(bytes(one), f"instances[{i}]") for i, one in enumerate(request.instances)]


def explanations_of(answers: Sequence[Answered], version: str) -> ExplainResponse:
    """Return the answer of version 1."""
    return ExplainResponse(
        explanations=[
            V1Explanation(
                record=msgspec.Raw(_bytes(one.outputs[RECORD].values)),
                saliency=_array(one.outputs[SALIENCY].values).tolist(),
            )
            for one in answers
        ],
        model_version=version,
    )


def _input(data: bytes, where: str) -> dict[str, Tensor]:
    try:
        if data.startswith(b"{"):
            file = _file(data)
            try:
                return {FRAME: Tensor(BYTES, (1,), [base64.b64decode(file.b64, validate=True)])}
            except (binascii.Error, ValueError):
                raise bad("b64 is no base64 of an image file", where) from None
        pixels = np.array(_rows(data), np.uint8)
    except ValueError:  # rows of different lengths
        raise bad("the rows have different lengths", where) from None
    except RefusedError as error:
        raise RefusedError(error.status, error.message.replace("the JSON", where, 1)) from None
    return {PIXELS: Tensor("UINT8", pixels.shape, pixels)}


def _file(data: bytes) -> _File:
    try:
        named: _Named = msgspec.json.decode(data, type=_Named)
    except msgspec.ValidationError:
        file: _File = decoded(data, _File)
        return file
    return named.image_bytes


def _rows(data: bytes) -> Any:
    deep = data[:80].translate(None, b" \t\r\n").startswith(b"[[[")
    return decoded(data, list[list[list[Value]]] if deep else list[list[Value]])


def _bytes(values: Any) -> bytes:
    assert isinstance(values, bytes)  # noqa: S101 - the record
    return values


def _array(values: Any) -> np.ndarray[Any, np.dtype[Any]]:
    assert isinstance(values, np.ndarray)  # noqa: S101 - the map
    return values
