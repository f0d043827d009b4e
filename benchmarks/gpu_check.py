"""Checks on a GPU in one command: build, check, compare, time. What cannot run is listed with the reason.

python -m benchmarks.gpu_check [--budget 540] [--devices cuda,tensorrt,…] [--networks resnet50,…] [--out FOLDER]
python -m benchmarks.gpu_check --rehearse --out FOLDER    (without a GPU, on stand-ins)

Needs any of onnxruntime-gpu, TensorRT with cuda-bindings, TensorRT-RTX with cuda-bindings; with a CUDA build of
torch also PyTorch's times. Each job is a process of its own with a time limit, and after each the report is
written again: gpu.md, gpu.json with all figures, gpu.log. So a run that is cut off leaves what it has. Without
``--out`` gpu.md goes to docs/. Exit code 1 when a device that opened failed a check.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.gpu.machine import REAL, STAND_INS
from benchmarks.gpu.process import GRACE, Running, job_command
from benchmarks.gpu.report import Report, page
from benchmarks.table import DOCS

if TYPE_CHECKING:
    from benchmarks.gpu.machine import Machine
    from benchmarks.gpu.process import Outcome

LIMITS = {"open": 60, "export": 200, "explain": 75, "graph": 90, "pytorch": 120, "sanitise": 90}
"""Seconds for one job of a kind."""
SANITISED = "small"
"""The network that runs under the sanitizer, which slows it down a hundred times."""


class Run:
    """The jobs in turn within the budget, and the report that grows with them."""

    def __init__(self, given: argparse.Namespace, machine: Machine, folder: Path, out: Path) -> None:
        self._given, self._machine, self._folder, self._out = given, machine, folder, out
        self._end = given.began + given.budget - GRACE
        self.report = Report(machine, given.samples, given.rounds)

    def all(self) -> None:
        """Run everything, what matters most first."""
        machine, report = self._machine, self.report
        report.devices = [device for device in machine.devices if self._opens(device)]
        if not report.devices:
            return
        networks = self._exports((*dict.fromkeys((*machine.networks, SANITISED)),))
        report.networks = [network for network in machine.networks if network in networks]
        samples, rounds = self._given.samples, self._given.rounds
        for network in report.networks:
            for device in report.devices:
                outcome = self._job("explain", network, device, networks[network], samples, rounds)
                report.add_explanation(network, device, outcome)
                self.write()
        for network in () if self._given.no_peers else report.networks:
            report.add_pytorch(network, self._job("pytorch", network, samples, rounds))
            self.write()
        for network in report.networks:
            report.add_graph(network, self._job("graph", network, rounds))
            self.write()
        if SANITISED in networks:
            report.add_sanitised(self._job("sanitise", SANITISED, report.devices[0]))

    def write(self) -> None:
        """Write gpu.md and gpu.json."""
        self.report.seconds = time.time() - self._given.began
        (self._out / "gpu.md").write_text(page(self.report), encoding="utf-8")
        if self._given.out:
            (self._out / "gpu.json").write_text(json.dumps(self.report.figures(), indent=1), encoding="utf-8")

    def _opens(self, device: str) -> bool:
        outcome = self._job("open", device)
        self.report.add_opening(device, outcome)
        return outcome is not None and outcome.value is not None and "problem" not in outcome.value

    def _exports(self, networks: tuple[str, ...]) -> dict[str, int]:
        """Export all networks at once, as exports leave most cores idle; return the target of each."""
        jobs = {network: self._start("export", network, self._given.samples) for network in networks}
        targets = {}
        for network, job in jobs.items():
            outcome = job.wait()
            self.report.add_export(network, outcome)
            if outcome.value is not None:
                targets[network] = outcome.value["target"]
        return targets

    def _start(self, kind: str, *arguments: object) -> Running:
        own = self._given.limit if kind == "explain" and self._given.limit else LIMITS[kind]
        limit = min(own, self._end - time.time())
        command = job_command(kind, self._machine.name, self._folder, *arguments)
        return Running(command, limit, self._log)

    @property
    def _log(self) -> Path:
        return (self._out if self._given.out else self._folder) / "gpu.log"

    def _job(self, kind: str, *arguments: object) -> Outcome | None:
        """Return the outcome of a job; None where the budget is spent."""
        if time.time() >= self._end - 1:
            self.report.out_of_time(f"{kind} {' '.join(map(str, arguments))}")
            return None
        outcome = self._start(kind, *arguments).wait()
        print(
            f"{outcome.seconds:6.1f} s  {kind} {' '.join(map(str, arguments))}  {outcome.problem}", flush=True
        )
        return outcome


def main() -> int:
    """Run the checks, print the results and write them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu_check")
    parser.add_argument("--devices", help="with commas between them; all by default")
    parser.add_argument("--networks", help="with commas between them")
    parser.add_argument("--samples", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--budget", type=float, default=1800, help="seconds for the whole run")
    parser.add_argument(
        "--began", type=float, default=time.time(), help="when the budget began, as date +%%s says"
    )
    parser.add_argument("--limit", type=float, help="seconds for one network on one device, in place of 75")
    parser.add_argument("--out", type=Path, help="folder for gpu.md, gpu.json and gpu.log; docs/ by default")
    parser.add_argument("--no-peers", action="store_true", help="without PyTorch's times")
    parser.add_argument("--rehearse", action="store_true", help="on stand-ins, without a GPU; needs --out")
    given = parser.parse_args()
    if given.rehearse and given.out is None:
        parser.error("a rehearsal must not write docs/gpu.md: give --out")
    machine = STAND_INS if given.rehearse else REAL
    machine = replace(
        machine,
        devices=tuple(given.devices.split(",")) if given.devices else machine.devices,
        networks=tuple(given.networks.split(",")) if given.networks else machine.networks,
    )
    out = given.out or DOCS
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        run = Run(given, machine, Path(folder), out)
        run.all()
    if run.report.devices or given.out:
        run.write()
    print(page(run.report))
    return 1 if run.report.failed else 0


if __name__ == "__main__":
    sys.exit(main())
