"""The tests themselves: each states its promise, stays in its room, and leaves the machine alone."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.machine import MACHINE, touched

TESTS = Path(__file__).parents[1]


def test_every_test_states_its_promise() -> None:
    """A docstring says what holds when the test passes; the name alone is too short for that."""
    silent = [
        f"{path.relative_to(TESTS)}::{node.name}"
        for path in sorted(TESTS.rglob("test_*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if node.name.startswith("test_") and not ast.get_docstring(node)
    ]
    assert not silent


@pytest.mark.slow
def test_no_test_imports_the_conftest_of_another_room() -> None:
    """What two rooms share is a module with a name; a conftest belongs to its own folder."""
    strangers = [
        f"{path.relative_to(TESTS)} imports {node.module}"
        for path in sorted(TESTS.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and (node.module or "").endswith(".conftest")
        if TESTS.parent.joinpath(*(node.module or "").split(".")).parent != path.parent
    ]
    assert not strangers


@pytest.mark.parametrize("folder", MACHINE, ids=str)
def test_touching_the_machines_files_is_noticed(folder: Path) -> None:
    """Reading or listing a folder of the device or of the user is refused, and noted for the test's end."""
    for touch in ((folder / "trust.toml").read_bytes, lambda: list(folder.iterdir())):
        with pytest.raises(PermissionError, match="belongs to the machine"):
            touch()
        assert touched.pop().startswith(str(folder))
    assert not touched


def test_a_child_process_has_neither_the_machines_policy_nor_its_home() -> None:
    """A child looks for the policy where the tests say that there is none, and keeps its cache there."""
    code = (
        "from gagrad_runtime.trust import policy; from gagrad_runtime.machine.cache import cache_folder\n"
        "print(policy.DEFAULT, policy.device_policy(), cache_folder('opened'), sep='\\n')"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    default, found, cache = run.stdout.splitlines()
    assert default == os.environ["GAGRAD_EDGE_TESTS_POLICY"]
    assert found == "None"
    assert Path(cache).is_relative_to(os.environ["XDG_CACHE_HOME"])
    assert not [folder for folder in MACHINE if Path(default).is_relative_to(folder)]


@pytest.mark.slow
def test_what_builds_a_plan_is_marked_slow() -> None:
    """Whatever asks TensorRT for a plan stays out of ``make test-fast``."""
    builders = {"tensorrt_refuses", "exported", "build_plan"}
    unmarked = []
    for path in sorted(TESTS.rglob("test_*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if any(
            isinstance(node, ast.Assign) and "pytest.mark.slow" in ast.unparse(node) for node in tree.body
        ):
            continue
        for node in tree.body:
            if not isinstance(node, ast.FunctionDef) or not node.name.startswith("test_"):
                continue
            named = {name.id for name in ast.walk(node) if isinstance(name, ast.Name)}
            named |= {argument.arg for argument in node.args.args}
            marks = {ast.unparse(decorator) for decorator in node.decorator_list}
            if named & builders and "pytest.mark.slow" not in marks:
                unmarked.append(f"{path.relative_to(TESTS)}::{node.name}")
    assert not unmarked
