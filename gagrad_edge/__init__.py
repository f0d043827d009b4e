"""What the exporter and the device runtime share: bundle, method, errors and the command group.

Nothing here imports onnx, torch or an inference engine, so that it loads on a bare device.
"""

from __future__ import annotations

import os

# ONNX Runtime from 1.29 on reports to its makers on Linux, with the names of host and graphs, and keeps a
# device id under the user's cache. Only this variable stops that, and only before onnxruntime is first
# imported; its own `disable_telemetry_events()` does not. Both packages import this one first, and child
# processes inherit the variable.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

__version__ = "0.1.0"
