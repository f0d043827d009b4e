"""Keys, envelopes and statements: what is signed is what is read, in one byte form."""

from __future__ import annotations

import base64
import subprocess
from datetime import datetime, timedelta, timezone
from pathlib import Path

import msgspec
import pytest

from gagrad_edge.bundle.archive import MANIFEST, SIGNATURE, pack, unpack
from gagrad_edge.bundle.bundle import read_bundle, write_bundle
from gagrad_edge.bundle.signing import cosign_bundle, sign_bundle
from gagrad_edge.errors import BundleError, InputError, OutputError, SettingError
from gagrad_edge.manifest import decode_manifest
from gagrad_edge.trust.envelope import PAYLOAD_TYPE, decode_envelope, encode_envelope, pae, seal, signers
from gagrad_edge.trust.keys import (
    PublicKey,
    generate,
    public_key_of,
    read_private_key,
    read_public_key,
    write_keys,
)
from gagrad_edge.trust.release import decode_release
from tests.models import MEMBERS, plain_manifest

DAY = datetime(2026, 5, 4, tzinfo=timezone.utc)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    write_bundle(tmp_path / "part.gagrad", plain_manifest(), MEMBERS)
    return tmp_path / "part.gagrad"


def members(path: Path) -> dict[str, bytes]:
    return {name: bytes(data) for name, data in unpack(path.read_bytes(), where="x").items()}


def repacked(path: Path, changed: dict[str, bytes]) -> Path:
    path.write_bytes(b"".join(bytes(piece) for piece in pack(changed)))
    return path


def test_keys_are_written_once_and_privately(tmp_path: Path) -> None:
    """Mode 0600, no overwriting, and of a failed attempt nothing stays."""
    key = generate()
    private, public = tmp_path / "a.key", tmp_path / "a.pub"
    write_keys(key, private, public)
    assert private.stat().st_mode & 0o777 == 0o600
    assert read_private_key(private, pytest.fail).public == key.public
    assert read_public_key(public) == PublicKey(key.public.raw, "a")
    before = private.read_bytes()
    with pytest.raises(OutputError, match="never overwritten"):
        write_keys(generate(), private, tmp_path / "b.pub")
    with pytest.raises(OutputError, match="never overwritten"):
        write_keys(generate(), tmp_path / "b.key", public)
    assert private.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.key", "a.pub"]
    with pytest.raises(OutputError):
        write_keys(key, tmp_path / "c.key", private / "c.pub")
    assert not (tmp_path / "c.key").exists()
    write_keys(key, tmp_path / "new" / "c.key", tmp_path / "new" / "c.pub")
    assert read_public_key(tmp_path / "new" / "c.pub").raw == key.public.raw


def test_a_passphrase_is_needed_and_must_be_right(tmp_path: Path) -> None:
    """A key that was written with a passphrase is encrypted, and opens with this passphrase only."""
    key = generate()
    write_keys(key, tmp_path / "a.key", tmp_path / "a.pub", "sesame")
    assert b"ENCRYPTED" in (tmp_path / "a.key").read_bytes()
    assert read_private_key(tmp_path / "a.key", lambda: "sesame").public == key.public
    with pytest.raises(InputError, match="passphrase"):
        read_private_key(tmp_path / "a.key", lambda: "wrong")


def test_files_that_are_no_keys_are_named(tmp_path: Path) -> None:
    """A file that is no key, the other half of a pair or another algorithm is refused by what it is."""
    write_keys(generate(), tmp_path / "a.key", tmp_path / "a.pub")
    with pytest.raises(InputError, match="private key; only the signer"):
        read_public_key(tmp_path / "a.key")
    with pytest.raises(InputError, match="not a private key"):
        read_private_key(tmp_path / "a.pub", str)
    with pytest.raises(InputError, match="cannot be read"):
        read_public_key(tmp_path / "gone.pub")
    with pytest.raises(ValueError, match="31 bytes"):
        public_key_of(base64.b64encode(b"x" * 31).decode(), "k")
    rsa = ["openssl", "genpkey", "-algorithm", "RSA", "-out", str(tmp_path / "rsa.key")]
    subprocess.run(rsa, check=True, capture_output=True)
    with pytest.raises(InputError, match="not an Ed25519"):
        read_private_key(tmp_path / "rsa.key", str)


