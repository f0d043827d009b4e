"""What the exporter and the device runtime share: bundle, method, errors and the command group.

Nothing here imports onnx, torch or an inference engine, so that it loads on a bare device.
"""

from __future__ import annotations

__version__ = "0.1.0"
