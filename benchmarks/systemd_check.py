"""An offline kit under a real systemd in a container without a network: installed, killed, upgraded, rolled back.

python -m benchmarks.systemd_check        (root; three minutes; writes docs/systemd.md)

Needs mmdebstrap and systemd-container (Debian's packages of these names). The Debian root is kept in .systemd/ for the next run.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.container import UNIT, Container, booted, debian_root
from benchmarks.soak.station import DEMO
from benchmarks.table import machine, markdown, publish
from gagrad_edge.cli import run as cli
from gagrad_export import export
from gagrad_export.kit.wheels import own_wheel

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parent.parent
SAMPLES = ROOT / "gagrad_edge" / "demo" / "samples"
_TOOLS = ("mmdebstrap", "systemd-nspawn", "nsenter", "unshare")
_DATA = Path("var/lib/gagrad-edge")


def main() -> int:
    """Run the checks, write docs/systemd.md; return 1 if a check failed, 2 if they cannot run here."""
    missing = [tool for tool in _TOOLS if shutil.which(tool) is None]
    if missing or os.geteuid() != 0:
        print(f"not run: {', '.join(missing) or 'root'} is missing", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="gagrad-systemd-") as name:
        work = Path(name)
        kits = _kits(work)
        root = debian_root(work)
        for label, kit in kits.items():
            shutil.copytree(kit, root / f"kit-{label}")
        checks = Checks(root)
        with booted(root) as container:
            _first(checks, container)
            _faults(checks, container)
            _upgrades(checks, container)
        with booted(root) as container:
            checks.that("after a reboot the service starts by itself", container.active)
            container.run("sh", "/kit-2/install.sh", "--uninstall")
            checks.that("after uninstalling, settings and results are kept", lambda: _left(container))
    rows = [(text, "yes" if good else "**no**", detail) for text, good, detail in checks.done]
    text = f"""# Under systemd

A Debian 12 container (systemd-nspawn with its own systemd, Python, no network) installs kits of `gagrad-edge pack`, and its service is attacked.
`make systemd-check`; {machine("onnxruntime")}

{markdown(("what", "", "seen"), rows)}
The service manager and the installation are real; the device is not: there is no GPU, no camera and no JetPack. The unit's device rules need cgroup v2; this kernel has cgroup v1, so they were not in force."""
    publish("systemd", text)
    return int(not all(good for _, good, _ in checks.done))


class Checks:
    """The checks that ran: description, result, and the observed value."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.done: list[tuple[str, bool, str]] = []

    def that(self, text: str, look: Callable[[], Any], seconds: float = 30.0) -> None:
        """Call ``look`` until it returns a true value or ``seconds`` have passed, and record the result."""
        began = time.monotonic()
        seen: Any = False
        while not (seen := look()) and time.monotonic() - began < seconds:
            time.sleep(0.2)
        detail = seen if isinstance(seen, str) else ""
        self.done.append((text, bool(seen), detail))
        print("ok" if seen else "NO", text, detail, flush=True)


def _first(checks: Checks, box: Container) -> None:
    """Install the first version, and check the service."""
    box.run("sh", "/kit-1/install.sh")
    checks.that("after the installation the service is ready (Type=notify)", box.active)
    checks.that(
        "the service runs as its own user",
        lambda: _status(box, "Uid").split()[0] != "0" and "uid " + _status(box, "Uid").split()[0],
    )
    checks.that(
        "the service has no capabilities",
        lambda: int(_status(box, "CapEff"), 16) == 0 and int(_status(box, "CapBnd"), 16) == 0,
    )
    checks.that(
        "no new privileges; system calls are filtered",
        lambda: (_status(box, "NoNewPrivs"), _status(box, "Seccomp")) == ("1", "2"),
    )
    checks.that("the service cannot write outside its data", lambda: _confined(box))
    score = (
        box.run("systemd-analyze", "security", "--no-pager", UNIT)
        .stdout.strip()
        .splitlines()[-1]
        .split(": ")[-1]
    )
    checks.that("systemd-analyze security ≤ 2.0", lambda: float(score.split()[0]) <= 2.0 and score.split()[0])
    checks.that(
        "no unit of the system failed", lambda: not box.run("systemctl", "--failed", "--quiet").stdout.strip()
    )
    _drop(box, "first")
    checks.that("an image gets its verdict and its explanation", lambda: _explained(box, 1))
    health = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:9464/health').read().decode())"
    checks.that("the health endpoint answers", lambda: json.loads(box.python(health))["alive"])
    metrics = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:9464/metrics').read().decode())"
    checks.that(
        "the metrics endpoint answers", lambda: 'events_total{event="explained"} 1.0' in box.python(metrics)
    )
    before = box.run("sh", "/kit-1/install.sh").stderr
    checks.that("a second installation finds nothing to do", lambda: "is in use already" in before)


def _faults(checks: Checks, box: Container) -> None:
    """Kill, freeze and stop the service's process, and check that systemd reacts."""
    first = box.show("MainPID")
    _signal(box, "KILL")
    checks.that(
        "after a kill the service is started again", lambda: box.active() and box.show("MainPID") != first
    )
    folder = box.root / f"etc/systemd/system/{UNIT}.service.d"
    folder.mkdir()
    (folder / "test.conf").write_text("[Service]\nWatchdogSec=4\n")
    box.run("systemctl", "daemon-reload")
    box.run("systemctl", "restart", UNIT)
    time.sleep(6)
    checks.that(
        "a watchdog of 4 s does not restart an idle station",
        lambda: box.show("NRestarts") == "0" and box.active(),
    )
    hung = box.show("MainPID")
    _signal(box, "STOP")
    checks.that(
        "the watchdog restarts a hanging station",
        lambda: box.show("MainPID") not in (hung, "0") and box.active(),
    )
    (folder / "test.conf").unlink()
    box.run("systemctl", "daemon-reload")
    began = time.monotonic()
    box.run("systemctl", "stop", UNIT)
    seconds = time.monotonic() - began
    checks.that("the service stops cleanly", lambda: box.show("Result") == "success" and f"{seconds:.1f} s")
    box.run("systemctl", "start", UNIT)


