"""OpenVINO, imported without the package that reports each import to its makers over the network."""

from __future__ import annotations

import importlib
import sys
from typing import Any

from gagrad_edge.errors import MissingPackageError

INSTALL = 'pip install "gagrad-edge[openvino]"'
_TELEMETRY = "openvino_telemetry"


def openvino_package() -> Any:
    """Import OpenVINO without its telemetry package. Raises MissingPackageError.

    A device on a line must not call out. OpenVINO works without that package. Where the caller's program has
    imported OpenVINO before, telemetry was that program's choice.
    """
    hide = "openvino" not in sys.modules and _TELEMETRY not in sys.modules
    if hide:
        sys.modules[_TELEMETRY] = None  # type: ignore[assignment]
    try:
        return importlib.import_module("openvino")
    except Exception as error:
        raise MissingPackageError(
            f"openvino is not installed or does not load ({error})",
            hint=f"{INSTALL}; `gagrad-edge doctor` shows what this machine has",
        ) from error
    finally:
        if hide:
            del sys.modules[_TELEMETRY]
