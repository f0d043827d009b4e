"""What a command does once its options are read. Beside ``commands``, the only room that prints."""

from __future__ import annotations
