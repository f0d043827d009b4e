"""Hardened systems: the kit installs, its program runs as a station, and it uninstalls.

python -m benchmarks.soak.hardened [NAME ...]        (a minute each; root; writes its section of docs/soak.md)

Each system is a mount namespace of its own, so nothing of this machine changes: what is mounted or remounted there is gone
with its last process.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.soak.installs import kit
from benchmarks.soak.section import write_section
from benchmarks.soak.station import put_image
from benchmarks.table import markdown
from gagrad_runtime.station.store import Store

SECONDS = 600.0
_OTHER = "54321"
"""Number of a user and a group without a name."""
_OVERLAYS = " && ".join(
    f"mkdir -p $W/up{name} $W/work{name} && mount -t overlay overlay -o lowerdir={name},upperdir=$W/up{name},workdir=$W/work{name} {name}"
    for name in ("/etc", "/opt", "/var", "/usr/local")
)
_IN_A_FILE_SYSTEM = "mount -t tmpfs tmpfs $W"
"""An overlay's upper folder may not be on an overlay."""


@dataclass(frozen=True)
class System:
    """One system: what is done before, as root, in its namespace, and the command that the steps run under."""

    name: str
    before: str = "true"
    under: str = ""
    mask: str = "022"
    prefix: bool = True
    """Whether the kit is installed below a folder; else in the system's own folders."""
    environment: tuple[str, ...] = ()
    """Variables, ``NAME=VALUE``; a name alone is removed."""
    streams: str = ""


SYSTEMS = (
    System("as it is"),
    System("umask 027", mask="027"),
    System("umask 077", mask="077"),
    System("umask 000", mask="000"),
    System(
        "no HOME, no variables", environment=("HOME", "USER", "LOGNAME", "LANG", "TMPDIR", "XDG_RUNTIME_DIR")
    ),
    System("a HOME that does not exist", environment=("HOME=/nonexistent",)),
    System(
        "a HOME that cannot be written",
        "mkdir $W/home && mount -t tmpfs -o ro tmpfs $W/home",
        environment=("HOME=$W/home",),
    ),
    System(
        "read-only root, nothing but its own folders can be written",
        "mount --bind $W/.. $W/.. && mount -o remount,ro,bind /",
    ),
    System(
        "a temporary folder with noexec, nosuid, nodev",
        "mount -t tmpfs -o noexec,nosuid,nodev tmpfs /var/tmp && export TMPDIR=/var/tmp",
    ),
    System(
        "a temporary folder that is full",
        "mount -t tmpfs -o size=64k tmpfs /var/tmp && head -c 65536 /dev/zero > /var/tmp/full; export TMPDIR=/var/tmp",
    ),
    System("root without a capability", under="setpriv --bounding-set=-all --inh-caps=-all --no-new-privs"),
    System(
        "a user without a name",
        under=f"setpriv --reuid={_OTHER} --regid={_OTHER} --clear-groups --bounding-set=-all --inh-caps=-all",
    ),
    System(
        "container: no systemd, no network, own processes",
        under="unshare --pid --net --ipc --uts --fork --mount-proc",
    ),
    System(
        "container, as root, into the system's folders",
        f"{_IN_A_FILE_SYSTEM} && {_OVERLAYS}",
        "unshare --pid --net --fork --mount-proc",
        prefix=False,
    ),
    System("no /sys, no /run", "mount -t tmpfs tmpfs /sys && mount -t tmpfs tmpfs /run"),
    System("64 descriptors", under="prlimit --nofile=64"),
    System("no stdin and no stderr", streams="<&- 2>&-"),
    System("locale C", environment=("LC_ALL=C", "LANG=C", "PYTHONUTF8=0")),
)


