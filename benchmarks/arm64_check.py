"""A kit on aarch64: installed in a Debian root under qemu, it must give the same maps as on x86-64.

python -m benchmarks.arm64_check        (needs root; a few minutes; writes docs/arm64.md)

Needs mmdebstrap, arch-test and qemu-user-static with its binfmt entry (Debian's packages of these names). The Debian
root is kept in .arm64/ for the next run. The installation runs in a network namespace of its own, without a network.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
from PIL import Image
from scipy.stats import spearmanr

from benchmarks.table import machine, markdown, publish
from gagrad_edge.cli import run as cli
from gagrad_export import export

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
CACHE = ROOT / ".arm64"
GOLDEN = ROOT / "tests" / "golden"
SAMPLES = ROOT / "gagrad_edge" / "demo" / "samples"
BAR = 0.9999
"""Lowest rank correlation allowed between the two maps."""
_TOOLS = ("mmdebstrap", "qemu-aarch64-static", "arch-test", "unshare")
_BINFMT = Path("/proc/sys/fs/binfmt_misc")
_MIRROR = "http://deb.debian.org/debian"


def main() -> int:
    """Install, explain on both machines, write the page; return 1 if a map differs, 2 if the check cannot run."""
    if missing := _missing():
        print(f"not run: {missing}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="gagrad-arm64-") as name:
        work = Path(name)
        bundles = _bundles(work)
        kit = _kit(work, bundles)
        root = _root(work)
        shutil.copytree(kit, root / "kit")
        for label, bundle in bundles.items():
            shutil.copyfile(bundle, root / f"{label}.gagrad")
        images = _images(work, root)
        with _mounted(root):
            began = time.monotonic()
            _inside(root, ["sh", "/kit/install.sh", "--no-service"])
            seconds = time.monotonic() - began
            for label in bundles:
                _inside(
                    root,
                    _explain(
                        "/opt/gagrad-edge/current/venv/bin/gagrad-edge", Path("/"), label, images[label]
                    ),
                )
        rows = []
        for label in bundles:
            if cli(_explain("", work, label, images[label])[1:]):
                raise RuntimeError(f"{label} was not explained here")
            rows += [
                _compared(label, path.name.split(".")[0], work, root)
                for path in sorted((work / f"out-{label}").glob("*.npy"))
            ]
        packages = (root / "kit" / "requirements.lock").read_text().count("==")
    text = f"""# aarch64

A Debian 12 root file system for arm64 under qemu-user, without a network, installs a kit of `gagrad-edge pack --platform linux-aarch64` ({packages} packages, installed and
self-tested in {seconds:.0f} s of emulation) and explains the same images as this x86-64 machine. The bar is a rank correlation of {BAR} between the maps.

`make arm64-check`; here: {machine("onnxruntime", "numpy")}

