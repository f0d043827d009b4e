"""JSON of values that hold names of files: a byte of a name that is no UTF-8 becomes U+FFFD.

Python keeps such bytes as lone surrogates, which JSON's UTF-8 cannot hold.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec


def encode(value: Any, *, order: Literal["deterministic", "sorted"] | None = None) -> bytes:
    """Return ``value`` as JSON, in UTF-8; ``order`` as msgspec has it."""
    try:
        return msgspec.json.encode(value, order=order)
    except UnicodeEncodeError:
        return msgspec.json.encode(_mended(msgspec.to_builtins(value)), order=order)


def _mended(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {_mended(key): _mended(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_mended(each) for each in value]
    return value