def main() -> int:
    """Try each, write the section, and return 1 if a step failed, 2 without root."""
    if os.geteuid() != 0:
        print("not run: only root may make such systems", file=sys.stderr)
        return 2
    chosen = [system for system in SYSTEMS if not sys.argv[1:] or system.name in sys.argv[1:]]
    rows, failed = [], 0
    with tempfile.TemporaryDirectory() as name:
        given = os.environ.get("SOAK_KIT")
        packed = Path(given) if given else kit(Path(name), 1)
        for number, system in enumerate(chosen):
            results = attempt(system, packed, Path(name) / f"{number}")
            rows.append([system.name, *(results[step] for step in STEPS)])
            failed += any(result != "yes" for result in results.values())
            print(rows[-1], flush=True)
    text = f"""The demo's kit in {len(chosen)} systems, each a mount namespace with what its name says. "Runs": `verify` passes under the kit's trust policy, and a station gives an image that waits its verdict and
its explanation. "Uninstalls": nothing but settings and results is left. "Private": no file that was installed can be written by everybody.

{markdown(["system", *STEPS], rows)}"""
    if not sys.argv[1:]:
        write_section("Hardened systems", "python -m benchmarks.soak.hardened", text, "pip")
    return int(failed > 0)


STEPS = ("installs", "private", "runs", "uninstalls")


def attempt(system: System, packed: Path, root: Path) -> dict[str, str]:
    """Install, run and uninstall in ``system``; return ``yes`` or what went wrong, for each step."""
    root.mkdir()
    frames, out, device, work = (root / name for name in ("in", "out", "device", "work"))
    for folder in (frames, out, device, work):
        folder.mkdir()
    put_image(frames, "part", np.random.default_rng(0))
    root.parent.chmod(0o755)
    if _OTHER in system.under:
        for path in (root, *root.rglob("*")):
            os.chown(path, int(_OTHER), int(_OTHER))
    program = device / "bin" / "gagrad-edge" if system.prefix else Path("/usr/local/bin/gagrad-edge")
    version = device / "current" if system.prefix else Path("/opt/gagrad-edge/current")
    policy = device / "etc" if system.prefix else Path("/etc/gagrad-edge")
    where = ["--prefix", str(device)] if system.prefix else ["--no-service"]
    install = shlex.join(["sh", str(packed / "install.sh"), *where])
    trust = f"--trust {policy}/trust.toml"
    watch = f"watch {version}/bundle.gagrad {frames} -o {out} --once --samples 4 --interval 0.05 {trust}"
    left = (
        "versions current bin"
        if system.prefix
        else "/opt/gagrad-edge/versions /opt/gagrad-edge/current /usr/local/bin/gagrad-edge"
    )
    steps = {
        "installs": install,
        "private": f'test -z "$(find {version}/ -perm -o+w ! -type l -print -quit)"',
        "runs": f"{program} verify {version}/bundle.gagrad {trust} && {program} {watch}",
        "uninstalls": f'{install} --uninstall && cd {device} && test -z "$(find {left} ! -type d -print -quit 2>/dev/null)"',
    }
    lines = [f"umask {system.mask}"]
    for step, command in steps.items():
        lines.append(
            f"if ( {command} ) >{work}/{step}.log {system.streams or '2>&1'}; then echo yes; else echo $?; fi >{work}/{step}"
        )
    script = work / "steps.sh"
    script.write_text("\n".join(lines) + "\n")
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "OMP"))
    }
    environment["PATH"] = (
        "/usr/sbin:/usr/bin:/sbin:/bin"  # of every user, and not that of a virtual environment
    )
    for word in system.environment:
        name, equals, value = word.partition("=")
        environment.pop(name, None)
        if equals:
            environment[name] = value.replace("$W", f"{root}/space")
    (root / "space").mkdir()
    prelude = f"W={root}/space; {system.before} && exec {system.under} sh {script}"
    ended = subprocess.run(
        ["unshare", "--mount", "sh", "-c", prelude],
        env=environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    return _results(system, work, out, ended.stderr)


def _results(system: System, work: Path, out: Path, said: str) -> dict[str, str]:
    """Read what the script wrote of each step."""
    results = {}
    for step in STEPS:
        file, log = work / step, work / f"{step}.log"
        result = file.read_text().strip() if file.exists() else f"not reached: {said.strip()[-200:]}"
        results[step] = result if result == "yes" else f"no ({result})"
        if result != "yes":
            print(system.name, step, log.read_text()[-1500:] if log.exists() else said[-500:], flush=True)
    if results["runs"] == "yes":
        with Store(out) as store:
            if store.counts() != {"explained": 1}:
                results["runs"] = f"no ({store.counts()})"
    return results


if __name__ == "__main__":
    sys.exit(main())
