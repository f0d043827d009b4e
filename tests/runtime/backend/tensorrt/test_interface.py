"""Each name that the backend uses exists in the real bindings, with as many arguments as it gives."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import pytest

from tests.runtime.backend.tensorrt.host_gpu import HostCuda

trt = pytest.importorskip("tensorrt_rtx", reason="there is no wheel for this processor")
runtime = pytest.importorskip("cuda.bindings.runtime", reason="there is no wheel for this processor")

FOLDER = Path("runtime/gagrad_runtime/backend/tensorrt")
OBJECTS = {
    "builder": trt.Builder,
    "network": trt.INetworkDefinition,
    "parser": trt.OnnxParser,
    "config": trt.IBuilderConfig,
    "profile": trt.IOptimizationProfile,
    "engine": trt.ICudaEngine,
    "context": trt.IExecutionContext,
    "_context": trt.IExecutionContext,
    "_runtime": trt.Runtime,
    "_cache": trt.IRuntimeCache,
    "cache": trt.IRuntimeCache,
    "value": trt.ITensor,
}
"""What the variables of these names are."""
RTX_CONFIG = {"create_runtime_cache", "set_runtime_cache", "cuda_graph_strategy"}
CLASSIC_ONLY = {"create_timing_cache", "set_timing_cache", "get_timing_cache"}


def attributes(root: Path) -> list[tuple[str, str, str]]:
    """Return (file, owner's name, attribute) of every attribute access."""
    found = []
    for file in sorted((root / FOLDER).glob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute):
                owner = node.value
                name = owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, "id", "")
                found.append((file.name, name, node.attr))
    return found


def test_tensorrt_names(root: Path) -> None:
    """Every name of TensorRT that the backend uses exists in the real bindings."""
    checked = set()
    for file, owner, attribute in attributes(root):
        if owner == "trt":
            assert hasattr(trt, attribute), f"{file}: {attribute}"
        elif owner in OBJECTS and file != "cuda.py":
            kinds = [OBJECTS[owner], trt.IRuntimeConfig] if attribute in RTX_CONFIG else [OBJECTS[owner]]
            assert any(hasattr(kind, attribute) for kind in kinds), f"{file}: {owner}.{attribute}"
        else:
            continue
        checked.add(attribute)
    assert {"execute_async_v3", "set_tensor_address", "build_serialized_network", "Runtime"} <= checked
    assert checked >= CLASSIC_ONLY


@pytest.mark.parametrize("owner", ["BuilderFlag", "TensorIOMode", "DataType", "TensorLocation"])
def test_members(root: Path, owner: str) -> None:
    """Every member of TensorRT's enumerations that the backend uses exists in the real bindings."""
    text = "".join(file.read_text(encoding="utf-8") for file in (root / FOLDER).glob("*.py"))
    for member in re.findall(rf"\b{owner}\.([A-Z][A-Z0-9_]*)", text):
        assert member in getattr(trt, owner).__members__, member
    assert "STRONGLY_TYPED" in trt.NetworkDefinitionCreationFlag.__members__


def test_cuda_names_and_arguments(root: Path) -> None:
    """Also those of the stand-in that the other tests run on."""
    tree = ast.parse((root / FOLDER / "cuda.py").read_text(encoding="utf-8"))
    calls = {
        node.args[0].value: len(node.args) - 1
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and getattr(node.func, "attr", "") == "_call"
        and isinstance(node.args[0], ast.Constant)
    }
    assert len(calls) > 15
    for name, given in calls.items():
        line = (getattr(runtime, name).__doc__ or "").splitlines()[0]
        wanted = re.search(r"\((.*)\)", line)
        assert wanted is not None, line
        parameters = [part for part in wanted.group(1).split(",") if part.strip()]
        assert len(parameters) == given, line
        stand_in = getattr(HostCuda, "_" + name.removeprefix("cuda"))
        assert len(inspect.signature(stand_in).parameters) - 1 == given, name
    for kind in ("cudaMemcpyHostToDevice", "cudaMemcpyDeviceToHost"):
        assert hasattr(runtime.cudaMemcpyKind, kind)
    for name in ("cudaDevAttrComputeCapabilityMajor", "cudaDevAttrComputeCapabilityMinor"):
        assert hasattr(runtime.cudaDeviceAttr, name)
    assert int(runtime.cudaError_t.cudaErrorMemoryAllocation) == 2
    assert hasattr(runtime, "cudaStreamNonBlocking")
    assert hasattr(runtime.cudaStreamCaptureMode, "cudaStreamCaptureModeThreadLocal")
