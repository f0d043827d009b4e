"""The few fields of an ONNX file that say where its tensors are, read and written without the onnx package.

A graph of a bundle holds small tensors itself and refers to large ones: ``external_data`` with the one entry
``location = weights/<SHA-256>``. No engine follows such a reference. It gets the tensor from the bundle, by
name or written into the graph. A reference anywhere else in the file, or to another place, is refused: an
engine would open the path that it names.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gagrad_edge.errors import BundleError
from gagrad_edge.manifest import WEIGHTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gagrad_edge.bundle.archive import Buffer

DTYPES = {1: np.float32, 2: np.uint8, 3: np.int8, 6: np.int32, 7: np.int64, 10: np.float16, 11: np.float64}
"""NumPy's types for the numbers that ONNX gives them; tensors of other types stay in the graph."""
_GRAPH, _INITIALIZER = 7, 5
_DIMS, _TYPE, _NAME, _RAW, _COMMENT, _EXTERNAL, _LOCATION = 1, 2, 8, 9, 12, 13, 14
_INSIDE = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}
"""Field → message, for each message that can hold tensors."""
_DEPTH = 64
"""Most messages within one another: graphs are unrolled when they are made, so ten would do."""
_PLACE = re.compile(re.escape(WEIGHTS) + "([0-9a-f]{64})")
_VARINT, _BYTES, _FIXED = 0, 2, {1: 8, 5: 4}
_HERE, _ELSEWHERE = b"\x70\x00", b"\x70\x01"
"""``data_location = DEFAULT`` and ``EXTERNAL``."""


@dataclass(frozen=True)
class External:
    """An initializer that stands in another file, as ONNX writes it."""

    name: str
    code: int
    """ONNX's number of the type; see DTYPES."""
    shape: tuple[int, ...]
    entries: dict[str, str]
    """Where its bytes are: ``location``, and as a rule ``offset`` and ``length``."""


