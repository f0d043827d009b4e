"""Frames: from a file, an array or a tensor to pixels, and from pixels to the model's image."""

from __future__ import annotations

from gagrad_runtime.frame.frame import Frame, frame_for, load_frame

__all__ = ["Frame", "frame_for", "load_frame"]
