"""A device with the ``cpu`` extra only: what it can do, and what it says about what it cannot."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.slow  # the environment is made with pip


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Path:
    """Return the ``bin`` of an environment made with ``pip install gagrad-edge[cpu]`` from a wheel."""
    folder = tmp_path_factory.mktemp("device")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    # From a copy: setuptools builds in the tree, and would pack what an earlier build left there.
    source = folder / "source"
    source.mkdir()
    for name in ("gagrad_edge", "export", "runtime"):
        shutil.copytree(root / name, source / name, ignore=shutil.ignore_patterns("*.egg-info"))
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(root / name, source)
    subprocess.run([*pip, "wheel", "--no-deps", "-w", folder, source], check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    python = folder / "venv" / "bin" / "python"
    subprocess.run([*pip, "--python", python, "install", f"{wheel}[cpu]"], check=True, capture_output=True)
    return python.parent


def call(device: Path, *arguments: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    command = [device / "gagrad-edge", *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=device.parent)
    assert result.returncode == code, result.stderr
    return result


def test_nothing_of_the_workstation_is_there(device: Path) -> None:
    """A device with the cpu extra has neither torch nor any ONNX package of the workstation."""
    code = (
        "import importlib.util as u\n"
        "print([n for n in ('torch', 'onnx', 'onnx_ir', 'onnxscript') if u.find_spec(n)])"
    )
    found = subprocess.run([device / "python", "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_it_explains_and_verifies(device: Path, tiny_bundle: Path, tmp_path: Path) -> None:
    """A device with the cpu extra runs explain, verify and inspect."""
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "part.png")
    call(device, "explain", tiny_bundle, tmp_path / "part.png", "-o", tmp_path / "out")
    assert (tmp_path / "out" / "part.explained.png").is_file()
    call(device, "verify", tiny_bundle)
    call(device, "inspect", tiny_bundle)


def test_it_says_what_is_missing(device: Path, tmp_path: Path) -> None:
    """Exporting names the package and the line that installs it; doctor too; demo needs the exporter."""
    (tmp_path / "m.onnx").write_bytes(b"\x08\x07")
    for arguments in (("export", tmp_path / "m.onnx", "-o", tmp_path / "m.gagrad"), ("demo",)):
        said = call(device, *arguments, code=5).stderr
        assert 'pip install "gagrad-edge[cpu,export]"' in said
    assert "gagrad-edge[cpu,export]" in call(device, "doctor").stdout
