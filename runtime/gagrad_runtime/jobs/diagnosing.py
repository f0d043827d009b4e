"""Diagnosis of this machine: packages, engines, devices, and the command that installs a missing one."""

from __future__ import annotations

import os
import platform
import sys
from importlib import metadata

import msgspec

from gagrad_edge import __version__
from gagrad_edge.errors import DeviceError, MissingPackageError
from gagrad_runtime.backend import open_backend
from gagrad_runtime.machine.cache import cache_root, size_of


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One engine, or one optional part of the product."""

    name: str
    purpose: str
    usable: bool
    """Whether this version of gagrad-edge can use it on this machine."""
    version: str = ""
    problem: str = ""
    install: str = ""


class Diagnosis(msgspec.Struct, frozen=True, kw_only=True):
    """Diagnosis of one machine."""

    version: str
    python: str
    platform: str
    cores: int
    memory_gib: float | None
    cache: str
    """Folder of what is kept for the next start; empty for a user without a home."""
    cache_bytes: int
    parts: list[Part]
    warnings: list[str]


def diagnose() -> Diagnosis:
    """Return the diagnosis of this machine. A missing part is reported, not raised."""
    cache = cache_root()
    return Diagnosis(
        version=__version__,
        python=platform.python_version(),
        platform=f"{platform.system()} {platform.machine()}",
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        memory_gib=_memory(),
        cache="" if cache is None else str(cache),
        cache_bytes=0 if cache is None else size_of(cache),
        parts=[*(_engine(*entry) for entry in _ENGINES), _exporter(), _torch(), _station()],
        warnings=_warnings(),
    )


_ENGINES = (
    ("cpu", "onnxruntime", "any processor through ONNX Runtime"),
    ("cuda", "onnxruntime-gpu", "NVIDIA GPU through ONNX Runtime"),
    ("tensorrt", "tensorrt", "NVIDIA GPU through TensorRT"),
    ("tensorrt-rtx", "tensorrt-rtx-cu13", "NVIDIA RTX GPU through TensorRT-RTX"),
    ("tensorrt-ort", "onnxruntime-gpu", "NVIDIA GPU through ONNX Runtime's TensorRT provider"),
    ("tensorrt-rtx-ort", "onnxruntime-ep-nv-tensorrt-rtx", "NVIDIA RTX GPU through ONNX Runtime's plug-in"),
    ("openvino", "openvino", "Intel and AMD processors through OpenVINO"),
    ("openvino:GPU", "openvino", "Intel GPU through OpenVINO"),
    ("openvino:NPU", "openvino", "Intel NPU through OpenVINO"),
)
"""Name for ``--device``, the distribution that brings it, and what it is for."""


def _engine(name: str, distribution: str, purpose: str) -> Part:
    """Return the state of an engine after opening it, because a broken installation must not look usable."""
    purpose = f"{purpose} (--device {name})"
    try:
        backend = open_backend(name)
    except (MissingPackageError, DeviceError) as error:
        installed = version_of(distribution)
        return Part(
            name=name,
            purpose=purpose,
            usable=False,
            version=installed,
            # The error of an engine that is not installed is of no interest.
            problem=error.what if installed else "",
            install="" if installed and not isinstance(error, MissingPackageError) else error.hint or "",
        )
    return Part(name=name, purpose=purpose, usable=True, version=backend.description)


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


def _station() -> Part:
    version = version_of("cryptography")
    return Part(
        name="station",
        purpose="signs bundles, and loads signed ones only (docs/trust.md)",
        usable=bool(version),
        version=f"cryptography {version}" if version else "",
        install="" if version else 'pip install "gagrad-edge[station]"',
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
