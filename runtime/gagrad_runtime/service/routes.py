"""Routes: the addresses of the protocol, each a few lines around the catalogue."""

from __future__ import annotations

import asyncio
import logging
import time
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec
from litestar import Litestar, Request, Response, get, post
from litestar.exceptions import HTTPException
from litestar.response import Response as Answer

from gagrad_edge import __version__
from gagrad_runtime.service import codec, v1
from gagrad_runtime.service.intake import Intake, number
from gagrad_runtime.service.openapi import document
from gagrad_runtime.service.protocol import (
    HEADER_LENGTH,
    ExplainRequest,
    Failure,
    Live,
    ModelReady,
    Ready,
    ServerMetadata,
    V1Models,
)
from gagrad_runtime.service.refusals import NOT_FOUND, RefusedError
from gagrad_runtime.service.worker import LeftError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gagrad_runtime.service.models import Catalogue
    from gagrad_runtime.service.worker import Ticket, Worker

JSON, OCTETS = "application/json", "application/octet-stream"
VERSION = "/versions/{version:str}"
EXTENSIONS = ["binary_tensor_data", "parameters"]
Asking: TypeAlias = Request[Any, Any, Any]
LEFT = 499
"""Status in the log for a client that has gone; nobody gets it."""
DEFECT = 500
_log = logging.getLogger(__name__)


def application(catalogue: Catalogue, limit: int) -> Litestar:
    """Return the ASGI application that serves ``catalogue``; a body has at most ``limit`` bytes."""
    intake = Intake(limit)
    handlers = [*_about(catalogue), *_models(catalogue), _infer(catalogue, intake), *_v1(catalogue, intake)]
    return Litestar(
        handlers,
        openapi_config=None,
        exception_handlers={RefusedError: _refused, HTTPException: _failed, Exception: _defect},
        logging_config=None,
    )


def _about(catalogue: Catalogue) -> list[Any]:
    """Return the routes about the server."""
    schema = msgspec.json.encode(document())
    about = ServerMetadata(name="gagrad-edge", version=__version__, extensions=EXTENSIONS)

    @get("/v2", sync_to_thread=False)
    def server() -> Response[bytes]:
        return _json(about)

    @get("/v2/health/live", sync_to_thread=False)
    def live() -> Response[bytes]:
        return _json(Live(live=True))

    @get("/v2/health/ready", sync_to_thread=False)
    def ready() -> Response[bytes]:
        return _json(Ready(ready=all(one.worker.ready for one in catalogue.served)))

    @get("/openapi.json", sync_to_thread=False)
    def openapi() -> Response[bytes]:
        return Answer(schema, media_type=JSON)

    return [server, live, ready, openapi]


def _models(catalogue: Catalogue) -> list[Any]:
    """Return the routes about the models."""
    model_path = "/v2/models/{model:str}"

    @get([model_path, f"{model_path}{VERSION}"], sync_to_thread=False)
    def metadata(request: Asking) -> Response[bytes]:
        bundle, verb = catalogue.model(*_named(request))
        return _json(bundle.metadata(verb))

    @get([f"{model_path}/ready", f"{model_path}{VERSION}/ready"], sync_to_thread=False)
    def model_ready(request: Asking) -> Response[bytes]:
        model, version = _named(request)
        bundle, _ = catalogue.model(model, version)
        return _json(ModelReady(name=model, ready=bundle.worker.ready))

    return [metadata, model_ready]


def _infer(catalogue: Catalogue, intake: Intake) -> Any:
    """Return the route of inference."""

    @post(
        ["/v2/models/{model:str}/infer", f"/v2/models/{{model:str}}{VERSION}/infer"],
        request_max_body_size=None,  # the intake has the limit
        status_code=200,
    )
    async def infer(request: Asking) -> Response[bytes]:
        arrived = time.perf_counter()
        bundle, verb = catalogue.model(*_named(request))
        bundle.worker.check()
        size = number(request.headers.get("content-length", ""))
        look = partial(bundle.check, verb, size=size, arrived=arrived) if size else None
        held = await intake.read(request.headers, request.stream(), look)
        try:
            message = codec.request_of(held.data, request.headers.get(HEADER_LENGTH))
            ticket = bundle.infer(verb, message, len(held.data), arrived)
            body, length = await _result(request, ticket, bundle.worker)
        finally:
            held.release()
        if length is None:
            return Answer(body, media_type=JSON)
        return Answer(body, media_type=OCTETS, headers={HEADER_LENGTH: str(length)})

    return infer


def _v1(catalogue: Catalogue, intake: Intake) -> list[Any]:
    """Return the routes of version 1."""

    @get("/v1/models", sync_to_thread=False)
    def v1_models() -> Response[bytes]:
        return _json(V1Models(models=sorted({one.name for one in catalogue.served})))

    @get("/v1/models/{model:str}", sync_to_thread=False)
    def v1_ready(request: Asking) -> Response[bytes]:
        model, _ = _named(request)
        return _json(ModelReady(name=model, ready=catalogue.bundle(model).worker.ready))

    @post("/v1/models/{model:str}", request_max_body_size=None, status_code=200)
    async def v1_explain(request: Asking) -> Response[bytes]:
        arrived = time.perf_counter()
        name, _, verb = _named(request)[0].rpartition(":")
        bundle = catalogue.bundle(name)
        if verb != v1.VERB:
            raise RefusedError(NOT_FOUND, f"there is no verb {verb[:80]!r} here; there is {v1.VERB}")
        bundle.worker.check()
        held = await intake.read(request.headers, request.stream())
        try:
            message = codec.decoded(held.data, ExplainRequest)
            ticket = bundle.explain_v1(message, len(held.data), arrived)
            return Answer(await _result(request, ticket, bundle.worker), media_type=JSON)
        finally:
            held.release()

    return [v1_models, v1_ready, v1_explain]


def _named(request: Asking) -> tuple[str, str | None]:
    """Return the model and the version that the path names."""
    return request.path_params["model"], request.path_params.get("version")


async def _result(request: Asking, ticket: Ticket, worker: Worker) -> Any:
    """Return what ``ticket`` gives. A client that leaves takes its job with it."""
    result = asyncio.wrap_future(ticket.future)
    result.add_done_callback(lambda done: done.cancelled() or done.exception())  # nobody else may ask
    gone = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({result, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not result.done() or result.cancelled():
            raise RefusedError(LEFT, "the client left, or the service is stopping")
        return result.result()
    except LeftError:
        raise RefusedError(LEFT, "the service is stopping") from None
    finally:
        gone.cancel()
        if not ticket.future.done():
            worker.leave(ticket)


async def _gone(request: Asking) -> None:
    """Return when the client has closed its connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _json(message: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response[bytes]:
    return Answer(
        msgspec.json.encode(message), status_code=status, media_type=JSON, headers=dict(headers or {})
    )


def _refused(_: Any, error: RefusedError) -> Response[bytes]:
    after = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
    return _json(Failure(error=error.message), error.status, after)


def _failed(_: Any, error: HTTPException) -> Response[bytes]:
    """Answer what the framework refuses: an unknown path, a wrong method."""
    return _json(Failure(error=error.detail), error.status_code, error.headers)


def _defect(_: Any, error: Exception) -> Response[bytes]:
    """Answer a defect of ours; the log has its traceback."""
    _log.error("a request met a defect of gagrad-edge", exc_info=error)
    return _json(Failure(error="a defect of gagrad-edge: the server's log has what happened"), DEFECT)
