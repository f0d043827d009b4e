"""The device's commands: options only. Heavy modules are imported when a command runs, so help is instant."""

from __future__ import annotations
