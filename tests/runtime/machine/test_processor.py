"""The kind of processor: another text for other instructions, the same from start to start."""

from __future__ import annotations

from pathlib import Path

import pytest

from gagrad_runtime.machine.processor import processor_kind

X86 = """processor\t: 0
model name\t: Some Xeon
cpu MHz\t\t: {mhz}
flags\t\t: fpu avx2{more}

processor\t: 1
model name\t: Some Xeon
"""
ARM = "processor\t: 0\nBogoMIPS\t: {mhz}\nFeatures\t: fp asimd{more}\nCPU part\t: 0xd42\n"


@pytest.mark.parametrize("text", [X86, ARM], ids=["x86", "arm"])
def test_flags_tell_processors_apart_and_clocks_do_not(tmp_path: Path, text: str) -> None:
    """What is kept for one processor is not taken on another, and is found again at another clock."""
    path = tmp_path / "cpuinfo"

    def kind(mhz: str, more: str = "") -> str:
        path.write_text(text.format(mhz=mhz, more=more))
        return processor_kind(path)

    assert kind("2000.0") == kind("3100.5")
    assert kind("2000.0") != kind("2000.0", " avx512f")


def test_without_cpuinfo_the_system_is_named(tmp_path: Path) -> None:
    """As on Windows and macOS."""
    assert len(processor_kind(tmp_path / "cpuinfo").split("; ")) == 3
