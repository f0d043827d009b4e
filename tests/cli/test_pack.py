"""`gagrad-edge pack` for real: packages from the index the tests were installed from, then install.sh."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING

import pytest

from gagrad_edge.cli import run
from gagrad_edge.kit import read_kit
from gagrad_export.kit.platforms import PLATFORMS, platform_named
from gagrad_export.kit.wheels import Wheel, fetch, glibc_of, own_wheel, resolve
from tests.long import all_but

if TYPE_CHECKING:
    from pathlib import Path

PYTHON = "{}.{}".format(*sys.version_info[:2])
HERE = f"linux-{platform.machine()}"

pytestmark = pytest.mark.slow  # packages are resolved and fetched


@pytest.fixture(scope="module")
def signed(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a key pair and a signed bundle."""
    folder = tmp_path_factory.mktemp("release")
    stated = ["--product", "part", "--version", "1"]
    assert run(["keygen", str(folder / "release")]) == 0
    output = ["-o", str(folder / "part.gagrad")]
    assert run(["sign", str(tiny_bundle), "--key", str(folder / "release.key"), *stated, *output]) == 0
    return folder


@pytest.fixture(scope="module")
def kit(signed: Path) -> Path:
    """Return a kit for this machine and Python."""
    options = ["--platform", HERE, "--python", PYTHON, "--glibc", platform.libc_ver()[1]]
    keys = ["--key", str(signed / "release.pub"), "--sign", str(signed / "release.key")]
    assert run(["pack", str(signed / "part.gagrad"), *options, *keys, "-o", str(signed / "kit")]) == 0
    return signed / "kit"


