"""Kills an audit's processes at random until it is done, on either engine; tests and a benchmark share it."""

from __future__ import annotations

import contextlib
import os
import random
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.runtime.audit.synthetic import DRIVER

NEVER = 300
"""Seconds after which a run that does not end has failed."""


class Local:
    """The engine ``local``: a driver and its worker processes."""

    victims = ("worker", "driver", "group")
    patience = 2.5
    """Seconds until a kill, at most."""

    def start(self, folder: Path, listed: Path) -> subprocess.Popen[bytes]:
        """Start the driver."""
        return _started([*_PYTHON, DRIVER, str(folder), str(listed), "2"], _environment())

    def kill(self, whom: str, driver: subprocess.Popen[bytes], rng: random.Random) -> bool:
        """End ``whom``, and return whether there was one; the driver lives on without a worker."""
        if whom == "worker":
            return _kill_one(_below(driver.pid), rng)
        _end(driver, group=whom == "group")
        return True

    def close(self) -> None:
        """Nothing is left."""


class Cluster:
    """The engine ``ray`` on a cluster of a head and a node with one core each, which this starts."""

    victims = (*5 * ("worker",), *4 * ("driver",), *2 * ("node",), "cluster")
    patience = 4.0

    def __init__(self) -> None:
        self._open()

    def _open(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        self._made = tempfile.TemporaryDirectory(prefix="ray")  # short: the names of sockets may not be long
        self._folder = Path(self._made.name)
        token = self._folder / "token"
        token.write_text(secrets.token_hex(32))
        token.chmod(0o600)
        self._environment = _environment() | {
            "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token), "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_raylet_start_wait_time_s": str(NEVER),
        }  # fmt: skip
        self._head = self._start(*self._as_head())
        try:
            self._node = self._start(f"--address={self.address}")
        except RuntimeError:
            _end(self._head, group=True)
            self._made.cleanup()
            raise

    def _as_head(self) -> list[str]:
        port = f"--port={self.address.split(':')[1]}"
        return ["--head", port, "--include-dashboard=false", f"--temp-dir={self._folder}"]

    def _start(self, *options: str) -> subprocess.Popen[bytes]:
        """Start one node of the cluster, and wait for it; on a loaded machine Ray's own waits run out."""
        for _ in range(_ATTEMPTS):
            with contextlib.suppress(RuntimeError):
                return self._started(*options)
        raise RuntimeError(f"Ray does not start: {' '.join(options)}")

    def _started(self, *options: str) -> subprocess.Popen[bytes]:
        program = [str(Path(sys.executable).with_name("ray")), "start", "--block", "--num-cpus=1"]
        log = self._folder / f"{secrets.token_hex(4)}.log"
        with log.open("wb") as stream:
            process = subprocess.Popen(
                [*program, "--object-store-memory=80000000", "--disable-usage-stats", *options],
                env=self._environment, stdout=stream, stderr=stream, start_new_session=True,
            )  # fmt: skip
        until = time.monotonic() + _START
        while b"runtime started" not in log.read_bytes():
            if process.poll() is not None or time.monotonic() > until:
                _end(process, group=True)
                raise RuntimeError(log.read_text(errors="replace"))
            time.sleep(0.2)
        return process

    def start(self, folder: Path, listed: Path) -> subprocess.Popen[bytes]:
        """Start the driver."""
        arguments = [str(folder), str(listed), "2", self.address]
        return _started([*_PYTHON, DRIVER, *arguments], self._environment)

    def kill(self, whom: str, driver: subprocess.Popen[bytes], rng: random.Random) -> bool:
        """End ``whom``, and return whether there was one; the driver outlives a worker and the node."""
        if whom == "worker":
            both = [one for node in (self._head, self._node) for one in _below(node.pid)]
            return _kill_one([one for one in both if "ray::_shard" in _command(one)], rng)
        if whom == "driver":
            _end(driver, group=True)
            return True
        _end(self._node, group=True)
        if whom == "cluster":
            _end(driver, group=True)
            self.close()
            self._open()
        else:
            self._node = self._start(f"--address={self.address}")
        return True

    def close(self) -> None:
        """End the cluster."""
        for one in (self._node, self._head):
            _end(one, group=True)
        with contextlib.suppress(OSError):  # Ray's last processes still write
            self._made.cleanup()


def kill_at_random(
    engine: Local | Cluster, folder: Path, listed: Path, times: int, rng: random.Random
) -> Counter[str]:
    """Run the audit until it is done, and kill someone up to ``times``; return who was killed how often.

    After a kill that ends the driver the audit is started again.
    """
    killed: Counter[str] = Counter()
    driver = engine.start(folder, listed)
    try:
        while killed.total() < times:
            with contextlib.suppress(subprocess.TimeoutExpired):
                driver.wait(rng.uniform(0, engine.patience))
            if driver.poll() is not None:
                break
            whom = rng.choice(engine.victims)
            killed[whom] += engine.kill(whom, driver, rng)
            if driver.poll() is not None:
                driver = engine.start(folder, listed)
        if driver.wait(NEVER) != 0:
            raise RuntimeError(f"the audit ended with exit code {driver.returncode} after {dict(killed)}")
    finally:
        _end(driver, group=True)
    return +killed


_START, _ATTEMPTS = 280, 2
"""Seconds for one start of a node, and how often it is tried; an idle machine needs five."""
_PYTHON = (sys.executable, "-c")


def _environment() -> dict[str, str]:
    """Return the environment of processes that find our packages and the tests."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(one for one in sys.path if one)}


def _started(command: list[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, env=environment, start_new_session=True, stderr=subprocess.DEVNULL)


def _below(pid: int) -> list[int]:
    """Return the processes that ``pid`` started, and those that they started."""
    with contextlib.suppress(OSError):
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [one for child in children for one in (int(child), *_below(int(child)))]
    return []


def _command(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    return ""


def _kill_one(pids: list[int], rng: random.Random) -> bool:
    with contextlib.suppress(ProcessLookupError):
        if pids:
            os.kill(rng.choice(pids), signal.SIGKILL)
            return True
    return False


def _end(process: subprocess.Popen[bytes], *, group: bool) -> None:
    """End ``process`` with signal 9, and everything below it if it is a ``group``."""
    for pid in [process.pid, *(_below(process.pid) if group else [])]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()
