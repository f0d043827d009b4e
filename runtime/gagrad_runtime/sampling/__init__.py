"""From the samples of an image to the saliency map, its RCAP and its stability."""

from __future__ import annotations
