"""What is released: the source archive and the wheel hold what a user, a packager and a type checker need."""

from __future__ import annotations

import email
import email.message
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

PACKAGES = {"gagrad_edge": ".", "gagrad_export": "export", "gagrad_runtime": "runtime"}
NOT_THE_PROJECT = (".git", ".venv*", "__pycache__", "*.egg-info", "build", "dist", "demo-out", ".hypothesis")
CACHES = (
    ".*_cache",
    ".whl",
    ".zoo",
    ".fidelity",
    ".where",
    ".shortcuts",
    ".labelling",
    ".models",
    ".drise",
    ".venv-drise",
    ".arm64",
    ".systemd",
    ".gpu-pieces",
    ".venv-triton",
    "node_modules",
    "gpu-out",
)
BUILD_SDIST = "import sys; from setuptools import build_meta; build_meta.build_sdist(sys.argv[1])"


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Path:
    """Return the source archive, made by the build backend in a copy of the tree."""
    folder = tmp_path_factory.mktemp("sdist")
    shutil.copytree(root, folder / "tree", ignore=shutil.ignore_patterns(*NOT_THE_PROJECT, *CACHES))
    command = [sys.executable, "-c", BUILD_SDIST, folder]
    subprocess.run(command, cwd=folder / "tree", check=True, capture_output=True)
    (archive,) = folder.glob("gagrad_edge-*.tar.gz")
    return archive


@pytest.fixture(scope="module")
def unpacked(sdist: Path) -> Path:
    """Return the folder that the source archive unpacks to."""
    with tarfile.open(sdist) as archive:
        archive.extractall(sdist.parent, filter="data")
    return sdist.parent / sdist.name.removesuffix(".tar.gz")


@pytest.fixture(scope="module")
def wheel(unpacked: Path) -> Path:
    """Return the wheel, made from the source archive alone and without an index."""
    folder = unpacked.parent / "wheel"
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", folder]
    pip = [sys.executable, "-m", "pip"]
    subprocess.run([*pip, "wheel", *options, unpacked], check=True, capture_output=True)
    (built,) = folder.glob("gagrad_edge-*.whl")
    return built


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> email.message.Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return email.message_from_string(archive.read(name).decode())


def files_of(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_the_source_archive_holds_the_project(sdist: Path, unpacked: Path) -> None:
    """Tests, golden vectors, docs, examples, benchmarks: whoever has the archive can run `make test`."""
    tree, found = files_of(sdist.parent / "tree"), files_of(unpacked)
    ours = {name for name in tree if not re.search(r"\.egg-info/|\.pyc$", name)}
    assert {"LICENSE", "Makefile", "CHANGELOG.md", ".ci/run", "tests/golden/rcap_ties.npz"} <= ours
    assert ours <= found, sorted(ours - found)
    assert not [name for name in found if name.endswith(".pyc")]


def test_the_source_archive_is_complete_beside_git(root: Path, unpacked: Path) -> None:
    """Every file that the repository keeps is in the archive."""
    if not (root / ".git").exists():
        pytest.skip("this tree is not a repository")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True, check=True)
    kept = {name for name in listed.stdout.split("\0") if name and (root / name).exists()}
    assert kept <= files_of(unpacked)


def test_the_wheel_holds_the_three_packages_and_nothing_else(root: Path, wheel: Path) -> None:
    """Each module, the type markers, the demo's files, the report's page, the unit file; no tests."""
    with zipfile.ZipFile(wheel) as archive:
        found = {name for name in archive.namelist() if ".dist-info/" not in name}
    expected = set()
    for package, folder in PACKAGES.items():
        assert f"{package}/py.typed" in found
        kept = files_of(root / folder / package)
        expected |= {f"{package}/{name}" for name in kept if "__pycache__" not in name}
    assert found == expected


def test_the_licence_is_in_all_three(root: Path, unpacked: Path, wheel: Path) -> None:
    """The whole text of Apache-2.0: in the repository, the source archive and the wheel."""
    text = (root / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License\n                           Version 2.0, January 2004" in text
    assert all(f"\n   {number}. " in text for number in range(1, 10))
    assert "END OF TERMS AND CONDITIONS" in text
    assert text.rstrip().endswith("limitations under the License.")
    assert (unpacked / "LICENSE").read_text(encoding="utf-8") == text
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/licenses/LICENSE"))
        assert archive.read(name).decode() == text


def test_the_metadata_says_what_an_index_asks(metadata: email.message.Message) -> None:
    """The metadata has licence, authors, keywords, Python versions, systems and Typed."""
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["License-File"] == "LICENSE"
    assert metadata["Author"] == "gagrad-edge authors"
    assert metadata["Requires-Python"] == ">=3.10"
    assert "ONNX" in metadata["Keywords"].split(",")
    classifiers = metadata.get_all("Classifier", [])
    for minor in (10, 11, 12, 13):
        assert f"Programming Language :: Python :: 3.{minor}" in classifiers
    assert "Typing :: Typed" in classifiers
    # PEP 639: the expression says it, and an index refuses both together.
    assert not [line for line in classifiers if line.startswith("License ::")]


def test_the_description_needs_no_host(root: Path, metadata: email.message.Message) -> None:
    """On an index no picture and no link is broken, and every file it names is in the source archive."""
    text = metadata.get_payload()
    assert isinstance(text, str)
    assert metadata["Description-Content-Type"].startswith("text/markdown")
    assert text.startswith("# gagrad-edge\n")
    assert "![" not in text
    assert "<img" not in text
    for target in re.findall(r"\]\(([^)]*)\)", text):
        assert target.startswith("https://"), target
    named = set(re.findall(r"\b(?:docs|examples)/[\w./-]*\w", text))
    assert len(named) > 10
    for name in named:
        assert (root / name).exists(), name
