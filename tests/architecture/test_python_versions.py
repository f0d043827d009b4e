"""Python 3.10 to 3.13 is promised, and no interpreter but this one is at hand: what can be held without.

Python 3.10 is that of JetPack 6. ruff and mypy run for 3.10 (``make lint types``); mypy sees the three
packages only, so the standard library's names are looked up here for all of the code, in mypy's stubs.
"""

from __future__ import annotations

import ast
import importlib.util
import itertools
import re
import shutil
import subprocess
import sys
from collections.abc import Collection
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OLDEST = (3, 10)
FOLDERS = ("gagrad_edge", "export", "runtime", "tests", "benchmarks", "examples")
SOURCES = [ROOT / "setup.py", *sorted(path for name in FOLDERS for path in (ROOT / name).rglob("*.py"))]
FALLBACKS = {"tomllib"}
"""Modules that ``try: import …`` with another one after ``except ModuleNotFoundError`` may name."""


@cache
def stubs() -> Path:
    """Return the folder of stubs of the standard library, typeshed, in mypy's package."""
    spec = importlib.util.find_spec("mypy")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "typeshed" / "stdlib"


@cache
def newer_modules() -> frozenset[str]:
    """Return the standard library's modules that the oldest Python lacks."""
    lines = re.findall(r"^([\w.]+): 3\.(\d+)-", (stubs() / "VERSIONS").read_text(), re.MULTILINE)
    return frozenset(name for name, minor in lines if (3, int(minor)) > OLDEST)


@cache
def newer_names(module: str) -> frozenset[str]:
    """Return the names of ``module`` that a later Python brought."""
    found = stub_names(module)
    return frozenset(found[True] - found[False])


@cache
def stub_names(module: str) -> dict[bool, set[str]]:
    """Return the names that ``module`` has: False, in the oldest Python; True, in a later one."""
    names: dict[bool, set[str]] = {False: set(), True: set()}
    base = stubs() / module.replace(".", "/")
    path = base / "__init__.pyi" if base.is_dir() else base.with_suffix(".pyi")
    if path.is_file():
        package = module if base.is_dir() else module.rpartition(".")[0]
        _collect(ast.parse(path.read_text(encoding="utf-8")).body, names, package, later=False)
    return names


def _collect(body: list[ast.stmt], names: dict[bool, set[str]], package: str, *, later: bool) -> None:
    for node in body:
        if isinstance(node, ast.If):
            since = _since(node.test)
            _collect(node.body, names, package, later=later or since > OLDEST)
            _collect(node.orelse, names, package, later=later)
        elif isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            names[later].add(node.name)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names[later].add(node.target.id)
        elif isinstance(node, ast.Assign):
            names[later] |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.ImportFrom):
            _collect_import(node, names, package, later=later)


def _collect_import(node: ast.ImportFrom, names: dict[bool, set[str]], package: str, *, later: bool) -> None:
    """Add the names that a stub passes on: ``from .timeouts import *``, ``from types import X as X``."""
    for alias in node.names:
        if alias.name != "*":
            names[later].add(alias.asname or alias.name)
        elif node.level:
            passed_on = stub_names(f"{package}.{node.module}")
            names[True] |= passed_on[True] | (passed_on[False] if later else set())
            names[False] |= set() if later else passed_on[False]


def _since(test: ast.expr) -> tuple[int, ...]:
    """Return the version N of ``sys.version_info >= N``, also with ``and``; else (0,)."""
    for node in ast.walk(test):
        if (
            isinstance(node, ast.Compare)
            and ast.unparse(node.left) == "sys.version_info"
            and isinstance(node.ops[0], ast.GtE)
        ):
            version = ast.literal_eval(node.comparators[0])
            assert isinstance(version, tuple)
            return version
    return (0,)


def too_new(source: str) -> list[str]:
    """Return what ``source`` uses that the oldest Python lacks, each with its line."""
    tree = ast.parse(source, feature_version=OLDEST)
    spared = {id(node) for node in _guarded(tree)}
    nodes = [node for node in ast.walk(tree) if id(node) not in spared]
    modules = _imported(nodes)
    return [f"{node.lineno}: {what}" for node in nodes for what in _newer(node, modules)]


def _imported(nodes: list[ast.AST]) -> dict[str, str]:
    """Return the module, or the module's member, that each imported name stands for."""
    modules: dict[str, str] = {}
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                modules[alias.asname or alias.name.partition(".")[0]] = alias.name
        elif isinstance(node, ast.ImportFrom) and not node.level:
            modules |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return modules


def _newer(node: ast.AST, modules: dict[str, str]) -> list[str]:
    """Return what this one node takes from a later standard library."""
    if isinstance(node, ast.Import):
        return [f"import {alias.name}" for alias in node.names if alias.name in newer_modules()]
    if isinstance(node, ast.ImportFrom) and node.module and not node.level:
        names = [alias.name for alias in node.names]
        if node.module not in newer_modules():
            names = [name for name in names if name in newer_names(node.module)]
        return [f"from {node.module} import {name}" for name in names]
    if isinstance(node, ast.Name):
        return [node.id] if node.id in newer_names("builtins") else []
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        module = modules.get(node.value.id)
        return [f"{module}.{node.attr}"] if module and node.attr in newer_names(module) else []
    return []


