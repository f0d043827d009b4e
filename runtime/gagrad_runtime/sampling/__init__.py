"""From noisy samples of the image to a saliency map, its RCAP and its stability."""

from __future__ import annotations
