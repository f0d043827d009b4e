"""What a model of each task says of a frame: what it lists, what is asked by default, how sure it is."""

from __future__ import annotations
