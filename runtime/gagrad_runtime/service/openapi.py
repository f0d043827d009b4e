"""The OpenAPI description of the service, which it publishes at ``/openapi.json``.

The schemas are made from the messages' structures; docs/service.openapi.json is this document.
"""

from __future__ import annotations

from typing import Any

import msgspec

from gagrad_edge import __version__
from gagrad_runtime.service import protocol
from gagrad_runtime.service.asking import Question

_TEXTS = {
    200: "What was asked for.",
    400: "The request is wrong: the message says where.",
    404: "There is no such model, version or path.",
    405: "The path has no such method.",
    408: "The body did not come in time.",
    413: "The body is too large.",
    415: "The body's encoding is not known here.",
    422: "The model cannot answer: it gives no number for this frame.",
    503: "There is no time for it now; Retry-After says when to try again.",
}
_MODEL = {"name": "model", "in": "path", "required": True, "schema": {"type": "string"}}
_VERSION = {
    "name": "version",
    "in": "path",
    "required": True,
    "description": "SHA-256 of the bundle, or its first 12 characters or more.",
    "schema": {"type": "string", "pattern": "^[0-9a-fA-F]{12,64}$"},
}
_LENGTH = {
    "description": "Length of the JSON in front of the tensors' bytes; absent without bytes.",
    "schema": {"type": "integer", "minimum": 0},
}


def document() -> dict[str, Any]:
    """Return the OpenAPI 3.1 document."""
    kinds = [
        protocol.ServerMetadata,
        protocol.Live,
        protocol.Ready,
        protocol.ModelMetadata,
        protocol.ModelReady,
        protocol.InferRequest,
        protocol.InferResponse,
        protocol.ExplainRequest,
        protocol.ExplainResponse,
        protocol.V1Models,
        protocol.Failure,
        Question,
    ]
    _, schemas = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "gagrad-edge serve",
            "version": __version__,
            "summary": "Predictions and explanations on the Open Inference Protocol, version 2.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": _paths(),
        "components": {"schemas": schemas},
    }


def _paths() -> dict[str, Any]:
    paths: dict[str, Any] = {
        "/v2": {"get": _read("The server", "ServerMetadata")},
        "/v2/health/live": {"get": _read("Whether the server runs", "Live")},
        "/v2/health/ready": {"get": _read("Whether the server takes requests", "Ready")},
    }
    for model, parameters in (
        ("/v2/models/{model}", [_MODEL]),
        ("/v2/models/{model}/versions/{version}", [_MODEL, _VERSION]),
    ):
        paths[model] = {
            "parameters": parameters,
            "get": _read("What a model takes and gives", "ModelMetadata", 404),
        }
        paths[f"{model}/ready"] = {
            "parameters": parameters,
            "get": _read("Whether a model takes requests", "ModelReady", 404),
        }
        paths[f"{model}/infer"] = {"parameters": parameters, "post": _infer()}
    paths["/v1/models"] = {"get": _read("The names of the bundles", "V1Models")}
    paths["/v1/models/{model}"] = {
        "parameters": [_MODEL],
        "get": _read("Whether a bundle takes requests", "ModelReady", 404),
    }
    paths["/v1/models/{model}:explain"] = {"parameters": [_MODEL], "post": _v1_explain()}
    paths["/openapi.json"] = {
        "get": {
            "summary": "This document",
            "responses": {"200": _answer(200, {"application/json": {"schema": {"type": "object"}}})},
        }
    }
    return paths


def _read(summary: str, kind: str, *failures: int) -> dict[str, Any]:
    return {"summary": summary, "responses": {"200": _answer(200, _json(kind)), **_failures(*failures, 405)}}


def _infer() -> dict[str, Any]:
    octets = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
    header = {"name": protocol.HEADER_LENGTH, "in": "header", "required": False, **_LENGTH}
    return {
        "summary": "Predict, map or explain one frame",
        "description": "The parameters of the request are those of Question.",
        "parameters": [header],
        "requestBody": {"required": True, "content": {**_json("InferRequest"), **octets}},
        "responses": {
            "200": {
                **_answer(200, {**_json("InferResponse"), **octets}),
                "headers": {protocol.HEADER_LENGTH: _LENGTH},
            },
            **_failures(400, 404, 405, 408, 413, 415, 422, 503),
        },
    }


def _v1_explain() -> dict[str, Any]:
    return {
        "summary": "Explain frames, as KServe's version 1 has it",
        "requestBody": {"required": True, "content": _json("ExplainRequest")},
        "responses": {
            "200": _answer(200, _json("ExplainResponse")),
            **_failures(400, 404, 405, 408, 413, 415, 422, 503),
        },
    }


def _json(kind: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{kind}"}}}


def _answer(status: int, content: dict[str, Any]) -> dict[str, Any]:
    return {"description": _TEXTS[status], "content": content}


def _failures(*statuses: int) -> dict[str, Any]:
    found = {str(status): _answer(status, _json("Failure")) for status in statuses}
    if "503" in found:
        found["503"]["headers"] = {"Retry-After": {"schema": {"type": "integer", "minimum": 1}}}
    return found
