"""Intake: reads the bodies of requests, bounded for each and for all together.

The JSON of a request in binary form comes first and says what is asked for. So a request for which there is
no time is refused as soon as its JSON is there, before its tensors are read.
"""

from __future__ import annotations

import asyncio
import zlib
from typing import TYPE_CHECKING

from litestar.exceptions import InternalServerException

from gagrad_runtime.service.protocol import HEADER_LENGTH
from gagrad_runtime.service.refusals import BUSY, TOO_LARGE, UNSUPPORTED, RefusedError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    Look = Callable[[bytes], None]

JSON_BYTES = 8 << 20
"""Most bytes of JSON: reading it takes the server's time, and large tensors have a binary form."""
SECONDS = 30.0
"""Longest time of a body on its way."""
SEVERAL = 4
"""All bodies together have at most this many times the bytes of one."""
_DIGITS = 12
_WINDOWS = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}
"""zlib's parameter for each content encoding that is taken."""


class Intake:
    """Reads bodies of at most ``limit`` bytes each, also when they are compressed."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._held = 0
        """Bytes of the bodies that are being read or worked on."""

    async def read(
        self, headers: Mapping[str, str], parts: AsyncIterator[bytes], look: Look | None = None
    ) -> Held:
        """Return the body that comes in ``parts``. Raises RefusedError.

        ``look`` gets the JSON in front of the tensors when it is there, and raises to refuse the request.
        """
        encoding = headers.get("content-encoding", "identity").strip().lower()
        if encoding not in ("identity", *_WINDOWS):
            raise RefusedError(
                UNSUPPORTED,
                f"there is no content encoding {encoding[:40]!r} here; there are {', '.join(_WINDOWS)}",
            )
        length = number(headers.get("content-length", "0"))
        if length is None or length > self.limit:
            raise self._too_large()
        held = Held(self)
        try:
            first = number(headers.get(HEADER_LENGTH.lower(), "")) if encoding == "identity" else None
            data = await asyncio.wait_for(self._all(parts, held, first, look), SECONDS)
            if encoding != "identity":
                data = await asyncio.to_thread(self._inflated, data, encoding)
                held.grow(len(data))
            _check_json(headers, len(data))
        except asyncio.TimeoutError:
            held.release()
            raise RefusedError(408, f"the body did not come within {SECONDS:.0f} s") from None
        except InternalServerException:  # which stands for a body that the server could not read to its end
            held.release()
            raise RefusedError(400, "the body ended before it was whole, or its chunks are no HTTP") from None
        except BaseException:
            held.release()
            raise
        held.data = data
        return held

    async def _all(
        self, parts: AsyncIterator[bytes], held: Held, first: int | None, look: Look | None
    ) -> bytes:
        """Return all ``parts``; ``look`` at the ``first`` bytes when they are there."""
        data = bytearray()
        async for part in parts:
            held.grow(len(part))
            data += part
            if len(data) > self.limit:
                raise self._too_large()
            if look is not None and first is not None and first <= min(len(data), JSON_BYTES):
                look(bytes(data[:first]))
                look = None
        return bytes(data)

    def _inflated(self, data: bytes, encoding: str) -> bytes:
        inflater = zlib.decompressobj(_WINDOWS[encoding])
        try:
            found = inflater.decompress(data, self.limit + 1)
        except zlib.error as error:
            raise RefusedError(400, f"the body is no {encoding} ({error})") from None
        if len(found) > self.limit:
            raise self._too_large()
        if not inflater.eof or inflater.unused_data:
            raise RefusedError(400, f"the body is not exactly one {encoding} stream")
        return found

    def _too_large(self) -> RefusedError:
        return RefusedError(TOO_LARGE, f"the body is larger than {self.limit >> 20} MiB, the limit here")


class Held:
    """A body, and its share of the memory for bodies. Release it."""

    def __init__(self, intake: Intake) -> None:
        self.data = b""
        self._intake = intake
        self._size = 0

    def grow(self, size: int) -> None:
        """Take ``size`` bytes more. Raises RefusedError when all bodies together are too many."""
        intake = self._intake
        if intake._held + size > SEVERAL * intake.limit:
            raise RefusedError(
                BUSY, "the requests that are being read fill the memory for them", retry_after=1
            )
        intake._held += size
        self._size += size

    def release(self) -> None:
        """Give the memory back. May be called again."""
        self._intake._held -= self._size
        self._size = 0


def number(text: str) -> int | None:
    """Return the number of bytes that a header says; None where it says none."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= _DIGITS else None


def _check_json(headers: Mapping[str, str], size: int) -> None:
    length = number(headers.get(HEADER_LENGTH.lower(), ""))
    if (size if length is None else length) > JSON_BYTES:
        raise RefusedError(
            TOO_LARGE,
            f"there are more than {JSON_BYTES >> 20} MiB of JSON: send large tensors as bytes behind it, "
            f"with the header {HEADER_LENGTH}",
        )
