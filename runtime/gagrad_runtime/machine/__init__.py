"""The machine underneath: memory, power, NVIDIA devices, the cache folder, the file lock."""

from __future__ import annotations
