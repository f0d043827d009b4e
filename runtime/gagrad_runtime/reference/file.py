"""The file ``NAME.good``: what is known of good parts, beside the bundle that looked at them.

A zip in the one canonical form of a bundle (``gagrad_edge/bundle/archive.py``): ``reference.json``, arrays in
numpy's ``.npy`` form, and ``signature.json`` where it is signed. ``reference.json`` names each array with its
shape, type and hash, so its own hash names the whole content. Nothing is unpickled: an array's bytes must be
exactly the header that its entry asks for, and as many values.
"""

from __future__ import annotations

import hashlib
import io
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from gagrad_edge.atomic import write_atomic
from gagrad_edge.bundle.archive import SIGNATURE, SIGNATURE_LIMIT, pack, unpack
from gagrad_edge.errors import BundleError, SettingError
from gagrad_edge.trust.envelope import decode_envelope, encode_envelope, seal, signers
from gagrad_runtime.reference import SUFFIX
from gagrad_runtime.reference.content import SCHEMA, ArrayEntry, Content, LayoutContent
from gagrad_runtime.reference.image import GoodImage
from gagrad_runtime.reference.layout import Layout
from gagrad_runtime.reference.reference import Reference
from gagrad_runtime.reference.registration import FEATURES, WORKING, Template

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from gagrad_edge.bundle.archive import Buffer
    from gagrad_edge.manifest import Manifest
    from gagrad_edge.trust.envelope import Envelope
    from gagrad_edge.trust.keys import PrivateKey, PublicKey

    Array = NDArray[np.float32]

CONTENT = "reference.json"
PAYLOAD_TYPE = "application/vnd.gagrad-edge.good+json"
MOST_CLASSES = 16
"""Most classes whose gradients at good parts are kept."""
_LOWEST = {"spread.npy": 0.0, "gradients.npy": 0.0}
_CONTENT_LIMIT = 4 << 20
_LARGEST = 1 << 30
"""Largest file in bytes, where the model's size is not known."""
_OPEN = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
_CALIBRATE = "make it again: gagrad-edge calibrate BUNDLE OK_IMAGES..."
_COPY = "copy it again from where it was made, or calibrate again"


@dataclass(frozen=True)
class GoodFile:
    """A ``.good`` file of which every byte was checked."""

    reference: Reference
    members: Mapping[str, Buffer]
    envelope: Envelope | None
    """Its signatures; none has been verified yet."""
    where: str

    def signed_by(self, keys: Sequence[PublicKey]) -> list[PublicKey]:
        """Return those of ``keys`` that signed the file; raises BundleError for a wrong signature."""
        return [] if self.envelope is None else signers(self.envelope, keys, where=self.where)


def write_reference(path: Path, reference: Reference) -> Reference:
    """Write ``reference`` to ``path`` in one step, unsigned; return it as it is in the file.

    Raises OutputError; after a failure an earlier file is unchanged.
    """
    arrays = _arrays(reference.picture)
    content = msgspec.structs.replace(
        reference.content,
        arrays={
            name: ArrayEntry(shape=list(values.shape), dtype=values.dtype.str, sha256=_sha256(_npy(values)))
            for name, values in arrays.items()
        },
    )
    data = msgspec.json.format(msgspec.json.encode(content, order="sorted"), indent=1) + b"\n"
    write_atomic(path, pack({CONTENT: data, **{name: _npy(values) for name, values in arrays.items()}}))
    return Reference(content, reference.picture, _sha256(data))


def read_reference(path: Path, manifest: Manifest | None = None) -> GoodFile:
    """Return the checked file at ``path``; with ``manifest`` it must fit this bundle's model.

    Sizes are checked before bytes are read. Raises BundleError.
    """
    where = str(path)
    members: dict[str, Buffer] = dict(unpack(_read(path, _limit(manifest)), where=where))
    data = bytes(members.get(CONTENT, b""))
    if not data or len(data) > _CONTENT_LIMIT:
        raise BundleError(f"this is no file of good parts (no {CONTENT})", where=where, hint=_CALIBRATE)
    content = _decoded(data, where)
    signature = members.get(SIGNATURE)
    envelope = None if signature is None else _envelope(bytes(signature), _sha256(data), where)
    if set(members) - {CONTENT, SIGNATURE} != set(content.arrays):
        raise BundleError(f"its arrays are not those that {CONTENT} names", where=where, hint=_COPY)
    arrays = {name: _array(members[name], entry, where) for name, entry in content.arrays.items()}
    try:
        picture = _picture(content, arrays, manifest)
    except (ValueError, KeyError) as error:
        what = f"its arrays do not belong together ({error})"
        raise BundleError(what, where=where, hint=_CALIBRATE) from error
    return GoodFile(Reference(content, picture, _sha256(data)), members, envelope, where)