def _guarded(tree: ast.AST) -> list[ast.stmt]:
    """Return the imports with a fallback: ``try: import tomllib`` … ``except ModuleNotFoundError``."""
    return [
        statement
        for node in ast.walk(tree)
        if isinstance(node, ast.Try)
        and any(
            isinstance(handler.type, ast.Name)
            and handler.type.id == "ModuleNotFoundError"
            and any(isinstance(inner, ast.Import) for inner in handler.body)
            for handler in node.handlers
        )
        for statement in node.body
        if isinstance(statement, ast.Import) and {alias.name for alias in statement.names} <= FALLBACKS
    ]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_is_newer_than_python_3_10(path: Path) -> None:
    """No syntax, module or name of the standard library that came later."""
    assert not too_new(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "source",
    [
        "import tomllib",
        "import tomllib as t",
        "from tomllib import loads",
        "from typing import Self",
        "import typing as t\nx: t.Self",
        "from enum import StrEnum",
        "import enum\nclass A(enum.StrEnum): pass",
        "from datetime import UTC",
        "import datetime\ndatetime.UTC",
        "import hashlib\nhashlib.file_digest(f, 'sha256')",
        "import asyncio\nasyncio.timeout(1)",
        "from asyncio import TaskGroup",
        "import itertools\nitertools.batched(x, 2)",
        "raise ExceptionGroup('', [])",
        "import contextlib\ncontextlib.chdir('x')",
        "try:\n    import tomllib\nexcept ModuleNotFoundError:\n    tomllib = None",
        "from warnings import deprecated",
    ],
)
def test_the_check_finds_what_is_newer(source: str) -> None:
    """Each of these fails on Python 3.10."""
    assert too_new(source)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="this Python cannot read the syntax either")
def test_the_check_finds_newer_syntax() -> None:
    """The check of Python 3.10 finds each kind of newer syntax."""
    with pytest.raises(SyntaxError, match=r"3\.11"):
        too_new("try:\n    pass\nexcept* ValueError:\n    pass")


@pytest.mark.parametrize(
    "source",
    [
        "from typing import ParamSpec, TypeGuard",
        "from datetime import timezone\nimport asyncio\nasyncio.wait_for",
        "import contextlib, itertools\ncontextlib.nullcontext, itertools.pairwise",
        "try:\n    import tomllib\nexcept ModuleNotFoundError:\n    import tomli as tomllib\ntomllib.loads",
        "match 1:\n    case 1: pass",
    ],
)
def test_the_check_leaves_the_rest_alone(source: str) -> None:
    """What Python 3.10 has, and a module with its stand-in."""
    assert not too_new(source)


EXTRAS = (
    "cpu", "gpu", "tensorrt", "tensorrt-rtx", "openvino", "export", "station", "video", "viewer", "serve",
    "audit", "ray", "pack", "torch",
)  # fmt: skip
MACHINES = ("x86_64", "aarch64")
# Ubuntu 22.04, JetPack 6's, has the C library 2.35.
PLATFORM = "{}-manylinux_2_35"
FROM_SOURCE = ("tensorrt", "tensorrt-cu12", "tensorrt-cu13", "tensorrt-rtx-cu13")
"""NVIDIA's shells: source archives on PyPI that name the wheels to fetch."""
WITHOUT_WHEEL = {("gpu", "3.10", "aarch64")}
"""onnxruntime-gpu has wheels for aarch64 from Python 3.11 on; JetPack 6 takes NVIDIA's (docs/devices.md)."""


def uv(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    if program is None:
        pytest.skip("uv is not installed")
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=False, cwd=ROOT)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Skip where no package index answers."""
    wanted = tmp_path_factory.mktemp("index") / "requirements.in"
    wanted.write_text("click\n")
    if uv("pip", "compile", "--quiet", str(wanted)).returncode != 0:
        pytest.skip("no package index answers")


def test_every_extra_is_resolved() -> None:
    """The list above is that of pyproject.toml."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    section = text.split("[project.optional-dependencies]")[1].split("\n[")[0]
    assert set(re.findall(r"^([\w-]+) = \[", section, re.MULTILINE)) == set(EXTRAS)


ALONE = ("gpu",)
"""Extras that are resolved by themselves. What resolves all others at once resolves each of them, too."""


@pytest.mark.index
@pytest.mark.parametrize(
    ("extras", "version", "machine"),
    list(itertools.product((set(EXTRAS) - set(ALONE), ALONE), ("3.10", "3.13"), MACHINES)),
    ids=lambda value: value if isinstance(value, str) else "gpu" if value == ALONE else "others",
)
def test_an_extra_resolves(extras: Collection[str], version: str, machine: str, index: None) -> None:
    """On the oldest and the newest Python, on both processors, from wheels."""
    options = ["--quiet", "--python-version", version, "--python-platform", PLATFORM.format(machine)]
    wheels = ["--only-binary", ":all:", *(word for name in FROM_SOURCE for word in ("--no-binary", name))]
    wanted = [word for extra in sorted(extras) for word in ("--extra", extra)]
    found = uv("pip", "compile", *options, *wheels, *wanted, "pyproject.toml")
    if any((extra, version, machine) in WITHOUT_WHEEL for extra in extras):
        assert found.returncode != 0, "there is a wheel now: say so in docs/devices.md"
        assert "onnxruntime-gpu" in found.stderr
    else:
        assert found.returncode == 0, found.stderr
