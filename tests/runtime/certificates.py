"""Certificates made for a test: an authority, and what it signed for this machine's loopback address."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from ipaddress import ip_address
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from pathlib import Path


def make(folder: Path) -> Path:
    """Write an authority, ``ca.pem``, and what it signed for 127.0.0.1, to ``folder``; return the folder."""
    now = datetime.now(timezone.utc)
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]) for name in ("factory CA", "host")]

    def certificate(index: int) -> x509.Certificate:
        authority = x509.BasicConstraints(ca=index == 0, path_length=None)
        address = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
        builder = x509.CertificateBuilder(
            names[0], names[index], keys[index].public_key(), x509.random_serial_number(),
            now - timedelta(days=1), now + timedelta(days=1),
        )  # fmt: skip
        builder = builder.add_extension(authority, critical=True).add_extension(address, critical=False)
        usage = x509.KeyUsage(
            digital_signature=True, key_cert_sign=index == 0, crl_sign=index == 0, content_commitment=False,
            key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False,
            decipher_only=False,
        )  # fmt: skip
        return builder.add_extension(usage, critical=True).sign(keys[0], hashes.SHA256())

    for index, name in enumerate(("ca.pem", "host.pem")):
        (folder / name).write_bytes(certificate(index).public_bytes(serialization.Encoding.PEM))
    secret = keys[1].private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "host.key").write_bytes(secret)
    return folder
