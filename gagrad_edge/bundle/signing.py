"""Signing a bundle: a signed statement of product and version becomes the member ``signature.json``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from gagrad_edge.atomic import write_atomic
from gagrad_edge.bundle.archive import MANIFEST, SIGNATURE, pack
from gagrad_edge.bundle.bundle import read_bundle
from gagrad_edge.errors import BundleError, OutputError, SettingError
from gagrad_edge.source_date import creation_time
from gagrad_edge.trust.envelope import SIGNATURES, encode_envelope, seal
from gagrad_edge.trust.release import Release, decode_release, encode_release, utc

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from gagrad_edge.bundle.bundle import Bundle
    from gagrad_edge.trust.envelope import Envelope
    from gagrad_edge.trust.keys import PrivateKey


def sign_bundle(
    path: Path,
    output: Path,
    keys: Sequence[PrivateKey],
    *,
    product: str,
    version: int,
    expires: datetime | None = None,
    signed: datetime | None = None,
) -> Release:
    """Write the bundle at ``path`` to ``output``, signed with ``keys`` as ``version`` of ``product``.

    Returns the signed statement. Earlier signatures are dropped, because they belong to an earlier statement.
    ``signed`` is the signing time; by default ``SOURCE_DATE_EPOCH`` or now. ``output`` may equal ``path``.
    Raises BundleError, SettingError and OutputError.
    """
    # The output may replace it, which Windows refuses for a mapped file.
    bundle = read_bundle(path, mapped=False)
    fields = {
        "format": 1,
        "manifest": bundle.sha256,
        "product": product,
        "version": version,
        "signed": utc(signed or creation_time()),
        "expires": None if expires is None else utc(expires),
    }
    try:
        release = msgspec.convert(fields, Release)
    except msgspec.ValidationError as error:
        raise SettingError(
            f"product or version is not valid ({error})",
            where=f"product {product!r}, version {version}",
            hint="a product has letters, digits, '.', '_' and '-', at most 64; a version is 1, 2, 3, …",
        ) from error
    _write(bundle, output, seal(encode_release(release), keys))
    return release


def cosign_bundle(path: Path, output: Path, keys: Sequence[PrivateKey]) -> Release:
    """Write the signed bundle at ``path`` to ``output`` with the signatures of ``keys`` added.

    Returns the signed statement. Raises BundleError and OutputError.
    """
    bundle = read_bundle(path, mapped=False)
    if bundle.envelope is None:
        raise BundleError(
            "the bundle is not signed yet, so there is nothing to add a signature to",
            where=str(path),
            hint="sign it first, with a `product` and a `version`",
        )
    payload = bundle.envelope.payload
    envelope = seal(payload, keys, bundle.envelope.signatures)
    if len(envelope.signatures) > SIGNATURES:
        raise BundleError(f"a bundle can have {SIGNATURES} signatures at most", where=str(path))
    _write(bundle, output, envelope)
    return decode_release(payload, where=str(path))


def _write(bundle: Bundle, output: Path, envelope: Envelope) -> None:
    """Write ``bundle`` with the signatures ``envelope`` to ``output``.

    For an unpacked bundle only ``signature.json`` is written, into the bundle's folder.
    """
    signature = encode_envelope(envelope)
    if output.is_dir():
        if bundle.path.resolve() != output.resolve():
            hint = "give a file name, NAME.gagrad"
            raise OutputError("this is a folder", where=str(output), hint=hint)
        write_atomic(output / SIGNATURE, [signature])
        return
    head = {MANIFEST: bundle.manifest_bytes, SIGNATURE: signature}
    write_atomic(output, pack({**bundle.members, **head}))
