"""Two libraries with one Python interface: TensorRT (10.3 and later) and TensorRT-RTX.

The differences are handled where they occur: TensorRT-RTX has compute capabilities and a runtime cache,
TensorRT a timing cache. Both take strongly typed networks, the only kind since TensorRT 11: the types in the
graph decide what is computed in float16 and what in float32, not a flag.
"""

from __future__ import annotations

import importlib
import logging
from dataclasses import dataclass
from typing import Any, Literal

from gagrad_edge.errors import DeviceError, MissingPackageError

Kind = Literal["tensorrt", "tensorrt-rtx"]
KINDS: dict[str, Kind] = {"tensorrt": "tensorrt", "tensorrt-rtx": "tensorrt-rtx"}
"""Libraries by device name."""
_MODULES: dict[Kind, str] = {"tensorrt": "tensorrt", "tensorrt-rtx": "tensorrt_rtx"}
INSTALL: dict[Kind, str] = {
    "tensorrt": 'pip install "gagrad-edge[tensorrt]"; on a Jetson JetPack brings it, so make the environment '
    "with --system-site-packages",
    "tensorrt-rtx": 'pip install "gagrad-edge[tensorrt-rtx]"',
}
OLDEST = (10, 3)
"""Oldest version of TensorRT that is supported: JetPack 6 has it."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Library:
    """An imported library."""

    kind: Kind
    module: Any
    version: str
    said: list[str]
    """Errors that the library logged since the list was last cleared."""
    logger: Any

    @property
    def rtx(self) -> bool:
        """Whether it is TensorRT-RTX."""
        return self.kind == "tensorrt-rtx"

    def problem(self, default: str) -> str:
        """Return the errors that the library logged, or ``default``, and clear the list."""
        text = "; ".join(dict.fromkeys(self.said)) or default
        self.said.clear()
        return text


def open_library(kind: Kind) -> Library:
    """Import a library. Raises MissingPackageError, and DeviceError for one that is too old."""
    try:
        module = importlib.import_module(_MODULES[kind])
        version = str(module.__version__)
    except Exception as error:  # a half-installed one can fail in any way
        raise MissingPackageError(
            f"{_MODULES[kind]} is not installed or does not load ({error})",
            where=f"device={kind}",
            hint=INSTALL[kind],
        ) from error
    if kind == "tensorrt" and tuple(map(int, version.split(".")[:2])) < OLDEST:
        raise DeviceError(
            f"TensorRT {version} is older than {'.'.join(map(str, OLDEST))}",
            where=f"device={kind}",
            hint="upgrade JetPack to 6, or use `device=cuda`",
        )
    said: list[str] = []
    return Library(kind, module, version, said, _logger(module, said))


def _logger(module: Any, said: list[str]) -> Any:
    class Logger(module.ILogger):  # type: ignore[misc]
        """Collects errors for the messages of this package and passes every line to logging."""

        def __init__(self) -> None:
            module.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            """Take a line from the library, which also calls from its own threads."""
            if severity <= module.ILogger.ERROR:
                said.append(message)
            _log.debug("%s", message)

    return Logger()
