"""The packages of a kit: resolved for the device's Python and machine, then downloaded.

uv resolves, because uv evaluates the packages' environment markers for the device. pip evaluates them for the
machine that it runs on, even when it downloads for another platform, and so leaves out packages that only the
device needs.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlparse

import gagrad_edge
from gagrad_edge import __version__
from gagrad_edge.errors import MissingPackageError, ModelError, SettingError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gagrad_export.kit.platforms import Platform

_EXTRA = 'pip install "gagrad-edge[pack]"'


@dataclass(frozen=True)
class Wheel:
    """A package of a kit, as a wheel file."""

    path: Path
    name: str
    """Name of the package, normalised as in PEP 503."""
    version: str
    sha256: str

    @classmethod
    def of(cls, path: Path) -> Wheel:
        """Return the wheel at ``path``, with the name and version that its file name has (PEP 427)."""
        name, version, *_ = path.name.removesuffix(".whl").split("-")
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        return cls(path, re.sub(r"[-_.]+", "-", name).lower(), version, digest)


def own_wheel(target: Path, given: Path | None, index: str | None = None) -> Wheel:
    """Write gagrad-edge's own wheel into the folder ``target``, and return the wheel.

    The wheel is a copy of ``given``, or else built from the source folder that gagrad-edge runs from. What
    the build needs comes from ``index``. Raises SettingError when there is neither, and ModelError when the
    build fails.
    """
    if given is not None:
        wheel = target / given.name
        try:
            wheel.write_bytes(given.read_bytes())
        except OSError as error:
            raise SettingError(f"cannot be read ({error.strerror})", where=f"wheel={given}") from error
    else:
        source = _source()
        if source is None:
            raise SettingError(
                "gagrad-edge was installed from an index, which keeps no wheel to put into the kit",
                where="wheel",
                hint=f"fetch it, `pip download --no-deps gagrad-edge=={__version__}`, and give the file",
            )
        wheel = _build(source, target, index)
    found = Wheel.of(wheel)
    if (found.name, found.version) != ("gagrad-edge", __version__):
        raise SettingError(
            f"this is {found.name} {found.version}, and gagrad-edge {__version__} packs",
            where=f"wheel={wheel.name}",
            hint="give the wheel of this version",
        )
    return found


def _source() -> Path | None:
    """Return the source folder that gagrad-edge runs from or was installed from (PEP 610), or None."""
    beside = Path(gagrad_edge.__file__).parents[1]
    if (beside / "pyproject.toml").is_file():
        return beside
    try:
        text = distribution("gagrad-edge").read_text("direct_url.json")
    except PackageNotFoundError:
        return None
    url = urlparse(json.loads(text)["url"]) if text else None
    folder = Path(unquote(url.path)) if url is not None and url.scheme == "file" else None
    return folder if folder is not None and (folder / "pyproject.toml").is_file() else None


def _build(source: Path, target: Path, index: str | None) -> Path:
    """Make the wheel of a copy: in its own folder setuptools would take up what earlier builds left there."""
    names = ("pyproject.toml", "setup.py", "README.md", "LICENSE", "gagrad_edge", "export", "runtime")
    compiled = shutil.ignore_patterns("__pycache__")
    with tempfile.TemporaryDirectory() as copy:
        for name in names:
            if (source / name).is_dir():
                shutil.copytree(source / name, Path(copy) / name, ignore=compiled)
            elif (source / name).exists():
                shutil.copyfile(source / name, Path(copy) / name)
        command = ["wheel", "--quiet", "--no-deps", "--wheel-dir", str(target), copy]
        command += ["--index-url", index] if index else []
        _run_pip(command, "gagrad-edge's own wheel cannot be made")
    (wheel,) = target.glob("gagrad_edge-*.whl")
    return wheel


def resolve(own: Wheel, platform: Platform, constraints: Sequence[Path], index: str | None) -> str:
    """Return the text of a requirements file for ``platform``: exact versions with the hashes of all wheels.

    gagrad-edge itself is left out. Raises MissingPackageError without uv, and SettingError when the packages'
    versions contradict each other or a package has no wheel for the platform.
    """
    try:
        from uv import find_uv_bin  # noqa: PLC0415 - of the workstation's extra
    except ImportError as error:
        raise MissingPackageError(f"packing a kit needs uv ({error})", hint=_EXTRA) from error
    asked = [f"gagrad-edge[{','.join(platform.extras)}] @ {own.path.resolve().as_uri()}"]
    asked += [*platform.requirements, "pip"]
    libc = platform.glibc.replace(".", "_")
    command = [
        *(find_uv_bin(), "pip", "compile", "-", "--quiet", "--no-header", "--no-annotate"),
        *("--generate-hashes", "--no-python-downloads", "--only-binary", ":all:"),
        *("--python-version", platform.python),
        *("--python-platform", f"{platform.machine}-manylinux_{libc}"),
        *("--no-emit-package", "gagrad-edge"),
        *(word for path in constraints for word in ("--constraint", str(path))),
        *(("--default-index", index) if index else ()),
    ]
    done = subprocess.run(  # noqa: S603
        command, input="\n".join(asked), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SettingError(
            f"the packages cannot be resolved ({_said(done.stderr)})",
            where=f"{platform.name}, Python {platform.python}, glibc {platform.glibc}",
            hint="check the network; give another `python` or `glibc`, or loosen one of the `constraints`",
        )
    return "\n".join(line for line in done.stdout.splitlines() if not line.startswith("#")) + "\n"


def fetch(lock: str, target: Path, platform: Platform, index: str | None) -> list[Wheel]:
    """Download the wheels of ``lock`` into ``target``, check their hashes, and return them sorted by name.

    Raises ModelError when a wheel cannot be downloaded.
    """
    requirements = target / "all-hashes.txt"
    requirements.write_text(lock, encoding="utf-8")
    before = set(target.iterdir())
    command = [
        *("download", "--quiet", "--no-deps", "--require-hashes", "--only-binary", ":all:"),
        *("--implementation", "cp", "--python-version", platform.python),
        *(word for tag in platform.tags() for word in ("--platform", tag)),
        *(("--index-url", index) if index else ()),
        *("--dest", str(target), "--requirement", str(requirements)),
    ]
    _run_pip(command, "the packages cannot be fetched")
    requirements.unlink()
    return sorted(map(Wheel.of, set(target.iterdir()) - before), key=lambda wheel: wheel.name)


def lock_text(wheels: Sequence[Wheel]) -> str:
    """Return the text of the device's requirements file: of each package the wheel that is in the kit."""
    return "".join(f"{wheel.name}=={wheel.version} --hash=sha256:{wheel.sha256}\n" for wheel in wheels)


def glibc_of(wheels: Sequence[Wheel]) -> str:
    """Return the oldest version of glibc that all of ``wheels`` run on."""
    least = 0
    for wheel in wheels:
        # A wheel may have several tags; the device needs to meet only the lowest.
        minors = [int(minor) for minor in re.findall(r"manylinux_2_(\d+)_", wheel.path.name)]
        minors += [17] if "manylinux2014" in wheel.path.name else []
        least = max(least, min(minors, default=0))
    return f"2.{least}"


def _run_pip(arguments: list[str], failure: str) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise ModelError(
            f"{failure} ({_said(done.stderr)})", hint="check the network, and that pip is installed here"
        )


def _said(text: str) -> str:
    """Return the last lines of a program's message on one line."""
    return "; ".join(line.strip() for line in text.strip().splitlines()[-8:])
