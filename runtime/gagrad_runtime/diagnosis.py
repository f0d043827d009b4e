"""What this machine has: packages, engines, devices, and the line that installs what is missing."""

from __future__ import annotations

import importlib
import os
import platform
import sys
from importlib import metadata

import msgspec

from gagrad_edge import __version__


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One engine or side of the product."""

    name: str
    purpose: str
    usable: bool
    """Whether this version of gagrad-edge can use it on this machine."""
    version: str = ""
    devices: list[str] = []
    problem: str = ""
    install: str = ""


class Diagnosis(msgspec.Struct, frozen=True, kw_only=True):
    """The whole machine."""

    version: str
    python: str
    platform: str
    cores: int
    memory_gib: float | None
    parts: list[Part]
    warnings: list[str]


def diagnose() -> Diagnosis:
    """Look at this machine. Never raises because something is missing: that is what it reports."""
    return Diagnosis(
        version=__version__,
        python=platform.python_version(),
        platform=f"{platform.system()} {platform.machine()}",
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        memory_gib=_memory(),
        parts=[_cpu(), *(_later(*entry) for entry in _LATER), _exporter(), _torch()],
        warnings=_warnings(),
    )


def _cpu() -> Part:
    """ONNX Runtime on the CPU, tried by importing it: a broken install must not look fine."""
    purpose = "explains on the CPU (--device cpu)"
    line = 'pip install "gagrad-edge[cpu]"'
    try:
        onnxruntime = importlib.import_module("onnxruntime")
        providers = list(onnxruntime.get_available_providers())
        version = str(onnxruntime.__version__)
    except Exception as error:  # noqa: BLE001 - a half-installed engine can fail in any way
        installed = version_of("onnxruntime") or version_of("onnxruntime-gpu")
        problem = f"onnxruntime {installed} is installed but does not load: {error}" if installed else ""
        return Part(name="cpu", purpose=purpose, usable=False, problem=problem, install=line)
    return Part(name="cpu", purpose=purpose, usable=True, version=f"onnxruntime {version}", devices=providers)


_LATER = (
    ("cuda", "onnxruntime-gpu", "NVIDIA GPU through ONNX Runtime", "gpu"),
    ("tensorrt", "tensorrt", "NVIDIA GPU through TensorRT", "tensorrt"),
    ("tensorrt-rtx", "tensorrt-rtx-cu13", "NVIDIA RTX GPU through TensorRT-RTX", "tensorrt"),
    ("openvino", "openvino", "Intel and AMD through OpenVINO", "openvino"),
)


def _later(name: str, distribution: str, purpose: str, _extra: str) -> Part:
    """Return an engine that is found but that this version does not drive yet."""
    version = version_of(distribution)
    found = f"{distribution} {version} is installed, but " if version else ""
    return Part(
        name=name,
        purpose=purpose,
        usable=False,
        version=version,
        problem=f"{found}gagrad-edge {__version__} does not run on it yet; use cpu",
    )


def _exporter() -> Part:
    versions = {name: version_of(name) for name in ("onnx", "onnx-ir", "onnxscript")}
    missing = [name for name, version in versions.items() if not version]
    if not missing and not (version_of("onnxruntime") or version_of("onnxruntime-gpu")):
        missing = ["onnxruntime (to verify what is exported)"]
    return Part(
        name="export",
        purpose="compiles models into bundles",
        usable=not missing,
        version=", ".join(f"{name} {version}" for name, version in versions.items() if version),
        problem=f"missing: {', '.join(missing)}" if missing else "",
        install='pip install "gagrad-edge[cpu,export]"' if missing else "",
    )


def _torch() -> Part:
    version = version_of("torch")
    return Part(
        name="torch",
        purpose="exports torch modules; not needed for .onnx files or on a device",
        usable=bool(version),
        version=f"torch {version}" if version else "",
        install="" if version else 'pip install "gagrad-edge[torch]"',
    )


def version_of(distribution: str) -> str:
    """Return the installed version of a distribution, or an empty text. Imports nothing."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ""


def _warnings() -> list[str]:
    warnings = []
    if version_of("onnxruntime") and version_of("onnxruntime-gpu"):
        warnings.append(
            "onnxruntime and onnxruntime-gpu are both installed and overwrite each other's files: "
            "pip uninstall both, then install one"
        )
    if sys.version_info >= (3, 15):
        warnings.append(f"Python {platform.python_version()} is newer than what gagrad-edge is tested with")
    return warnings


def _memory() -> float | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    except (ValueError, OSError, AttributeError):
        return None