def sign_reference(path: Path, output: Path, keys: Sequence[PrivateKey]) -> str:
    """Write the file at ``path`` to ``output`` with the signatures of ``keys`` added; return what is signed.

    Raises BundleError and OutputError.
    """
    found = read_reference(path)
    others = () if found.envelope is None else found.envelope.signatures
    envelope = seal(_statement(found.reference.sha256), keys, others, kind=PAYLOAD_TYPE)
    write_atomic(output, pack({**found.members, SIGNATURE: encode_envelope(envelope)}))
    return found.reference.sha256


def is_good_file(path: Path) -> bool:
    """Return whether ``path`` is called as a file of good parts."""
    return path.suffix == SUFFIX and not path.is_dir()


def _statement(sha256: str) -> bytes:
    return msgspec.json.encode({"format": 1, "good": sha256}, order="sorted")


def _envelope(data: bytes, sha256: str, where: str) -> Envelope:
    if len(data) > SIGNATURE_LIMIT:
        raise BundleError("the signature is too large", where=where, hint=_COPY)
    envelope = decode_envelope(data, where=where, kind=PAYLOAD_TYPE)
    if envelope.payload != _statement(sha256):
        raise BundleError("the signature is that of another file", where=where, hint=_COPY)
    return envelope


def _limit(manifest: Manifest | None) -> int:
    """Return the largest size of a file for the model of ``manifest``, in bytes."""
    if manifest is None:
        return _LARGEST
    channels, height, width = manifest.input.shape
    planes = (2 * channels + 1 + MOST_CLASSES) * height * width + FEATURES * WORKING * WORKING
    return _CONTENT_LIMIT + SIGNATURE_LIMIT + 2 * planes + 65536


