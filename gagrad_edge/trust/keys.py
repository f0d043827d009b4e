"""Ed25519 keys in PEM files. The id of a key is the SHA-256 of the public key's 32 bytes.

Public keys travel as PEM (``openssl pkey -pubin`` reads them) or, in a trust policy, as base64 of the 32
bytes.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gagrad_edge.atomic import make_folder, output_error, write_atomic
from gagrad_edge.errors import InputError, MissingPackageError, OutputError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_FILE_LIMIT = 16 << 10
_BYTES = 32


@dataclass(frozen=True)
class PublicKey:
    """A public key, which verifies signatures. ``name`` is for people: its name in a file or a policy."""

    raw: bytes
    name: str = ""

    @property
    def id(self) -> str:
        """SHA-256 of ``raw``, hexadecimal."""
        return hashlib.sha256(self.raw).hexdigest()

    @property
    def text(self) -> str:
        """Base64 of ``raw``, as a trust policy holds it."""
        return base64.b64encode(self.raw).decode()

    def __str__(self) -> str:
        return f"{self.name} ({self.id[:16]})" if self.name else self.id

    def verifies(self, signature: bytes, message: bytes) -> bool:
        """Return whether ``signature`` is this key's signature of ``message`` (RFC 8032, strict about S)."""
        ed25519 = _library()
        from cryptography.exceptions import InvalidSignature  # noqa: PLC0415

        try:
            ed25519.Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, message)
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True)
class PrivateKey:
    """A private key, which signs. Ed25519 is deterministic: the same message has the same signature."""

    _key: Any

    @property
    def public(self) -> PublicKey:
        """The public half."""
        return PublicKey(self._key.public_key().public_bytes_raw())

    def sign(self, message: bytes) -> bytes:
        """Return the signature over ``message``, 64 bytes."""
        return bytes(self._key.sign(message))


def generate() -> PrivateKey:
    """Return a new key from the system's random numbers. Raises MissingPackageError."""
    return PrivateKey(_library().Ed25519PrivateKey.generate())


def write_keys(key: PrivateKey, private: Path, public: Path, passphrase: str = "") -> None:
    """Write both halves as PEM files, the private one readable by its owner only. Missing folders are made.

    Neither file replaces another. Raises OutputError; then neither is there.
    """
    from cryptography.hazmat.primitives import serialization as forms  # noqa: PLC0415

    for path in (private, public):
        if os.path.lexists(path):
            hint = "give another name, or move the old key away"
            raise OutputError("a key is never overwritten", where=str(path), hint=hint)
    make_folder(private.parent)
    make_folder(public.parent)
    secrecy = forms.BestAvailableEncryption(passphrase.encode()) if passphrase else forms.NoEncryption()
    secret = key._key.private_bytes(forms.Encoding.PEM, forms.PrivateFormat.PKCS8, secrecy)
    open_half = key._key.public_key().public_bytes(
        forms.Encoding.PEM, forms.PublicFormat.SubjectPublicKeyInfo
    )
    _write_secret(private, secret)
    try:
        write_atomic(public, [open_half])
    except OutputError:
        private.unlink()
        raise


def read_private_key(path: Path, ask: Callable[[], str]) -> PrivateKey:
    """Return the private key in the PEM file ``path``; ``ask`` is called for its passphrase if it has one.

    Raises InputError and MissingPackageError.
    """
    ed25519 = _library()
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415

    data = _read(path)
    passphrase = ask().encode() if b"ENCRYPTED PRIVATE KEY" in data else None
    try:
        key = load_pem_private_key(data, passphrase)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        what = "this is not a private key in PEM form"
        raise InputError(
            "the passphrase is not the one of this key" if passphrase else what,
            where=str(path),
            hint="give the .key file that `gagrad-edge keygen` wrote, and its passphrase if it has one",
        ) from error
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        hint = "make one: gagrad-edge keygen NAME"
        raise InputError("this is not an Ed25519 key", where=str(path), hint=hint)
    return PrivateKey(key)


def read_public_key(path: Path) -> PublicKey:
    """Return the public key in the PEM file ``path``, named by the file. Raises InputError."""
    ed25519 = _library()
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_pem_public_key  # noqa: PLC0415

    data = _read(path)
    hint = "give the .pub file that `gagrad-edge keygen` wrote"
    if b"PRIVATE KEY" in data:
        raise InputError("this is the private key; only the signer needs it", where=str(path), hint=hint)
    try:
        key = load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InputError("this is not a public key in PEM form", where=str(path), hint=hint) from error
    if not isinstance(key, ed25519.Ed25519PublicKey):
        raise InputError("this is not an Ed25519 key", where=str(path), hint=hint)
    return PublicKey(key.public_bytes_raw(), path.stem)


def public_key_of(text: str, name: str) -> PublicKey:
    """Return the public key that ``text`` is the base64 of. Raises ValueError."""
    try:
        raw = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(f"key {name!r} is not base64") from error
    if len(raw) != _BYTES:
        raise ValueError(f"key {name!r} has {len(raw)} bytes, an Ed25519 key has {_BYTES}")
    return PublicKey(raw, name)


def _library() -> Any:
    try:
        from cryptography.hazmat.primitives.asymmetric import ed25519  # noqa: PLC0415
    except ImportError as error:
        raise MissingPackageError(
            f"signatures need the package cryptography ({error})",
            hint='pip install "gagrad-edge[station]"',
        ) from error
    return ed25519


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(_FILE_LIMIT)
    except OSError as error:
        raise InputError(
            f"the key cannot be read ({error.strerror or error})", where=str(path), hint="check the path"
        ) from error


def _write_secret(path: Path, secret: bytes) -> None:
    """Write the new file ``path`` with mode 0600; a file that cannot be completed is removed."""
    try:
        # O_EXCL and no rename, so that a key that someone else wrote meanwhile is never replaced.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(secret)
                stream.flush()
                os.fsync(stream.fileno())
        except BaseException:
            with contextlib.suppress(OSError):
                path.unlink()
            raise
    except OSError as error:
        raise output_error(path, error) from error
