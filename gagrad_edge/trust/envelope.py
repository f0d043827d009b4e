"""The DSSE envelope of a signed statement, in one canonical byte form.

DSSE 1.0 (https://github.com/secure-systems-lab/dsse): signatures are over the pre-authentication encoding
``PAE(type, payload)``, so that nothing is parsed before it is verified and no payload passes as one of
another type. Beyond the standard, the JSON is canonical, signatures are in the order of their key ids, and a
key signs once: a signed bundle has no second form.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec

from gagrad_edge.errors import BundleError
from gagrad_edge.manifest import Sha256  # noqa: TC001 - msgspec reads it at run time

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gagrad_edge.trust.keys import PrivateKey, PublicKey

PAYLOAD_TYPE = "application/vnd.gagrad-edge.release+json"
SIGNATURES = 16
"""Most signatures in one envelope."""

_COPY_AGAIN = "copy the bundle again from where it was signed, or sign it again"


class Signature(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One key's signature; bytes are base64 in JSON."""

    keyid: Sha256
    sig: Annotated[bytes, msgspec.Meta(min_length=64, max_length=64)]


class Envelope(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A payload and its signatures. The field names are those of DSSE."""

    payload: Annotated[bytes, msgspec.Meta(max_length=16 << 10)]
    payloadType: str  # noqa: N815
    signatures: Annotated[list[Signature], msgspec.Meta(min_length=1, max_length=SIGNATURES)]


def seal(
    payload: bytes,
    keys: Iterable[PrivateKey],
    others: Iterable[Signature] = (),
    *,
    kind: str = PAYLOAD_TYPE,
) -> Envelope:
    """Return ``payload`` signed with ``keys``, beside the signatures ``others`` over the same payload."""
    message = pae(kind, payload)
    found = {signature.keyid: signature for signature in others}
    for key in keys:
        found[key.public.id] = Signature(keyid=key.public.id, sig=key.sign(message))
    signatures = [found[keyid] for keyid in sorted(found)]
    return Envelope(payload=payload, payloadType=kind, signatures=signatures)


def pae(kind: str, payload: bytes) -> bytes:
    """Return DSSE's pre-authentication encoding: ``DSSEv1 len(type) type len(payload) payload``."""
    encoded = kind.encode()
    return b"DSSEv1 %d %s %d %s" % (len(encoded), encoded, len(payload), payload)


def signers(envelope: Envelope, keys: Sequence[PublicKey], *, where: str) -> list[PublicKey]:
    """Return those of ``keys`` that signed, each once; signatures of other keys are ignored.

    Raises BundleError when a signature names one of ``keys`` and is not valid: something was changed.
    """
    message = pae(envelope.payloadType, envelope.payload)
    known = {key.id: key for key in keys}
    found = []
    for signature in envelope.signatures:
        key = known.get(signature.keyid)
        if key is None:
            continue
        if not key.verifies(signature.sig, message):
            raise BundleError(f"the signature of key {key} is wrong", where=where, hint=_COPY_AGAIN)
        found.append(key)
    return found


def encode_envelope(envelope: Envelope) -> bytes:
    """Return the canonical bytes of ``envelope``: sorted fields, no space, one final newline."""
    return msgspec.json.encode(envelope, order="sorted") + b"\n"


def decode_envelope(data: bytes, *, where: str, kind: str = PAYLOAD_TYPE) -> Envelope:
    """Return the envelope in ``data``, which must be of ``kind``. Raises BundleError.

    Nothing is verified yet.
    """
    try:
        envelope = msgspec.json.decode(data, type=Envelope)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        what = f"the signature is not readable ({error})"
        raise BundleError(what, where=where, hint=_COPY_AGAIN) from error
    ids = [signature.keyid for signature in envelope.signatures]
    if encode_envelope(envelope) != data or ids != sorted(set(ids)):
        raise BundleError("the signature is not in canonical form", where=where, hint=_COPY_AGAIN)
    if envelope.payloadType != kind:
        raise BundleError(
            f"what is signed is a {envelope.payloadType!r}, not a {kind!r}",
            where=where,
            hint="sign bundles with `gagrad-edge sign`",
        )
    return envelope