def _upgrades(checks: Checks, box: Container) -> None:
    """Upgrade, try an upgrade that must fail, and roll back."""
    state = box.root / _DATA / "trust-state.json"
    box.run("sh", "/kit-2/install.sh")
    checks.that("after an upgrade the new version runs", lambda: box.active() and box.version() == "2")
    checks.that("after the upgrade the results are still there", lambda: _explained(box, 1))
    remembered = state.read_text()
    broken = box.run("sh", "/kit-3/install.sh", check=False)
    checks.that(
        "an upgrade whose service does not start is refused", lambda: broken.returncode == 5 and "exit code 5"
    )
    checks.that(
        "after the refused upgrade the version before runs again",
        lambda: box.active() and box.version() == "2",
    )
    checks.that(
        "with the trust state that it had before",
        lambda: json.loads(state.read_text())["versions"] == json.loads(remembered)["versions"],
    )
    _drop(box, "second")
    checks.that("and it explains", lambda: _explained(box, 2))
    box.run("sh", "/kit-2/install.sh", "--rollback")
    checks.that(
        "after a rollback by hand the first version runs", lambda: box.active() and box.version() == "1"
    )
    _drop(box, "third")
    checks.that("it explains, although a newer bundle was used before", lambda: _explained(box, 3))
    box.run("sh", "/kit-2/install.sh")
    checks.that(
        "after another upgrade the second version runs again", lambda: box.active() and box.version() == "2"
    )


def _signal(box: Container, name: str) -> None:
    box.run("systemctl", "kill", "--kill-whom=main", f"--signal={name}", UNIT)


def _status(box: Container, field: str) -> str:
    text = (box.root / "proc").exists() and box.run("cat", f"/proc/{box.show('MainPID')}/status").stdout
    return next(
        line.split(":", 1)[1].strip() for line in str(text).splitlines() if line.startswith(field + ":")
    )


def _confined(box: Container) -> bool:
    """Tell whether the service can write only its own data, seen through the service's mounts."""
    code = "import os; print([os.access(p, os.W_OK) for p in ('/etc', '/opt/gagrad-edge', '/usr')], os.access('/var/lib/gagrad-edge', os.W_OK))"
    enter = ["nsenter", "--target", box.show("MainPID"), "--mount", "--", "python3", "-c", code]
    return box.run(*enter).stdout.strip() == "[False, False, False] True"


def _drop(box: Container, name: str) -> None:
    """Put an image into the folder that the station watches."""
    target = box.root / _DATA / "incoming"
    shutil.copyfile(sorted(SAMPLES.iterdir())[0], target / f".{name}.jpg")
    (target / f".{name}.jpg").rename(target / f"{name}.jpg")


def _explained(box: Container, count: int) -> bool:
    results = box.root / _DATA / "results"
    return results.is_dir() and len(list(results.glob("*.explained.png"))) == count


def _left(box: Container) -> bool:
    settings = box.root / "etc/gagrad-edge/station.toml"
    gone = not (box.root / "opt/gagrad-edge/current").is_symlink()
    return gone and settings.exists() and _explained(box, 3)


def _kits(work: Path) -> dict[str, Path]:
    """Pack versions 1 and 2, and a version 3 whose program passes the self-test but whose service does not start."""
    key = work / "release"
    _do("keygen", str(key))
    (work / "wheel").mkdir()
    wheel = own_wheel(work / "wheel", None).path
    (work / "broken").mkdir()
    broken = work / "broken" / wheel.name
    with zipfile.ZipFile(wheel) as source, zipfile.ZipFile(broken, "w", zipfile.ZIP_DEFLATED) as target:
        for member in source.infolist():
            data = source.read(member)
            if member.filename == "gagrad_runtime/station/run.py":
                data = b'"""A release that went wrong."""\nraise SystemExit(7)\n'
            target.writestr(member, data)
    kits = {}
    for label in ("1", "2", "3"):
        bundle = work / f"demo-{label}.gagrad"
        export(DEMO, bundle)
        _do("sign", str(bundle), "--key", f"{key}.key", "--product", "demo", "--version", label)
        kits[label] = work / f"kit-{label}"
        made = ["--wheel", str(broken if label == "3" else wheel)]
        keys = ["--key", f"{key}.pub", "--sign", f"{key}.key"]
        _do(
            "pack",
            str(bundle),
            "--platform",
            f"linux-{platform.machine()}",
            *keys,
            *made,
            "-o",
            str(kits[label]),
        )
    return kits


def _do(*command: str) -> None:
    if cli(list(command)):
        raise RuntimeError(f"{command[0]} failed")


if __name__ == "__main__":
    sys.exit(main())
