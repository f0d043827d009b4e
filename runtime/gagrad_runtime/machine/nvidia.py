"""Model and driver of this machine's NVIDIA devices, from the driver's files, without opening a device."""

from __future__ import annotations

from pathlib import Path


def nvidia_device(root: Path = Path("/")) -> str:
    """Return model and driver of each GPU, or of the Jetson, as one text; empty without an NVIDIA driver.

    The text is a cache key: another card, driver or JetPack gives another text.
    """
    found = []
    for file in sorted((root / "proc/driver/nvidia/gpus").glob("*/information")):
        fields = dict(line.split(":", 1) for line in _text(file).splitlines() if ":" in line)
        found.append(fields.get("Model", "").strip())
    found.append(_text(root / "proc/device-tree/model").rstrip("\0"))
    for name in ("proc/driver/nvidia/version", "etc/nv_tegra_release"):
        found += _text(root / name).splitlines()[:1]
    return ", ".join(" ".join(part.split()) for part in found if part.strip())


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
