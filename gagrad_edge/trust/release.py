"""The release statement of a bundle: product, version, signing time, and expiry.

The statement is the payload of the DSSE envelope ``signature.json``. It names the manifest by its SHA-256,
and the manifest names everything else, so one signature covers the whole bundle.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Annotated

import msgspec

from gagrad_edge.errors import BundleError
from gagrad_edge.manifest import Sha256  # noqa: TC001 - msgspec reads it at run time

FORMAT = 1
"""Version of the statement that this package writes and the newest that it reads."""

Product = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")]
Version = Annotated[int, msgspec.Meta(ge=1, le=2**53)]
Time = Annotated[datetime, msgspec.Meta(tz=True)]

_SIGN_AGAIN = "sign the bundle again with `gagrad-edge sign`"


class Release(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One version of one product. Times are UTC, to the second."""

    format: Annotated[int, msgspec.Meta(ge=1)] = FORMAT
    manifest: Sha256
    """Of the bytes of ``manifest.json``."""
    product: Product
    version: Version
    """Grows with each release of the product; a device does not go back."""
    signed: Time
    expires: Time | None = None

    def __post_init__(self) -> None:
        if self.expires is not None and self.expires <= self.signed:
            raise ValueError("it expires before it was signed")


def encode_release(release: Release) -> bytes:
    """Return the canonical bytes of ``release``."""
    return msgspec.json.encode(release, order="sorted")


def decode_release(data: bytes, *, where: str) -> Release:
    """Return the statement in ``data``. Raises BundleError, also for a newer format."""
    try:
        found = msgspec.json.decode(data, type=_Head).format
        if found > FORMAT:
            raise BundleError(
                f"the signed statement's format {found} is newer than this gagrad-edge reads ({FORMAT})",
                where=where,
                hint="upgrade gagrad-edge on this machine",
            )
        release = msgspec.json.decode(data, type=Release)
        canonical = encode_release(release) == data
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OverflowError) as error:
        what = f"the signed statement is not valid ({error})"
        raise BundleError(what, where=where, hint=_SIGN_AGAIN) from error
    if not canonical:
        raise BundleError("the signed statement is not in canonical form", where=where, hint=_SIGN_AGAIN)
    return release


def utc(moment: datetime) -> datetime:
    """Return ``moment`` in UTC, cut to the second."""
    return moment.astimezone(timezone.utc).replace(microsecond=0)


class _Head(msgspec.Struct):
    format: int