def test_the_encoding_that_is_signed_is_the_standards() -> None:
    """The example of the DSSE specification, protocol.md."""
    assert pae("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


def test_another_implementation_of_the_standard_agrees() -> None:
    """securesystemslib reads our envelope, and accepts and refuses the same signatures."""
    from securesystemslib import dsse
    from securesystemslib.exceptions import VerificationError
    from securesystemslib.signer import SSlibKey

    first, second, other = generate(), generate(), generate()
    envelope = seal(b'{"a":1}', [first, second])
    theirs = dsse.Envelope.from_dict(msgspec.json.decode(encode_envelope(envelope)))
    keys = [
        SSlibKey(key.public.id, "ed25519", "ed25519", {"public": key.public.raw.hex()})
        for key in (first, second, other)
    ]
    assert theirs.pae() == pae(PAYLOAD_TYPE, b'{"a":1}')
    assert set(theirs.verify(keys[:2], 2)) == {first.public.id, second.public.id}
    with pytest.raises(VerificationError):
        theirs.verify(keys[1:], 2)


def test_only_who_signed_counts_and_a_wrong_signature_is_an_error() -> None:
    """signers returns the keys that signed; a signature that does not verify is an error."""
    first, second, stranger = generate(), generate(), generate()
    envelope = seal(b"payload", [first, stranger])
    assert signers(envelope, [second.public, first.public], where="x") == [first.public]
    (mine,) = [one for one in envelope.signatures if one.keyid == first.public.id]
    forged = msgspec.structs.replace(mine, keyid=second.public.id)
    with pytest.raises(BundleError, match="is wrong"):
        signers(msgspec.structs.replace(envelope, signatures=[forged]), [second.public], where="x")
    # Another type of payload has another encoding, so that its signature does not pass here.
    with pytest.raises(BundleError, match="is wrong"):
        signers(msgspec.structs.replace(envelope, payloadType="text/plain"), [first.public], where="x")


def test_an_envelope_has_one_byte_form() -> None:
    """An envelope in any other byte form than the canonical one raises BundleError."""
    first, second = generate(), generate()
    envelope = seal(b"payload", [first, second])
    data = encode_envelope(envelope)
    assert decode_envelope(data, where="x") == envelope
    swapped = msgspec.structs.replace(envelope, signatures=envelope.signatures[::-1])
    doubled = msgspec.structs.replace(envelope, signatures=[envelope.signatures[0]] * 2)
    foreign = msgspec.structs.replace(envelope, payloadType="text/plain")
    for form in (
        data.strip(),
        data.replace(b":", b": ", 1),
        encode_envelope(swapped),
        encode_envelope(doubled),
        encode_envelope(foreign),
        data.replace(b'"payload"', b'"payload":"","payload"', 1),
        b"[" * 100_000,
    ):
        with pytest.raises(BundleError):
            decode_envelope(form, where="x")


def test_a_signed_bundle_states_what_it_is(bundle: Path, tmp_path: Path) -> None:
    """The same content signed by the same key at the same time is the same file."""
    before = read_bundle(bundle)
    key = generate()
    release = sign_bundle(bundle, tmp_path / "a.gagrad", [key], product="part", version=3, signed=DAY)
    sign_bundle(bundle, tmp_path / "b.gagrad", [key], product="part", version=3, signed=DAY)
    signed = read_bundle(tmp_path / "a.gagrad")
    assert (tmp_path / "a.gagrad").read_bytes() == (tmp_path / "b.gagrad").read_bytes()
    assert signed.sha256 == before.sha256 == release.manifest
    assert signed.envelope is not None
    assert decode_release(signed.envelope.payload, where="x") == release
    assert (release.product, release.version, release.signed, release.expires) == ("part", 3, DAY, None)
    assert list(members(tmp_path / "a.gagrad"))[:2] == [MANIFEST, SIGNATURE]


def test_a_second_signature_is_added_and_a_new_statement_starts_anew(bundle: Path) -> None:
    """cosign adds a signature; signing a new statement replaces all signatures."""
    first, second = generate(), generate()
    with pytest.raises(BundleError, match="not signed yet"):
        cosign_bundle(bundle, bundle, [first])
    sign_bundle(bundle, bundle, [first], product="part", version=1, signed=DAY)
    cosign_bundle(bundle, bundle, [second])
    both = read_bundle(bundle).envelope
    assert both is not None
    assert {one.keyid for one in both.signatures} == {first.public.id, second.public.id}
    sign_bundle(bundle, bundle, [second], product="part", version=2, signed=DAY)
    envelope = read_bundle(bundle).envelope
    assert envelope is not None
    assert [one.keyid for one in envelope.signatures] == [second.public.id]


@pytest.mark.parametrize("fields", [{"product": "../x"}, {"product": ""}, {"version": 0}, {"expires": DAY}])
def test_what_cannot_be_stated_is_refused(bundle: Path, fields: dict[str, object]) -> None:
    """A product, version or expiry that cannot be stated raises SettingError and leaves the file."""
    before = bundle.read_bytes()
    values = {"product": "part", "version": 1, "signed": DAY + timedelta(hours=1)} | fields
    with pytest.raises(SettingError, match="product or version is not valid"):
        sign_bundle(bundle, bundle, [generate()], **values)  # type: ignore[arg-type]
    assert bundle.read_bytes() == before


def test_the_signature_of_another_bundle_is_refused(bundle: Path, tmp_path: Path) -> None:
    """Even without any key: the statement names the manifest."""
    other = tmp_path / "other.gagrad"
    write_bundle(other, plain_manifest(name="other"), MEMBERS)
    sign_bundle(other, other, [generate()], product="part", version=1)
    repacked(bundle, members(bundle) | {SIGNATURE: members(other)[SIGNATURE]})
    with pytest.raises(BundleError, match="another bundle"):
        read_bundle(bundle)


def test_a_manifest_cannot_name_itself_or_the_signature(bundle: Path) -> None:
    """A manifest that lists the signature among its files raises BundleError."""
    sign_bundle(bundle, bundle, [generate()], product="part", version=1)
    found = members(bundle)
    manifest = msgspec.json.decode(found[MANIFEST])
    manifest["files"][SIGNATURE] = {"size": 1, "sha256": "0" * 64}
    text = msgspec.json.format(msgspec.json.encode(manifest, order="sorted"), indent=2) + b"\n"
    decode_manifest(text, where="x")
    del found[SIGNATURE]
    repacked(bundle, found | {MANIFEST: text})
    with pytest.raises(BundleError):
        read_bundle(bundle)
