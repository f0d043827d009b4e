"""An installation that is killed at random moments: the old version or the new one must work afterwards.

python -m benchmarks.soak.installs [COUNT]        (some seconds each; writes its section of docs/soak.md)
"""

from __future__ import annotations

import fcntl
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np

from benchmarks.soak.section import write_section
from gagrad_edge.cli import run as cli
from gagrad_edge.kit import read_kit
from gagrad_export import export

COUNT = 500
DEMO = Path(__file__).parent.parent.parent / "gagrad_edge" / "demo" / "defects.onnx"


def main() -> int:
    """Kill, check the version in use, and return 1 if no complete version is left."""
    total = int(sys.argv[1]) if len(sys.argv) > 1 else COUNT
    rng = np.random.default_rng(0)
    found: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        # Three versions: an installation keeps the version in use and the one before, so the third is always new.
        kits = [kit(root, version) for version in (1, 2, 3)]
        device = root / "device"
        whole = 0.0
        for kit in kits:  # the second takes longer: the first judges it
            began = time.monotonic()
            if _install(kit, device).wait():
                raise RuntimeError("the kit does not install undisturbed")
            whole = time.monotonic() - began
        versions = {_version(kit): number for number, kit in enumerate(kits)}
        for turn in range(total):
            before = _in_use(device)
            kit = kits[(versions[before] + 1) % len(kits)]
            child = _install(kit, device)
            if turn % 4 > 1:  # half of the kills near the end, when the link to the version in use changes
                _wait_for_self_test(child)
                time.sleep(float(rng.uniform(0, 0.4 * whole)))
            else:
                time.sleep(float(rng.uniform(0, whole)))
            alone = bool(turn % 2)
            # The whole group, as a power cut would; or the installer alone, whose pip then runs on.
            (os.kill if alone else os.killpg)(child.pid, signal.SIGKILL)
            ended = child.wait() == 0
            now = _in_use(device)
            if now not in versions or not _works(device):
                found["broken"] += 1
                print(f"kill {turn}: {now or 'nothing'} is in use and does not work", flush=True)
            else:
                found["old" if now == before else "new"] += 1
            found["too late"] += ended
            _wait_until_free(device)
            if turn % 25 == 24:
                print(turn + 1, dict(found), flush=True)
        unfinished = _finish(kits, device)
        left = len(list((device / "versions").iterdir()))
    text = f"""`install.sh` replaces one version by another (the demo model, all packages of a station; {whole:.0f} s undisturbed) and is killed with SIGKILL at
any moment, half of the times after the self-test has begun. Every other kill ends the whole process group; the others end the installer alone, and its pip runs on. After each kill the
version that `current` names must pass `gagrad-edge verify`.

| | |
|---|---|
| kills | {total}, {found["too late"]} of them after the end |
| the old version works | {found["old"]} |
| the new version works | {found["new"]} |
| neither | {found["broken"]} |
| undisturbed installations afterwards that failed | {unfinished} |
| versions left on the disk | {left} |"""
    write_section("Kills during an installation", "python -m benchmarks.soak.installs", text, "pip")
    return 1 if found["broken"] or unfinished else 0


def kit(root: Path, version: int) -> Path:
    """Pack a version for this machine."""
    bundle, key = root / f"demo-{version}.gagrad", root / "release"
    export(DEMO, bundle)
    python = "{}.{}".format(*sys.version_info[:2])
    commands = [] if key.with_suffix(".key").exists() else [["keygen", str(key)]]
    commands += [
        ["sign", str(bundle), "--key", f"{key}.key", "--product", "demo", "--version", str(version)],
        [
            *("pack", str(bundle), "--platform", f"linux-{platform.machine()}", "--python", python),
            *("--glibc", platform.libc_ver()[1], "--key", f"{key}.pub", "--sign", f"{key}.key"),
            *("-o", str(root / f"kit-{version}")),
        ],
    ]
    for command in commands:
        if cli(command):
            raise RuntimeError(f"{command[0]} failed")
    return root / f"kit-{version}"


def _install(kit: Path, device: Path) -> subprocess.Popen[bytes]:
    command = ["sh", str(kit / "install.sh"), "--prefix", str(device)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, start_new_session=True)


def _wait_for_self_test(child: subprocess.Popen[bytes]) -> None:
    """Wait until the installer prints that it tests the new version, or until it ends."""
    if child.stderr is None:
        raise RuntimeError("no pipe to the installer")
    while line := child.stderr.readline():
        if line.startswith(b"self-test"):
            return


def _version(kit: Path) -> str:
    described, digest = read_kit(kit)
    return f"{described.version}-{described.gagrad_edge}-{digest[:12]}"


def _in_use(device: Path) -> str:
    try:
        return (device / "current").readlink().name
    except OSError:
        return ""


def _works(device: Path) -> bool:
    command = [str(device / "bin" / "gagrad-edge"), "verify", str(device / "current" / "bundle.gagrad")]
    trust = ["--trust", str(device / "etc" / "trust.toml")]
    return subprocess.run([*command, *trust], capture_output=True, check=False).returncode == 0


def _wait_until_free(device: Path) -> None:
    """Wait for the pip of a killed installer: pip holds the lock until it ends."""
    with (device / ".lock").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)


def _finish(kits: list[Path], device: Path) -> int:
    """Install every version without a kill; return how many installations failed."""
    failed = 0
    for kit in kits:
        _install(kit, device).wait()
        failed += _in_use(device) != _version(kit) or not _works(device)
    return failed


if __name__ == "__main__":
    sys.exit(main())
