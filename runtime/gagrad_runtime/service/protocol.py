"""The messages of the Open Inference Protocol, version 2, and of KServe's version 1.

``openapi.py`` makes the published schemas from these structures. Fields that they do not have are ignored, as
the protocol's extensions want it; parameters are checked in ``asking.py``.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Raw, UnsetType

Parameter = str | int | float | bool
Parameters = dict[str, Parameter]
Size = Annotated[int, msgspec.Meta(ge=0, le=(1 << 31) - 1)]
Shape = Annotated[list[Size], msgspec.Meta(max_length=8)]

BINARY_SIZE = "binary_data_size"
"""Parameter of a tensor whose bytes follow the JSON: their number."""
BINARY = "binary_data"
"""Parameter of an output that is asked for: whether its bytes follow the JSON."""
BINARY_ALL = "binary_data_output"
"""Parameter of a request: what ``BINARY`` is where an output does not have it."""
HEADER_LENGTH = "Inference-Header-Content-Length"
"""HTTP header: length of the JSON in front of the tensors' bytes."""


class Message(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """Base of all messages."""


class RequestInput(Message, kw_only=True, frozen=True):
    """An input tensor: ``data``, or ``parameters.binary_data_size`` bytes behind the JSON."""

    name: str
    shape: Shape
    datatype: str
    parameters: Parameters = {}
    data: Raw | UnsetType = UNSET
    """Values row by row, flat or nested; of ``BYTES`` the base64 of each file."""


class RequestOutput(Message, kw_only=True, frozen=True):
    """An output that is asked for."""

    name: str
    parameters: Parameters = {}


class InferRequest(Message, kw_only=True, frozen=True):
    """A request of ``infer``."""

    inputs: Annotated[list[RequestInput], msgspec.Meta(max_length=16)]
    outputs: Annotated[list[RequestOutput], msgspec.Meta(max_length=16)] = []
    """Empty: those that cost nothing more."""
    parameters: Parameters = {}
    id: str = ""


class ResponseOutput(Message, kw_only=True, frozen=True):
    """An output tensor: ``data``, or ``parameters.binary_data_size`` bytes behind the JSON."""

    name: str
    shape: list[int]
    datatype: str
    parameters: Parameters = {}
    data: Any = UNSET


class InferResponse(Message, kw_only=True, frozen=True):
    """The answer of ``infer``."""

    model_name: str
    model_version: str
    id: str = ""
    parameters: Parameters = {}
    outputs: list[ResponseOutput]


class TensorMetadata(Message, kw_only=True, frozen=True):
    """One input or output of a model; −1 stands for any size."""

    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(Message, kw_only=True, frozen=True):
    """What a model takes and gives."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class ServerMetadata(Message, kw_only=True, frozen=True):
    """What the server is."""

    name: str
    version: str
    extensions: list[str]


class Failure(Message, kw_only=True, frozen=True):
    """Why a request got no result."""

    error: str


class Live(Message, kw_only=True, frozen=True):
    """The server runs."""

    live: bool


class Ready(Message, kw_only=True, frozen=True):
    """The server, or a model, takes requests."""

    ready: bool


class ModelReady(Message, kw_only=True, frozen=True):
    """A model takes requests."""

    name: str
    ready: bool


class ExplainRequest(Message, kw_only=True, frozen=True):
    """A request of version 1's ``:explain``."""

    instances: Annotated[list[Raw], msgspec.Meta(min_length=1, max_length=16)]
    """Each is ``{"b64": …}`` with the base64 of an image file, or pixel values 0..255, nested
    ``[H][W]`` or ``[H][W][C]``."""
    parameters: Parameters = {}
    """As those of version 2."""


class V1Explanation(Message, kw_only=True, frozen=True):
    """The explanation of one instance."""

    record: Raw
    """docs/record.md"""
    saliency: list[list[float]]
    """The map, 0..1, row by row."""


class ExplainResponse(Message, kw_only=True, frozen=True):
    """The answer of version 1's ``:explain``."""

    explanations: list[V1Explanation]
    model_version: str


class V1Models(Message, kw_only=True, frozen=True):
    """Names of the models of version 1."""

    models: list[str]
