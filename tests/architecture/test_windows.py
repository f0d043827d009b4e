"""The device side on a system without POSIX modules, as Windows is: it imports, and it explains."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import gagrad_edge
import gagrad_runtime

_BLOCK = """
import sys
NAMES = {"fcntl", "grp", "pwd", "resource", "termios"}
class Block:
    def find_spec(self, name, path=None, target=None):
        if name in NAMES:
            raise ModuleNotFoundError(f"No module named {name!r} (as on Windows)", name=name)
sys.meta_path.insert(0, Block())
for name in NAMES:
    sys.modules.pop(name, None)
import os
for name in ("O_NONBLOCK", "O_CLOEXEC", "O_NOFOLLOW", "geteuid", "getuid", "sched_getaffinity"):
    vars(os).pop(name, None)
"""

_IMPORT = """
import importlib, pkgutil
import gagrad_edge, gagrad_runtime
for package in (gagrad_edge, gagrad_runtime):
    for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not found.name.endswith("__main__"):
            importlib.import_module(found.name)
            print(found.name)
"""

_EXPLAIN = """
import sys
import numpy as np
import gagrad_runtime
frame = np.random.default_rng(0).integers(0, 255, (24, 32, 3), np.uint8)
with gagrad_runtime.load(sys.argv[1], device="cpu") as explainer:
    explanation = explainer.explain(frame, samples=4)
    explanation.save(sys.argv[2])
print(explanation.saliency.shape)
"""


def python(*arguments: str) -> str:
    done = subprocess.run([sys.executable, "-c", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_every_module_imports_without_posix_modules() -> None:
    """No module of the device side needs fcntl, grp, pwd, resource or termios to be imported."""
    names = python(_BLOCK + _IMPORT).split()
    assert {"gagrad_runtime.jobs.timing", "gagrad_runtime.station.run", "gagrad_edge.cli"} <= set(names)


@pytest.mark.slow
def test_a_frame_is_explained_without_posix_modules(tiny_bundle: Path, tmp_path: Path) -> None:
    """From a bundle on the disk to saved files, the first opening in a child process included."""
    said = python(_BLOCK + _EXPLAIN, str(tiny_bundle), str(tmp_path / "out"))
    assert said.strip().startswith("(")
    assert len(list((tmp_path / "out").iterdir())) == 3


def test_files_are_locked_in_one_place() -> None:
    """A second lock would forget Windows, or the hint, or to release."""
    users = {
        path.name
        for package in (gagrad_edge, gagrad_runtime)
        for path in Path(package.__path__[0]).rglob("*.py")
        if "import fcntl" in path.read_text(encoding="utf-8") or "import msvcrt" in path.read_text("utf-8")
    }
    assert users == {"lock.py"}
