"""Signatures of a kit: a DSSE envelope over the hash of ``kit.json``, which names every file of the kit."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from gagrad_edge.atomic import write_atomic
from gagrad_edge.errors import BundleError
from gagrad_edge.kit import FORMAT, SIGNATURE
from gagrad_edge.trust.envelope import decode_envelope, encode_envelope, seal, signers

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from gagrad_edge.trust.keys import PrivateKey, PublicKey

PAYLOAD_TYPE = "application/vnd.gagrad-edge.kit+json"
_LIMIT = 64 << 10


def sign_kit(folder: Path, sha256: str, keys: Sequence[PrivateKey]) -> None:
    """Write the signatures of ``keys`` over the ``kit.json`` with that SHA-256. Raises OutputError."""
    envelope = seal(_statement(sha256), keys, kind=PAYLOAD_TYPE)
    write_atomic(folder / SIGNATURE, [encode_envelope(envelope)])


def kit_signers(folder: Path, sha256: str, keys: Sequence[PublicKey]) -> list[PublicKey]:
    """Return those of ``keys`` that signed the ``kit.json`` with that SHA-256; empty without signatures.

    Raises BundleError when the signatures are of another kit, not valid or unreadable.
    """
    where = str(folder / SIGNATURE)
    try:
        with (folder / SIGNATURE).open("rb") as stream:
            data = stream.read(_LIMIT)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise BundleError(f"the signature cannot be read ({error.strerror})", where=where) from error
    envelope = decode_envelope(data, where=where, kind=PAYLOAD_TYPE)
    if envelope.payload != _statement(sha256):
        raise BundleError(
            "the signature is for another kit",
            where=where,
            hint="copy the kit again from where it was packed, all of it",
        )
    return signers(envelope, keys, where=where)


def _statement(sha256: str) -> bytes:
    return json.dumps({"format": FORMAT, "kit": sha256}, sort_keys=True, separators=(",", ":")).encode()
