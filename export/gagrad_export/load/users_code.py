"""Where in the user's own code an exception was raised, and what it says, in one line."""

from __future__ import annotations

import sysconfig
import traceback
from pathlib import Path


def users_line(error: BaseException) -> str | None:
    """Return ``file:line`` of the innermost frame that is the user's code; None when there is none."""
    if isinstance(error, SyntaxError) and error.filename is not None:
        return f"{error.filename}:{error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    here = [f"{frame.filename}:{frame.lineno}" for frame in frames if is_users(frame.filename)]
    return here[-1] if here else None


def is_users(file: str) -> bool:
    """Whether a frame's file is the user's code: neither ours, nor Python's, nor an installed package's."""
    paths = sysconfig.get_paths()
    ours = str(Path(__file__).parents[1])
    foreign = (ours, paths["stdlib"], paths["platstdlib"], paths["purelib"], paths["platlib"])
    return not file.startswith(("<", *foreign))


def said(error: BaseException) -> str:
    """Return type and text of an exception, the first line only."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}".rstrip(": ")
