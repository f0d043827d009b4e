"""Triton's server as a child process, from the folder in which the package nvidia-pytriton carries it."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import sysconfig
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from types import TracebackType

    from numpy.typing import NDArray

START = 60.0
"""Seconds in which the server must be ready."""
BACKEND = Path(__file__).parent / "backend.py"


class Server:
    """A server over ``repository``, on this machine only. Raises RuntimeError with its log where it does not start."""

    def __init__(self, triton: Path, repository: Path, scratch: Path) -> None:
        backends = scratch / "backends"
        shutil.copytree(triton / "backends", backends)
        (backends / "onnxruntime").mkdir()
        shutil.copy(BACKEND, backends / "onnxruntime" / "model.py")
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        stub = triton / "python_backend_stubs" / version / "triton_python_backend_stub"
        shutil.copy(stub, backends / "python")
        self.port, self.log = _free_port(), scratch / "server.log"
        command: list[str | Path] = [
            triton / "bin" / "tritonserver",
            f"--model-repository={repository}",
            f"--backend-directory={backends}",
        ]
        command += [
            f"--http-port={self.port}",
            "--http-address=127.0.0.1",
            "--allow-grpc=false",
            "--allow-metrics=false",
        ]
        # The configurations as they are: what the server would fill in by itself is not allowed.
        command += ["--disable-auto-complete-config", "--exit-on-error=true", "--log-verbose=0"]
        # The backend finds its packages by the first python3 on the path: Triton's environment, whose numpy is
        # older than 2, as the backend's binding is.
        path = f"{triton.parents[4] / 'bin'}:{os.environ['PATH']}"
        environment = {**os.environ, "PATH": path, "LD_LIBRARY_PATH": _libraries(triton)}
        with self.log.open("w") as log:
            self._child = subprocess.Popen(command, stdout=log, stderr=log, env=environment)

    def __enter__(self) -> Server:
        end = time.monotonic() + START
        while time.monotonic() < end:
            if self._child.poll() is not None:
                break
            try:
                self.get("/v2/health/ready")
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.1)
                continue
            return self
        self._stop()
        raise RuntimeError(f"the server is not ready:\n{self.log.read_text()}")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def get(self, path: str) -> Any:
        """Return the JSON of an answer; None for an empty one."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=30) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def infer(self, model: str, **inputs: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
        """Return the outputs of ``model`` by name."""
        asked = [
            {
                "name": name,
                "shape": value.shape,
                "datatype": "FP32",
                "parameters": {"binary_data_size": value.nbytes},
            }
            for name, value in inputs.items()
        ]
        head = json.dumps({"inputs": asked}).encode()
        body = head + b"".join(np.ascontiguousarray(value, "<f4").tobytes() for value in inputs.values())
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/v2/models/{model}/infer",
            body,
            {"Inference-Header-Content-Length": str(len(head)), "Content-Type": "application/octet-stream"},
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
                outputs = json.load(answer)["outputs"]
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{model}: {error.read().decode()}") from None
        return {one["name"]: np.array(one["data"]).reshape(one["shape"]) for one in outputs}

    def _stop(self) -> None:
        self._child.terminate()
        try:
            self._child.wait(15)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _libraries(triton: Path) -> str:
    """Return the folders of libpython, and of what else the backend's stub links to: the copy lost its own path."""
    return f"{sysconfig.get_config_var('LIBDIR') or ''}:{triton.parent.parent / 'nvidia_pytriton.libs'}"
