"""Intake: bodies are bounded, one by one and all together, also when they are compressed."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gagrad_runtime.service import intake as module
from gagrad_runtime.service.intake import Held, Intake
from gagrad_runtime.service.refusals import RefusedError

MIB = 1 << 20


def read(intake: Intake, *parts: bytes, **headers: str) -> Held:
    """Return the body in ``parts``; ``_`` in a header's name stands for ``-``."""

    async def come() -> AsyncIterator[bytes]:
        for part in parts:
            yield part

    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return asyncio.run(intake.read(named, come()))


def refused(intake: Intake, *parts: bytes, **headers: str) -> RefusedError:
    """Return the refusal of such a body; the memory for bodies is as it was."""
    with pytest.raises(RefusedError) as found:
        read(intake, *parts, **headers)
    assert intake._held == 0
    return found.value


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "identity"])
def test_a_body_is_what_was_sent(encoding: str) -> None:
    """In parts, and compressed."""
    body = b"part" * 1000
    packed = {"gzip": gzip.compress(body), "deflate": zlib.compress(body), "identity": body}[encoding]
    held = read(Intake(MIB), packed[:7], packed[7:], content_encoding=encoding)
    assert held.data == body


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "x" * 10_000])
def test_other_encodings_are_refused(encoding: str) -> None:
    """With 415, before the body is read."""
    error = refused(Intake(MIB), b"x", content_encoding=encoding)
    assert error.status == 415
    assert len(error.message) < 200


@pytest.mark.parametrize(
    ("headers", "parts"),
    [({"content_length": "2000000"}, []), ({"content_length": "x"}, []), ({}, [b"x" * MIB, b"x"])],
    ids=["by its length", "no length", "in parts"],
)
def test_a_body_beyond_the_limit_is_refused(headers: dict[str, str], parts: list[bytes]) -> None:
    """By the header before it is read, or when one byte too many has come."""
    assert refused(Intake(MIB), *parts, **headers).status == 413


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_bomb_fills_no_memory(encoding: str) -> None:
    """256 MB of zeros in a quarter of a megabyte are refused when the limit is reached."""
    compressor = zlib.compressobj(9, wbits=31 if encoding == "gzip" else 15)
    zeros = bytes(MIB)
    packed = b"".join(compressor.compress(zeros) for _ in range(256)) + compressor.flush()
    assert refused(Intake(MIB), packed, content_encoding=encoding).status == 413


@pytest.mark.parametrize(
    "packed",
    [b"", b"no gzip", gzip.compress(b"x")[:-3], gzip.compress(b"x") + b"more", gzip.compress(b"x") * 2],
    ids=["nothing", "something else", "cut", "with a tail", "two streams"],
)
def test_what_is_not_one_stream_is_refused(packed: bytes) -> None:
    """With 400: the client is wrong, and nothing is guessed."""
    assert refused(Intake(MIB), packed, content_encoding="gzip").status == 400


def test_a_request_is_refused_by_its_json() -> None:
    """Before its tensors are read: they are not asked for, and no memory is held."""
    came: list[bytes] = []

    async def come() -> AsyncIterator[bytes]:
        for part in (b'{"a"', b": 1}tens", b"or"):
            came.append(part)
            yield part

    def look(head: bytes) -> None:
        assert head == b'{"a": 1}'
        raise RefusedError(503, "no time")

    intake = Intake(MIB)
    with pytest.raises(RefusedError, match="no time"):
        asyncio.run(intake.read({"inference-header-content-length": "8"}, come(), look))
    assert came == [b'{"a"', b": 1}tens"]
    assert intake._held == 0


def test_much_json_is_refused() -> None:
    """Reading it would hold up everybody; the same bytes are taken as a tensor behind the JSON."""
    intake = Intake(4 * module.JSON_BYTES)
    body = bytes(module.JSON_BYTES + 1)
    error = refused(intake, body)
    assert error.status == 413
    assert "bytes behind it" in error.message
    assert len(read(intake, body, inference_header_content_length="100").data) == len(body)


def test_all_bodies_together_are_bounded() -> None:
    """One too many is refused with 503; the memory of one that is done is free for the next."""
    intake = Intake(MIB)
    bodies = [read(intake, bytes(MIB)) for _ in range(module.SEVERAL)]
    with pytest.raises(RefusedError, match="fill the memory") as error:
        read(intake, b"x")
    assert error.value.status == 503
    bodies.pop().release()
    assert read(intake, bytes(1000)).data == bytes(1000)


def test_a_body_that_does_not_come_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """With 408, after a time that all of it has together."""
    monkeypatch.setattr(module, "SECONDS", 0.05)

    async def slow() -> AsyncIterator[bytes]:
        for _ in range(1000):
            yield b"x"
            await asyncio.sleep(0.01)

    async def run() -> Any:
        return await Intake(MIB).read({}, slow())

    with pytest.raises(RefusedError) as error:
        asyncio.run(run())
    assert error.value.status == 408