def _read(path: Path, limit: int) -> bytes:
    where = str(path)
    try:
        with os.fdopen(os.open(path, _OPEN), "rb") as stream:
            found = os.fstat(stream.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise BundleError("this is no file", where=where, hint=_CALIBRATE)
            if found.st_size > limit:
                raise BundleError(
                    f"the file has {found.st_size} bytes, and that of this model has {limit} at most",
                    where=where,
                    hint=_CALIBRATE,
                )
            data = stream.read(limit + 1)
    except OSError as error:
        what = f"cannot be read ({error.strerror or error})"
        raise BundleError(what, where=where, hint=_CALIBRATE) from error
    if data[:1] == b"{" and b'"quantile"' in data[:4096]:
        raise BundleError(
            "this is a scale of an earlier gagrad-edge, which is no longer used", where=where, hint=_CALIBRATE
        )
    if data[:4] != b"PK\x03\x04":
        raise BundleError("this is no file of good parts", where=where, hint=_CALIBRATE)
    return data


def _decoded(data: bytes, where: str) -> Content:
    try:
        schema = msgspec.json.decode(data, type=_Head).schema
        if schema != SCHEMA:
            raise BundleError(
                f"its schema is {schema}, and this gagrad-edge reads {SCHEMA}", where=where, hint=_CALIBRATE
            )
        return msgspec.json.decode(data, type=Content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OverflowError) as error:
        raise BundleError(f"{CONTENT} is not valid ({error})", where=where, hint=_CALIBRATE) from error


class _Head(msgspec.Struct):
    schema: int


def _array(data: Buffer, entry: ArrayEntry, where: str) -> NDArray[Any]:
    header = _header(tuple(entry.shape), np.dtype(entry.dtype))
    size = int(np.prod(entry.shape, dtype=object)) * np.dtype(entry.dtype).itemsize
    whole = len(data) == len(header) + size and bytes(data[: len(header)]) == header
    if not whole or _sha256(data) != entry.sha256:
        what = "an array is not the one that was written (shape, type or hash)"
        raise BundleError(what, where=where, hint=_COPY)
    return np.frombuffer(data, entry.dtype, offset=len(header)).reshape(entry.shape)


def _arrays(picture: GoodImage | None) -> dict[str, NDArray[Any]]:
    """Return the members of ``picture``: half precision, of which differences keep three digits."""
    if picture is None:
        return {}
    found: dict[str, NDArray[Any]] = {
        "median.npy": picture.median.astype("<f2"),
        "spread.npy": picture.spread.astype("<f2"),
        "known.npy": picture.known.astype("|u1"),
        "template.npy": picture.layout.template.values.astype("<f2"),
    }
    if picture.gradients:
        levels = gradient_levels(picture.gradients)
        scaled = [values / level for values, level in zip(picture.gradients.values(), levels, strict=True)]
        found["gradients.npy"] = np.stack(scaled).astype("<f2")
    return found


def gradient_levels(gradients: Mapping[int, Array]) -> list[float]:
    """Return the largest value of each class's gradients, by which they are stored."""
    return [float(values.max()) or 1.0 for values in gradients.values()]


def _picture(
    content: Content, arrays: Mapping[str, NDArray[Any]], manifest: Manifest | None
) -> GoodImage | None:
    """Return the good image in ``arrays``. Raises ValueError and KeyError where they do not fit."""
    layout = content.layout
    if layout is None:
        if arrays:
            raise ValueError("arrays without a layout")
        return None
    values = {name: array.astype(np.float32) for name, array in arrays.items()}
    _check_shapes(layout, {name: array.shape for name, array in values.items()})
    if not all(
        np.isfinite(array).all() and array.min() >= _LOWEST.get(name, -np.inf)
        for name, array in values.items()
    ):
        raise ValueError("values that are not finite, or below 0")
    median = values["median.npy"]
    if manifest is not None:
        top, left, height, width = layout.window
        own = manifest.input
        inside = 0 <= top <= own.height - height and 0 <= left <= own.width - width
        if len(median) != own.channels or not inside:
            raise ValueError("the model's image has another size")
    stored = zip(layout.classes, values.get("gradients.npy", ()), layout.levels, strict=True)
    return GoodImage(
        Layout(Template(values["template.npy"], layout.freedom), (), layout.error, layout.least),
        layout.window,
        median,
        values["spread.npy"],
        values["known.npy"] > 0,
        {index: gradient * np.float32(level) for index, gradient, level in stored},
    )


def _check_shapes(layout: LayoutContent, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Raise ValueError unless the arrays of ``shapes`` are those of a good image with ``layout``."""
    _, _, height, width = layout.window
    channels, count = shapes["median.npy"][0], len(layout.classes)
    expected: dict[str, tuple[int, ...]] = {
        "median.npy": (channels, height, width),
        "spread.npy": (channels, height, width),
        "known.npy": (height, width),
    }
    if count:
        expected["gradients.npy"] = (count, height, width)
    template = shapes["template.npy"]
    if len(template) != 3 or template[2] != FEATURES or max(template) > WORKING:
        raise ValueError("template")
    if {**expected, "template.npy": template} != dict(shapes):
        raise ValueError("their shapes")
    if count != len(layout.levels) or count > MOST_CLASSES:
        raise ValueError("gradients")


def _npy(values: NDArray[Any]) -> bytes:
    return _header(values.shape, values.dtype) + np.ascontiguousarray(values).tobytes()


def _header(shape: tuple[int, ...], dtype: np.dtype[Any]) -> bytes:
    """Return the header of ``.npy`` that numpy writes for this shape and type, version 1.0."""
    stream = io.BytesIO()
    described = {"descr": dtype.str, "fortran_order": False, "shape": tuple(map(int, shape))}
    np.lib.format.write_array_header_1_0(stream, described)
    return stream.getvalue()


def _sha256(data: Buffer) -> str:
    return hashlib.sha256(data).hexdigest()


def check_bundle(reference: Reference, bundle_sha256: str, where: str) -> None:
    """Raise SettingError unless ``reference`` was made with the bundle whose hash is ``bundle_sha256``."""
    content = reference.content
    if content.bundle_sha256 != bundle_sha256:
        raise SettingError(
            f"it was made with another bundle ({content.bundle}, {content.bundle_sha256[:12]}...)",
            where=where,
            hint="calibrate again with this bundle: gagrad-edge calibrate BUNDLE OK_IMAGES...",
        )
