"""What is asked of a frame: target, output region, method, settings, perturbations."""

from __future__ import annotations
