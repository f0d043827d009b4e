"""The model's ends: which input is the image, and how its output becomes scores."""

from __future__ import annotations
