"""Power of the board or of the graphics card, from the system's sensors.

A Jetson has INA3221 sensors in sysfs, one rail of which is the whole module (jtop reads the same files); the
power of a graphics card comes from nvidia-smi, which its driver installs.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_RAILS = ("VDD_IN", "POM_5V_IN", "VDD_GPU_SOC")
"""Labels of the rail to read, by preference: the whole module, or the largest part of it."""
_PERIOD = 0.2


class PowerMeter:
    """Samples the power during its block. ``watts`` is the mean, or None without a sensor."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._read = _jetson(root) or _card()
        self._samples: list[float] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> PowerMeter:
        if self._read is not None:
            self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    @property
    def watts(self) -> float | None:
        """Mean power so far, watts."""
        return round(statistics.fmean(self._samples), 2) if self._samples else None

    def _work(self) -> None:
        while self._read is not None:
            watts = self._read()
            if watts is None:
                return
            self._samples.append(watts)
            if self._stop.wait(_PERIOD):
                return


def _jetson(root: Path) -> Callable[[], float | None] | None:
    """Return the reader of the module's rail; None where there is no such sensor."""
    found: dict[str, tuple[Path, str]] = {}
    for folder in sorted((root / "sys/class/hwmon").glob("hwmon*")):
        for label in folder.glob("in*_label"):
            number = label.name.removeprefix("in").removesuffix("_label")
            found[_text(label)] = (folder, number)
    rail = next((name for name in _RAILS if name in found), None)
    if rail is None:
        return None
    folder, number = found[rail]

    def read() -> float | None:
        try:
            millivolts = int(_text(folder / f"in{number}_input"))
            return millivolts * int(_text(folder / f"curr{number}_input")) / 1e6
        except ValueError:
            return None

    return read


def _card() -> Callable[[], float | None] | None:
    """Return a function that reads the power of the first NVIDIA card in watts; None without a driver."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return None
    command = [tool, "--id=0", "--query-gpu=power.draw", "--format=csv,noheader,nounits"]

    def read() -> float | None:
        try:
            run = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True)  # noqa: S603
            return float(run.stdout)
        except (OSError, ValueError, subprocess.SubprocessError):
            return None

    return read


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