{markdown(("model", "image", "rank correlation", "pixels within 1e-3", "same class"), rows)}
The processor is emulated. The check shows that the kit is complete, that its packages work together, and that the maps are the same. It does not
show speed, the CPU features of a given device, or TensorRT.
"""
    publish("arm64", text)
    return int(any(float(row[2]) < BAR or row[4] != "yes" for row in rows))


def _missing() -> str:
    if os.geteuid() != 0:
        return "only root can make and enter another system's root"
    if tools := [tool for tool in _TOOLS if shutil.which(tool) is None]:
        return f"{', '.join(tools)} is missing: apt-get install mmdebstrap arch-test qemu-user-static"
    if not (_BINFMT / "qemu-aarch64").exists():
        return (
            "the kernel does not know who runs aarch64 programs: mount binfmt_misc on /proc/sys/fs/binfmt_misc, then "
            "`update-binfmts --enable qemu-aarch64`, or write /usr/lib/binfmt.d/qemu-aarch64.conf into its register"
        )
    return ""


def _bundles(work: Path) -> dict[str, Path]:
    """Export the demo model and EfficientNet-Lite0 with its trained weights."""
    from benchmarks.networks import subject

    lite0 = subject("efficientnet_lite0")
    bundles = {"demo": work / "demo.gagrad", "lite0": work / "lite0.gagrad"}
    export(ROOT / "gagrad_edge" / "demo" / "defects.onnx", bundles["demo"])
    onnx.save(lite0.model, work / "lite0.onnx")
    export(work / "lite0.onnx", bundles["lite0"], size=(224, 224), mean=(0.498,) * 3, std=(0.502,) * 3)
    return bundles


def _images(work: Path, root: Path) -> dict[str, list[str]]:
    """Put the images on both machines; return model → names of its images."""
    names = [path.name for path in sorted(SAMPLES.iterdir())]
    for path in SAMPLES.iterdir():
        shutil.copyfile(path, work / path.name)
    for name in ("chelsea", "coffee"):
        with np.load(GOLDEN / f"lite0_{name}.npz") as vectors:
            Image.fromarray(vectors["image"]).save(work / f"{name}.png")
    for path in [*work.glob("*.png"), *work.glob("*.jpg")]:
        shutil.copyfile(path, root / path.name)
    return {"demo": names, "lite0": ["chelsea.png", "coffee.png"]}


def _kit(work: Path, bundles: dict[str, Path]) -> Path:
    """Sign the bundles, as the device loads only signed ones, and pack a kit with the first bundle."""
    key = work / "release"
    commands = [["keygen", str(key)]]
    for version, bundle in enumerate(bundles.values(), 1):
        stated = ["--product", "check", "--version", str(version)]
        commands.append(["sign", str(bundle), "--key", f"{key}.key", *stated])
    first = str(next(iter(bundles.values())))
    target = ["--platform", "linux-aarch64", "-o", str(work / "kit")]
    commands.append(["pack", first, "--key", f"{key}.pub", "--sign", f"{key}.key", *target])
    for command in commands:
        if cli(command):
            raise RuntimeError(f"{command[0]} failed")
    return work / "kit"


def _root(work: Path) -> Path:
    """Unpack the Debian root; the first run makes it."""
    archive = CACHE / "bookworm-arm64.tar"
    if not archive.exists():
        CACHE.mkdir(exist_ok=True)
        part = archive.with_suffix(".part.tar")
        wanted = ["--architectures=arm64", "--variant=minbase", "--include=python3"]
        subprocess.run(["mmdebstrap", *wanted, "bookworm", str(part), _MIRROR], check=True)
        part.rename(archive)
    root = work / "root"
    root.mkdir()
    subprocess.run(["tar", "--extract", "--file", str(archive), "--directory", str(root)], check=True)
    return root


@contextmanager
def _mounted(root: Path) -> Iterator[None]:
    done: list[Path] = []
    try:
        # /sys is not mounted: ONNX Runtime's cpuinfo library would find this machine's x86 processors there, and crash.
        for name in ("proc", "dev"):
            subprocess.run(["mount", "--bind", f"/{name}", str(root / name)], check=True)
            done.append(root / name)
        yield
    finally:
        for path in reversed(done):
            subprocess.run(["umount", str(path)], check=True)


def _inside(root: Path, command: list[str]) -> None:
    """Run a command in the Debian root, without a network."""
    subprocess.run(["unshare", "--net", "chroot", str(root), *command], check=True)


def _explain(program: str, folder: Path, label: str, images: list[str]) -> list[str]:
    files = [str(folder / name) for name in images]
    bundle, out = str(folder / f"{label}.gagrad"), str(folder / f"out-{label}")
    return [program, "explain", bundle, *files, "-o", out, "--npy", "--samples", "4"]


def _compared(label: str, stem: str, work: Path, root: Path) -> tuple[str, ...]:
    outs = [folder / f"out-{label}" for folder in (work, root)]
    here, there = (np.load(out / f"{stem}.saliency.npy") for out in outs)
    targets = [json.loads((out / f"{stem}.json").read_text())["target"]["index"] for out in outs]
    correlation = float(spearmanr(here.ravel(), there.ravel()).statistic)
    within = float((np.abs(here - there) <= 1e-3).mean())
    return label, stem, f"{correlation:.6f}", f"{within:.2%}", "yes" if targets[0] == targets[1] else "no"


if __name__ == "__main__":
    sys.exit(main())