def test_a_kit_installs_and_explains_without_a_network(kit: Path, tmp_path: Path) -> None:
    """Nothing but the kit and a Python: no variable of this shell, no index, no proxy that leads anywhere."""
    sealed = {"PATH": os.defpath, "HOME": str(tmp_path), "https_proxy": "http://127.0.0.1:9", "LANG": "C"}
    device = tmp_path / "device"
    install = ["sh", str(kit / "install.sh"), "--python", sys.executable, "--prefix", str(device)]
    for _ in range(2):
        done = subprocess.run(install, env=sealed, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert "is in use already" in done.stderr
    program = [str(device / "bin" / "gagrad-edge"), "verify", str(device / "current" / "bundle.gagrad")]
    trust = ["--trust", str(device / "etc" / "trust.toml"), "--json"]
    verified = subprocess.run([*program, *trust], env=sealed, capture_output=True, text=True, check=True)
    assert json.loads(verified.stdout)["passed"]
    packages = {path.name for path in (device / "current" / "venv").glob("lib/python*/site-packages/*")}
    assert "onnxruntime" in packages
    assert not {"onnx", "torch", "pip"} & packages


def test_verify_judges_a_kit(kit: Path, signed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """verify accepts a kit whose signer's key is given, and exits with 4 for another key."""
    assert run(["verify", str(kit), "--key", str(signed / "release.pub"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["signers"][0]["name"] == "release"
    assert run(["keygen", str(signed / "other")]) == 0
    assert run(["verify", str(kit), "--key", str(signed / "other.pub")]) == 4


def test_the_bill_of_materials_lists_what_is_there(kit: Path) -> None:
    """The kit's CycloneDX file lists each wheel with hash, and what it depends on."""
    bill = json.loads((kit / "sbom.cdx.json").read_bytes())
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    described, _ = read_kit(kit)
    listed = {part["name"]: part for part in bill["components"]}
    wheels = {Wheel.of(kit / name).name: described.files[name] for name in described.wheels}
    assert set(listed) == {*wheels, "part"}
    for name, entry in wheels.items():
        assert listed[name]["hashes"] == [{"alg": "SHA-256", "content": entry.sha256}]
    assert listed["numpy"]["licenses"]
    needs = {entry["ref"]: set(entry.get("dependsOn", ())) for entry in bill["dependencies"]}
    assert {"pkg:numpy", "pkg:onnxruntime", "pkg:cryptography"} <= needs["pkg:gagrad-edge"]
    assert "pkg:protobuf" in needs["pkg:onnxruntime"]


def test_the_own_wheel_is_whole(kit: Path) -> None:
    """The unit and the program's data too, and nothing of an earlier build."""
    (wheel,) = (kit / "wheels").glob("gagrad_edge-*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert "gagrad_runtime/install/gagrad-edge-watch.service" in names
    assert "gagrad_edge/demo/defects.onnx" in names
    assert not [name for name in names if name.startswith(("tests/", "build/", "benchmarks/"))]


@pytest.mark.parametrize("name", all_but(["jetson-jp6", "jetson-jp7", "linux-aarch64"], "jetson-jp7"))
def test_packages_are_those_of_the_device(name: str, tmp_path: Path) -> None:
    """Its Python, its machine: compiled wheels where there are such, and what only its Python needs."""
    device = PLATFORMS[name]
    own = own_wheel(tmp_path, None)
    lock = resolve(own, device, (), None)
    names = {line.split("==")[0] for line in lock.splitlines() if "==" in line}
    assert ("tomli" in names) == (device.python == "3.10")
    assert ("cuda-bindings" in names) == name.startswith("jetson")
    # The one that a plain `pip download --platform` takes in its slow pure-Python form.
    lines = lock.replace("\\\n", " ").splitlines()
    protobuf = "\n".join(line for line in lines if line.startswith("protobuf==")) + "\n"
    (wheel,) = [each for each in fetch(protobuf, tmp_path, device, None) if each.name == "protobuf"]
    assert device.machine in wheel.path.name


def test_a_bundle_that_the_device_would_not_load_is_not_packed(
    signed: Path, tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """pack refuses a bundle that the kit's policy would, and wrong options, and leaves no kit."""
    target = ["--platform", HERE, "-o", str(tmp_path / "kit")]
    key = ["--key", str(signed / "release.pub")]
    assert run(["pack", str(tiny_bundle), *key, *target]) == 4
    assert "not signed" in capsys.readouterr().err
    assert run(["keygen", str(tmp_path / "stranger")]) == 0
    assert run(["pack", str(signed / "part.gagrad"), "--key", str(tmp_path / "stranger.pub"), *target]) == 4
    assert run(["pack", str(signed / "part.gagrad"), *key, *target, "--threshold", "2"]) == 2
    assert run(["pack", str(signed / "part.gagrad"), *key, "--platform", "amiga", "-o", "x"]) == 2
    assert "jetson-jp6" in capsys.readouterr().err
    assert run(["pack", str(signed / "part.gagrad"), *key, *target, "--extra", "coffee"]) == 2
    assert "tensorrt-rtx" in capsys.readouterr().err
    (tmp_path / "kit").mkdir()
    (tmp_path / "kit" / "mine").write_text("")
    assert run(["pack", str(signed / "part.gagrad"), *key, *target]) == 5
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kit", "stranger.key", "stranger.pub"]


def test_tags_go_from_new_to_old() -> None:
    """With the legacy names where PEP 600 has them."""
    tags = platform_named("linux-x86_64", glibc="2.18").tags()
    assert tags[:3] == ["manylinux_2_18_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64"]
    assert tags[-1] == "manylinux1_x86_64"
    assert platform_named("linux-aarch64", glibc="2.17").tags()[-1] == "manylinux2014_aarch64"


def test_the_c_library_that_wheels_need(tmp_path: Path) -> None:
    """glibc_of is the newest glibc that any of the wheels needs, by its oldest tag."""
    names = ("a-1-cp311-cp311-manylinux2014_x86_64.manylinux_2_17_x86_64.whl", "b-1-py3-none-any.whl")
    names += ("c-1-cp311-cp311-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl",)
    for name in names:
        (tmp_path / name).write_bytes(b"")
    assert glibc_of([Wheel.of(tmp_path / name) for name in names]) == "2.27"
