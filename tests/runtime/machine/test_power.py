"""Power, from sensors as a Jetson's kernel shows them and from a card's driver."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from gagrad_runtime.machine.power import PowerMeter


def sensor(root: Path, label: str, millivolts: str, milliamperes: str) -> None:
    folder = root / "sys/class/hwmon/hwmon3"
    folder.mkdir(parents=True, exist_ok=True)
    number = len(list(folder.glob("in*_label"))) + 1
    (folder / f"in{number}_label").write_text(f"{label}\n")
    (folder / f"in{number}_input").write_text(f"{millivolts}\n")
    (folder / f"curr{number}_input").write_text(f"{milliamperes}\n")


def wait_for(meter: PowerMeter) -> None:
    """Wait for the meter's first sample; the bound only ends a test that would hang."""
    deadline = time.monotonic() + 60
    while meter.watts is None and time.monotonic() < deadline:
        time.sleep(0.01)


def test_the_whole_modules_rail_is_read(tmp_path: Path) -> None:
    """Of several rails the module's input rail is read, in watts."""
    sensor(tmp_path, "VDD_CPU_GPU_CV", "5000", "100")
    sensor(tmp_path, "VDD_IN", "5000", "1400")
    with PowerMeter(tmp_path) as meter:
        wait_for(meter)
    assert meter.watts == 7.0


def test_no_sensor_and_one_that_says_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a sensor, or with one that gives no number, the power is None."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with PowerMeter(tmp_path) as meter:
        pass
    assert meter.watts is None
    sensor(tmp_path, "VDD_IN", "", "")
    with PowerMeter(tmp_path) as meter:
        pass
    assert meter.watts is None


def test_a_card_is_asked_through_its_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a rail the power is the one that nvidia-smi prints."""
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 61.25\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    with PowerMeter(tmp_path) as meter:
        wait_for(meter)
    assert meter.watts == 61.25
