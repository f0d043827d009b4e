"""Write a kit: packages, their lock, a bill of materials, bundle, keys, settings, installer; signed."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from gagrad_edge import __version__
from gagrad_edge.atomic import make_folder, output_error
from gagrad_edge.bundle.bundle import read_bundle
from gagrad_edge.errors import BundleError, OutputError, SettingError
from gagrad_edge.kit import BUNDLE, KIT, LOCK, SBOM, STATION, TRUST, Kit, encode_kit, file_entry, read_kit
from gagrad_edge.kit_signature import sign_kit
from gagrad_edge.source_date import creation_text
from gagrad_edge.trust.envelope import signers
from gagrad_edge.trust.release import decode_release
from gagrad_export.kit import texts
from gagrad_export.kit.readme import readme
from gagrad_export.kit.sbom import bill_of_materials
from gagrad_export.kit.wheels import fetch, glibc_of, lock_text, own_wheel, resolve

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gagrad_edge.bundle.bundle import Bundle
    from gagrad_edge.trust.keys import PrivateKey, PublicKey
    from gagrad_edge.trust.release import Release
    from gagrad_export.kit.platforms import Platform
    from gagrad_export.kit.wheels import Wheel


def pack(
    bundle: Path,
    output: Path,
    platform: Platform,
    *,
    trusted: Sequence[PublicKey],
    threshold: int = 1,
    signing: Sequence[PrivateKey] = (),
    station: Path | None = None,
    constraints: Sequence[Path] = (),
    wheel: Path | None = None,
    index: str | None = None,
    language: str = "en",
    progress: Callable[[str], None] = lambda _: None,
) -> tuple[Kit, str]:
    """Write a kit to the folder ``output``; return the kit's list of files (kit.json) and its SHA-256.

    ``trusted`` are the keys that the device will trust; ``threshold`` of them must have signed the bundle.
    ``signing`` keys sign the kit. ``output`` may be an earlier kit, which is replaced when the new one is
    complete. ``language`` is that of the README, and of pictures in settings made here.
    ``progress`` is called with a line of text before the long step, the download of packages.
    Raises BundleError, SettingError, OutputError, ModelError and MissingPackageError.
    """
    if threshold > len(trusted):
        raise SettingError(
            f"{threshold} keys cannot have signed, as only {len(trusted)} are trusted",
            where="threshold",
            hint="give more keys with `trusted`",
        )
    content, release = _signed(bundle, trusted, threshold)
    if output.exists():
        _check_is_kit(output)
    make_folder(output.parent)
    try:
        with tempfile.TemporaryDirectory(
            prefix=f".{output.name}.", suffix=".part", dir=output.parent
        ) as name:
            folder = Path(name) / "kit"
            (folder / "wheels").mkdir(parents=True)
            progress(f"fetching packages for {platform.machine}, Python {platform.python}")
            own = own_wheel(folder / "wheels", wheel, index)
            others = fetch(resolve(own, platform, constraints, index), folder / "wheels", platform, index)
            wheels = sorted([own, *others], key=lambda each: each.name)
            shutil.copyfile(content.path, folder / BUNDLE)
            policy = texts.trust_policy(trusted, threshold, release.product, release.version)
            (folder / TRUST).write_text(policy, encoding="utf-8")
            settings = texts.station_config(language) if station is None else _text(station)
            (folder / STATION).write_text(settings, encoding="utf-8")
            # pip is there for the installer; it is no part of what is installed.
            installed = [each for each in wheels if each.name != "pip"]
            (folder / LOCK).write_text(lock_text(installed), encoding="utf-8")
            described = {
                "name": release.product,
                "version": str(release.version),
                "sha256": file_entry(folder / BUNDLE).sha256,
            }
            (folder / SBOM).write_bytes(bill_of_materials(wheels, platform, described))
            keys = [key.public for key in signing]
            kit = _list(folder, platform, wheels, release, own, keys, language)
            _, digest = read_kit(folder)
            if signing:
                sign_kit(folder, digest, signing)
            _replace(folder, output)
    except OSError as error:
        raise output_error(output, error) from error
    return kit, digest


def _signed(path: Path, trusted: Sequence[PublicKey], threshold: int) -> tuple[Bundle, Release]:
    """Return the bundle and its signed release. Raises BundleError unless the device would load them."""
    bundle = read_bundle(path)
    if path.is_dir() or bundle.envelope is None:
        what = "this is an unpacked bundle" if path.is_dir() else "the bundle is not signed"
        hint = "gagrad-edge sign BUNDLE --key KEY --product NAME --version N"
        raise BundleError(f"{what}, and a kit carries a signed file", where=str(path), hint=hint)
    found = signers(bundle.envelope, trusted, where=str(path))
    if len(found) < threshold:
        raise BundleError(
            f"{len(found)} of the {threshold} keys that must have signed it did",
            where=str(path),
            hint="give the public keys of its signatures with `trusted`",
        )
    return bundle, decode_release(bundle.envelope.payload, where=str(path))


def _list(
    folder: Path,
    platform: Platform,
    wheels: Sequence[Wheel],
    release: Release,
    own: Wheel,
    signing: Sequence[PublicKey],
    language: str,
) -> Kit:
    """Write the installer, the README and kit.json, the list of all files; return that list."""

    def kit(files: Sequence[Path]) -> Kit:
        return Kit(
            gagrad_edge=__version__,
            platform=platform.name,
            machine=platform.machine,
            python=platform.python,
            glibc=glibc_of(wheels),
            system_packages=platform.system_packages,
            product=release.product,
            version=release.version,
            created=creation_text(),
            files={path.relative_to(folder).as_posix(): file_entry(path) for path in files},
        )

    described = kit([])
    (folder / "install.sh").write_text(texts.install_script(described, own.path.name), encoding="utf-8")
    (folder / "install.sh").chmod(0o755)
    (folder / "README.txt").write_text(readme(described, signing, language), encoding="utf-8")
    complete = kit(sorted(path for path in folder.rglob("*") if path.is_file()))
    (folder / KIT).write_bytes(encode_kit(complete))
    return complete


def _check_is_kit(output: Path) -> None:
    try:
        read_kit(output)
    except BundleError as error:
        if output.is_dir() and not any(output.iterdir()):
            return
        raise OutputError(
            "there is something that is not a kit, and it is not replaced",
            where=str(output),
            hint="give another folder with `output`",
        ) from error


def _replace(folder: Path, output: Path) -> None:
    """Move the finished kit into its place; an earlier kit there is moved away first, and deleted later."""
    if output.exists():
        output.rename(folder.parent / "old")
    folder.rename(output)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(f"cannot be read ({error})", where=f"station={path}") from error
