"""The method in numpy: the readable reference that every backend is compared with."""

from __future__ import annotations
