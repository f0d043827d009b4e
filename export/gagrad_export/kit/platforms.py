"""The devices that kits are made for: machine, Python, C library, and which packages.

Sources: NVIDIA's JetPack release notes (Python and TensorRT of each), PEP 600 for the tags of wheels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from gagrad_edge.errors import SettingError


@dataclass(frozen=True)
class Platform:
    """A kind of device that kits are made for."""

    name: str
    machine: str
    """The processor, as ``uname -m`` prints it: ``aarch64`` or ``x86_64``."""
    python: str
    """Version of the device's Python, such as ``3.10``."""
    glibc: str
    """Version of the device's C library; wheels built for this version or an older one run there."""
    extras: tuple[str, ...]
    """Extras of gagrad-edge to install there, as pyproject.toml names them."""
    requirements: tuple[str, ...] = ()
    """Requirements beside those of the extras, or stricter than they are."""
    system_packages: bool = False
    """Whether the device's virtual environment sees the packages of its system (TensorRT on a Jetson)."""

    def tags(self) -> list[str]:
        """Return the platform tags of wheels that run on the device, newest first.

        pip takes exactly the tags that it is given. With the newest tag alone it would find no compiled wheel
        of many packages, and without a word take their slower pure-Python wheels, such as protobuf's.
        """
        newest = int(self.glibc.split(".")[1])
        oldest = 5 if self.machine == "x86_64" else 17
        legacy = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
        tags = []
        for minor in range(newest, oldest - 1, -1):
            tags.append(f"manylinux_2_{minor}_{self.machine}")
            if minor in legacy:
                tags.append(f"{legacy[minor]}_{self.machine}")
        return tags


BACKENDS = ("cpu", "gpu", "openvino", "tensorrt", "tensorrt-rtx")
"""Extras of gagrad-edge that run graphs; without one a kit could explain nothing."""
_STATION = ("cpu", "station", "video")

PLATFORMS = {
    platform.name: platform
    for platform in (
        # TensorRT comes with JetPack as a package of the system, for the system's Python; CUDA's Python
        # bindings must be of its major version.
        Platform(
            *("jetson-jp6", "aarch64", "3.10", "2.35", _STATION),
            requirements=("cuda-bindings>=12.6,<13",),
            system_packages=True,
        ),
        Platform(
            *("jetson-jp7", "aarch64", "3.12", "2.39", _STATION),
            requirements=("cuda-bindings>=13,<14",),
            system_packages=True,
        ),
        Platform("linux-x86_64", "x86_64", "3.11", "2.31", _STATION),
        Platform("linux-aarch64", "aarch64", "3.11", "2.31", _STATION),
    )
}


def platform_named(
    name: str, *, python: str | None = None, glibc: str | None = None, extras: tuple[str, ...] = ()
) -> Platform:
    """Return the platform ``name``, with another Python, glibc or backends if given. Raises SettingError.

    ``extras`` are backends in place of ``cpu``; the extras ``station`` and ``video`` are always installed.
    """
    if name not in PLATFORMS:
        raise SettingError(f"there is no platform {name!r}", where="platform", choices=list(PLATFORMS))
    platform = PLATFORMS[name]
    for parameter, value, first in (("python", python, "3"), ("glibc", glibc, "2")):
        if value is not None and not (value.startswith(f"{first}.") and value[2:].isdigit()):
            raise SettingError(f"{value!r} is not a version", where=parameter, hint=f"such as {first}.11")
    unknown = [extra for extra in extras if extra not in BACKENDS]
    if unknown:
        raise SettingError(f"there is no extra {unknown[0]!r}", where="extras", choices=BACKENDS)
    if extras:
        platform = replace(platform, extras=(*extras, "station", "video"))
    return replace(platform, python=python or platform.python, glibc=glibc or platform.glibc)