@dataclass(frozen=True)
class Reference:
    """An initializer that stands elsewhere: what the graph says of it."""

    name: str
    sha256: str
    dtype: np.dtype[np.generic]
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Bytes of the tensor."""
        return int(np.prod(self.shape, dtype=object)) * self.dtype.itemsize


def references(data: Buffer, *, where: str) -> tuple[Reference, ...]:
    """Return the initializers of the ONNX file ``data`` that stand elsewhere.

    Raises BundleError for a file that cannot be read, and for a reference to another place than the bundle's
    tensors.
    """
    found: list[Reference] = []

    def place(reference: Reference) -> list[Buffer]:
        found.append(reference)
        return []

    rewritten(data, place, where=where)
    return tuple(found)


def rewritten(data: Buffer, place: Callable[[Reference], list[Buffer]], *, where: str) -> bytes:
    """Return ``data`` with other references: ``place`` returns the fields of ``TensorProto`` for each.

    See ``inline`` and ``at``; all pieces are joined once. Raises BundleError as ``references`` does.
    """
    return relocated(data, lambda one: place(_reference(one)), where=where)


def relocated(data: Buffer, place: Callable[[External], list[Buffer]], *, where: str) -> bytes:
    """Return ``data`` with other references, as ``rewritten`` does, also those to files of any other name.

    For files that an engine of this device has written: what they refer to is the caller's to judge.
    """
    try:
        return b"".join(_model(memoryview(data), place))
    except _UnreadableError as error:
        raise BundleError(
            f"a graph in it {error}",
            where=where,
            hint="copy the bundle again from where it was exported, or export it again",
        ) from None


def inline(content: Buffer) -> list[Buffer]:
    """Return the fields of a tensor whose bytes ``content`` stand in the graph."""
    return _framed(_RAW, [content])


def at(location: str, **entries: int) -> list[Buffer]:
    """Return the fields of a tensor whose bytes stand at ``location``; ``entries``: offset and length."""
    pairs = {"location": location, **{name: str(value) for name, value in entries.items()}}
    entry = [[*_framed(1, [key.encode()]), *_framed(2, [value.encode()])] for key, value in pairs.items()]
    return [*(piece for one in entry for piece in _framed(_EXTERNAL, one)), _ELSEWHERE]


def _model(data: memoryview, place: Callable[[External], list[Buffer]]) -> Iterator[Buffer]:
    for number, begin, body, end in _fields(data):
        if number == _GRAPH and body:
            yield from _framed(_GRAPH, [*_graph(data[body:end], place)])
        else:
            _check("model", number, data[body:end] if body else None)
            yield data[begin:end]


def _graph(data: memoryview, place: Callable[[External], list[Buffer]]) -> Iterator[Buffer]:
    for number, begin, body, end in _fields(data):
        if number == _INITIALIZER and body and _is_external(tensor := data[body:end]):
            external, kept = _external(tensor)
            yield from _framed(_INITIALIZER, [kept, *place(external)])
        else:
            _check("graph", number, data[body:end] if body else None)
            yield data[begin:end]


class _UnreadableError(Exception):
    """Why a file is not read; the text follows 'a graph in it'."""


def _check(message: str, number: int, data: memoryview | None, depth: int = 0) -> None:
    """Raise _UnreadableError if a tensor in the field ``number`` of ``message`` stands elsewhere.

    ``data`` is the field's content; None for one without a length.
    """
    inner = _INSIDE[message].get(number)
    if inner is None:
        return
    if data is None or depth > _DEPTH:
        raise _UnreadableError("is not an ONNX file")
    if inner != "tensor":
        deeper = _INSIDE[inner]
        for number_inside, _, body, end in _fields(data):
            if number_inside in deeper:  # most fields are names, and hold nothing
                _check(inner, number_inside, data[body:end] if body else None, depth + 1)
    elif _is_external(data):
        raise _UnreadableError("refers to a file of its own")


def _is_external(tensor: memoryview) -> bool:
    return any(
        number == _EXTERNAL or (number == _LOCATION and bytes(tensor[begin:end]) != _HERE)
        for number, begin, _, end in _fields(tensor)
    )


def _reference(external: External) -> Reference:
    """Return the tensor of a bundle that ``external`` names. Raises _UnreadableError for any other."""
    location = external.entries.get("location", "")
    place = _PLACE.fullmatch(location) if len(external.entries) == 1 else None
    if place is None:
        raise _UnreadableError("refers to a file of its own")
    if external.code not in DTYPES or not external.name:
        raise _UnreadableError("refers to a tensor of an unknown type, or without a name")
    return Reference(external.name, place[1], np.dtype(DTYPES[external.code]), external.shape)


def _external(tensor: memoryview) -> tuple[External, bytes]:
    """Return what ``tensor`` refers to, and its fields without the reference. Raises _UnreadableError."""
    kept: list[bytes] = []
    dims: list[int] = []
    entries: dict[str, str] = {}
    name, code = "", 0
    for number, begin, body, end in _fields(tensor):
        raw, content = tensor[begin:end], tensor[body:end] if body else None
        if number == _EXTERNAL and content is not None:
            entry = {
                key: bytes(content[start:stop]).decode("ascii", "replace") if start else ""
                for key, _, start, stop in _fields(content)
            }
            if entry.get(1, "") in entries:
                raise _UnreadableError("refers to a file of its own")
            entries[entry.get(1, "")] = entry.get(2, "")
        elif number == _LOCATION:
            if bytes(raw) != _ELSEWHERE:
                raise _UnreadableError("refers to a file of its own")
        elif number == _COMMENT:
            continue
        elif number not in (_DIMS, _TYPE, _NAME):
            raise _UnreadableError("has a tensor both in it and elsewhere")
        else:
            kept.append(bytes(raw))
            if number == _DIMS:
                dims += _numbers(raw, content)
            elif number == _TYPE:
                code = _number(raw, content)
            else:
                name = bytes(content or b"").decode("utf-8", "replace")
    return External(name, code, tuple(dims), entries), b"".join(kept)


def _number(raw: memoryview, body: memoryview | None) -> int:
    """Return the number of a field that is no list. Raises _UnreadableError."""
    if body is not None:
        raise _UnreadableError("is not an ONNX file")
    _, start = _varint(raw, 0)
    return _varint(raw, start)[0]


def _numbers(raw: memoryview, body: memoryview | None) -> list[int]:
    """Return the number of a field, or the packed numbers in its ``body``."""
    if body is None:
        return [_number(raw, None)]
    numbers, position = [], 0
    while position < len(body):
        number, position = _varint(body, position)
        numbers.append(number)
    return numbers


def _fields(data: memoryview) -> Iterator[tuple[int, int, int, int]]:
    """Yield each field of a protobuf message: its number, where it begins, its content and where it ends.

    The content is 0 for a field without a length. Raises _UnreadableError. Written for speed: a bundle's
    graphs have 40,000 fields, nearly all with numbers of one byte.
    """
    position, end = 0, len(data)
    while position < end:
        begin, key = position, data[position]
        position += 1
        if key >= 0x80:
            key, position = _varint(data, begin)
        kind, body = key & 7, 0
        if kind == _BYTES and position < end:
            size = data[position]
            position += 1
            if size >= 0x80:
                size, position = _varint(data, position - 1)
            body = position
            position += size
        elif kind == _VARINT:
            _, position = _varint(data, position)
        elif kind in _FIXED:
            position += _FIXED[kind]
        else:
            raise _UnreadableError("is not an ONNX file")
        if position > end or key < 8:
            raise _UnreadableError("is not an ONNX file")
        yield key >> 3, begin, body, position


def _varint(data: memoryview, position: int) -> tuple[int, int]:
    value = shift = 0
    while position < len(data) and shift < 64:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
    raise _UnreadableError("is not an ONNX file")


def _framed(number: int, content: list[Buffer]) -> list[Buffer]:
    """Return the pieces of a field that has a length."""
    return [_encoded(number << 3 | _BYTES) + _encoded(sum(map(len, content))), *content]


def _encoded(value: int) -> bytes:
    digits = bytearray()
    while value >= 0x80:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    digits.append(value)
    return bytes(digits)
