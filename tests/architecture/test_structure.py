"""The structure that makes the code easy to find and the device light."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from gagrad_edge.cli import COMMANDS

ROOT = Path(__file__).parents[2]
SOURCES = sorted(
    path for folder in ("gagrad_edge", "export", "runtime") for path in (ROOT / folder).rglob("*.py")
)
HEAVY = {"onnx", "onnx_ir", "onnxscript", "torch", "onnxruntime", "cv2", "PIL", "numpy", "msgspec"}


def run_python(code: str) -> str:
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return result.stdout.strip()


def test_arrows_point_one_way() -> None:
    """export → gagrad_edge ← runtime, and no onnx or torch on the device side."""
    lint = Path(sys.executable).parent / "lint-imports"
    result = subprocess.run([lint], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout


def imports_of(path: Path, name: str, modules: dict[str, Path]) -> set[str]:
    """Return the ``modules`` that the file imports: at the top, within functions, and for types only."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                found.add(whole if whole in modules else node.module)
    return (found & set(modules)) - {name}


def circles(graph: dict[str, set[str]]) -> set[str]:
    """Return the modules that import themselves through others, and those between two such circles."""
    rest = dict(graph)
    while True:
        # A module that imports none of the rest, or that none of the rest imports, is in no circle.
        imported = set().union(*rest.values()) if rest else set()
        kept = {name: targets & set(rest) for name, targets in rest.items() if name in imported}
        kept = {name: targets for name, targets in kept.items() if targets}
        if kept == rest:
            return set(rest)
        rest = kept


@pytest.mark.slow
def test_no_module_imports_itself_through_others() -> None:
    """There is no circle of imports, with those inside functions and those for types counted, too."""
    modules: dict[str, Path] = {}
    for folder in (
        ROOT / "gagrad_edge",
        ROOT / "export" / "gagrad_export",
        ROOT / "runtime" / "gagrad_runtime",
    ):
        for path in folder.rglob("*.py"):
            parts = path.relative_to(folder.parent).with_suffix("").parts
            modules[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    assert circles({name: imports_of(path, name, modules) for name, path in modules.items()}) == set()


def test_the_search_for_circles_finds_one() -> None:
    """Three modules in a circle are found, and the modules before and behind them are not."""
    graph = {"a": {"b"}, "b": {"c"}, "c": {"d"}, "d": {"b", "e"}, "e": set()}
    assert circles(graph) == {"b", "c", "d"}


def test_the_arrows_check_can_fail(tmp_path: Path) -> None:
    """A module that imports across the border is found: the contract is not empty."""
    try:
        import tomllib
    except ModuleNotFoundError:
        import tomli as tomllib
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    assert set(contracts["root_packages"]) == {"gagrad_edge", "gagrad_export", "gagrad_runtime"}
    for name in ("gagrad_edge", "gagrad_export", "gagrad_runtime"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("")
    (tmp_path / "gagrad_runtime" / "bad.py").write_text("import gagrad_export\n")
    (tmp_path / "pyproject.toml").write_text(
        '[tool.importlinter]\nroot_packages = ["gagrad_edge", "gagrad_export", "gagrad_runtime"]\n'
        "[[tool.importlinter.contracts]]\n"
        f'name = "x"\ntype = "layers"\nlayers = {contracts["contracts"][0]["layers"]!r}\n'
    )
    lint = Path(sys.executable).parent / "lint-imports"
    result = subprocess.run([lint], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode != 0


@pytest.mark.slow
def test_every_module_says_what_it_is_about() -> None:
    """Each module has a docstring and a name of the field; ``make listing`` shows which files are long."""
    silent = [path for path in SOURCES if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))]
    assert not silent
    vague = {"utils", "util", "helpers", "helper", "common", "misc"}
    assert not [path for path in SOURCES if path.stem in vague]


@pytest.mark.parametrize(
    "module", ["gagrad_edge", "gagrad_edge.errors", "gagrad_edge.cli", "gagrad_export", "gagrad_runtime"]
)
def test_a_bare_import_loads_nothing_heavy(module: str) -> None:
    """Which is what keeps ``--help`` fast."""
    loaded = run_python(f"import sys, {module}; print(' '.join(sys.modules))").split()
    assert not HEAVY & set(loaded)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_every_command_loads_nothing_heavy(name: str) -> None:
    """Each command alone, so that the one that loads something is named."""
    code = (
        "import sys\nfrom gagrad_edge.cli import run\n"
        f"assert run([{name!r}, '--help']) == 0\n"
        "print('loaded:', *sys.modules)"
    )
    said, _, loaded = run_python(code).rpartition("loaded:")
    assert f"Usage: gagrad-edge {name}" in said
    assert not HEAVY & set(loaded.split())


def test_every_command_of_the_package_is_listed() -> None:
    """Whatever module defines a command, the group has it: a new one is not left out of the tests."""
    sides = ((ROOT / "export", "gagrad_export"), (ROOT / "runtime", "gagrad_runtime"))
    modules = [
        ".".join(path.relative_to(side).with_suffix("").parts)
        for side, package in sides
        for path in sorted((side / package).rglob("*.py"))
        if "@click.command(" in path.read_text(encoding="utf-8")
    ]
    assert len(modules) > 15
    assert sorted(modules) == sorted(COMMANDS.values())


@pytest.mark.slow
def test_explaining_loads_neither_onnx_nor_torch(tiny_bundle: Path, tmp_path: Path) -> None:
    """Though both are installed here."""
    code = (
        "import sys, numpy, gagrad_runtime\n"
        f"with gagrad_runtime.load({str(tiny_bundle)!r}) as explainer:\n"
        "    frame = numpy.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype='uint8')\n"
        f"    explainer.explain(frame).save({str(tmp_path)!r})\n"
        "print(*sys.modules)"
    )
    loaded = set(run_python(code).split())
    assert not {"onnx", "onnx_ir", "onnxscript", "torch", "gagrad_export"} & loaded


@pytest.mark.slow
def test_explaining_loads_nothing_for_others(tiny_bundle: Path, tmp_path: Path, root: Path) -> None:
    """What takes 10 ms and more of each start, and what only another engine or numpy's masked arrays need."""
    sample = root / "gagrad_edge" / "demo" / "samples" / "3-stain-anodised.jpg"
    asked = ["explain", str(tiny_bundle), str(sample), "-o", str(tmp_path)]
    code = (
        "import sys\nfrom gagrad_edge.cli import run\n"
        f"assert run({asked!r}) == 0\n"
        "print('loaded:', *sys.modules)"
    )
    loaded = set(run_python(code).rpartition("loaded:")[2].split())
    assert "numpy.random" in loaded
    assert not {"numpy.ma", "importlib.metadata", "gagrad_runtime.backend.tensorrt", "openvino"} & loaded
