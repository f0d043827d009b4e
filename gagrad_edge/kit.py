"""An offline kit: a folder with all that a device needs, and the list that names each file with its hash.

::

    kit.json            the list: what the kit is for, and SHA-256 and size of every other file
    kit.sig.json        signatures over the hash of kit.json (DSSE); may be missing
    install.sh          README.txt
    wheels/             the packages, and pip
    requirements.lock   versions and hashes of the packages
    sbom.cdx.json       bill of materials (CycloneDX)
    bundle.gagrad       trust.toml  station.toml

Standard library only: the installer runs from the kit before any package is installed.
"""

from __future__ import annotations

import hashlib
import json
import re
import stat
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from gagrad_edge.errors import BundleError

if TYPE_CHECKING:
    from pathlib import Path

KIT = "kit.json"
SIGNATURE = "kit.sig.json"
BUNDLE, LOCK, SBOM, TRUST, STATION = (
    *("bundle.gagrad", "requirements.lock", "sbom.cdx.json", "trust.toml", "station.toml"),
)
FORMAT = 1
LIST_LIMIT = 1 << 20
"""Bytes of ``kit.json``: some thousand files."""

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+!-]*(/[A-Za-z0-9_][A-Za-z0-9_.+!-]*)?")
_COPY_AGAIN = "copy the kit again from where it was packed, or pack it again"


@dataclass(frozen=True)
class Entry:
    """One file of a kit."""

    sha256: str
    size: int
    """Bytes."""


@dataclass(frozen=True)
class Kit:
    """The content of ``kit.json``."""

    gagrad_edge: str
    """Version of the program."""
    platform: str
    """Name for people, e.g. ``jetson-jp6``."""
    machine: str
    """Machine that the kit is for, as ``uname -m`` prints it."""
    python: str
    """Python version that the wheels are for, ``3.10``."""
    glibc: str
    """Lowest version of the C library, ``2.28``."""
    system_packages: bool
    """Whether the environment sees the system's packages, such as JetPack's TensorRT."""
    product: str
    version: int
    """Version of the product, as the bundle was signed."""
    created: str
    """Time of packing, UTC."""
    files: dict[str, Entry]
    """Entries by path in the kit."""

    @property
    def wheels(self) -> list[str]:
        """Paths, in the kit, of its wheels; pip's own wheel is one of them."""
        return [name for name in self.files if name.endswith(".whl")]


def encode_kit(kit: Kit) -> bytes:
    """Return the bytes of ``kit.json``."""
    return json.dumps({"format": FORMAT, **asdict(kit)}, indent=1, sort_keys=True).encode() + b"\n"


def read_kit(folder: Path) -> tuple[Kit, str]:
    """Return the list of the kit in ``folder`` and the SHA-256 of ``kit.json``; no other file is read.

    Raises BundleError.
    """
    where = str(folder / KIT)
    try:
        with (folder / KIT).open("rb") as stream:
            data = stream.read(LIST_LIMIT + 1)
        if len(data) > LIST_LIMIT:
            raise ValueError("it is too long")
        return _decode(json.loads(data)), hashlib.sha256(data).hexdigest()
    except OSError as error:
        hint = "give the folder that `gagrad-edge pack` wrote"
        raise BundleError(f"this is no kit ({error.strerror})", where=str(folder), hint=hint) from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise BundleError(f"the kit's list is not valid ({error})", where=where, hint=_COPY_AGAIN) from error


def _decode(content: dict[str, Any]) -> Kit:
    fields = dict(content)
    if fields.pop("format") != FORMAT:
        raise ValueError(f"format {content['format']} is not {FORMAT}: use the installer that came with it")
    entries = fields.pop("files")
    files = {name: Entry(**entry) for name, entry in entries.items()}
    for name, entry in files.items():
        if not _NAME.fullmatch(name) or name in (KIT, SIGNATURE):
            raise ValueError(f"file name {name!r}")
        if not isinstance(entry.size, int) or not re.fullmatch(r"[0-9a-f]{64}", entry.sha256):
            raise ValueError(f"entry of {name}")
    kit = Kit(files=files, **fields)
    texts = (kit.gagrad_edge, kit.platform, kit.machine, kit.python, kit.glibc, kit.product, kit.created)
    if not all(isinstance(text, str) and re.fullmatch(r"[\w.+!:-]{1,100}", text) for text in texts):
        raise ValueError("a text is missing or odd")
    if not isinstance(kit.version, int) or not isinstance(kit.system_packages, bool):
        raise TypeError("version and system_packages")
    if missing := {BUNDLE, LOCK, TRUST, STATION} - set(files):
        raise ValueError(f"it names no {', '.join(sorted(missing))}")
    return kit


def check_files(folder: Path, kit: Kit) -> None:
    """Compare every file of the kit with the list. Raises BundleError at the first that differs.

    Files that the list does not name are ignored, because they are never used.
    """
    for name, entry in kit.files.items():
        digest = hashlib.sha256()
        path = folder / name
        try:
            if not stat.S_ISREG(path.lstat().st_mode):
                raise BundleError("this is not a regular file", where=str(path), hint=_COPY_AGAIN)
            with path.open("rb") as stream:
                while block := stream.read(1 << 20):
                    digest.update(block)
                size = stream.tell()
        except OSError as error:
            what = f"the file cannot be read ({error.strerror})"
            raise BundleError(what, where=str(path), hint=_COPY_AGAIN) from error
        if size != entry.size or digest.hexdigest() != entry.sha256:
            what = f"the file is not the one that was packed ({size} bytes for {entry.size})"
            if size == entry.size:
                what = "the file is not the one that was packed (its hash differs)"
            raise BundleError(what, where=str(path), hint=_COPY_AGAIN)


def file_entry(path: Path) -> Entry:
    """Return the entry of the file ``path``."""
    data = path.read_bytes()
    return Entry(hashlib.sha256(data).hexdigest(), len(data))
