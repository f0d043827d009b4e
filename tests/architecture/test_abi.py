"""The names of the graphs' inputs and outputs are spelled in ``gagrad_edge/abi.py`` and nowhere else."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from gagrad_edge import abi
from gagrad_edge.abi import ABI, PERTURBED, graph_abi

ROOT = Path(__file__).parents[2]
HOME = "gagrad_edge/abi.py"
SOURCES = sorted(
    path.relative_to(ROOT).as_posix()
    for folder in ("gagrad_edge", "export/gagrad_export", "runtime/gagrad_runtime")
    for path in (ROOT / folder).rglob("*.py")
)
NAMES = {
    name
    for graph in (*ABI.values(), graph_abi("accumulate", PERTURBED))
    for name in (*graph.inputs, *graph.outputs)
}

A_SETTING = "a setting of the method, by the name that the caller and the manifest give it"
A_ROLE = "the role of a graph, not its output of the same name"
ALLOWED = {
    ("runtime/gagrad_runtime/commands/evaluate.py", "image"): "the noun of a count",
    ("runtime/gagrad_runtime/commands/audit.py", "image"): "the noun of a count",
    ("runtime/gagrad_runtime/commands/clusters.py", "image"): "the noun of a count",
    ("runtime/gagrad_runtime/commands/queue.py", "image"): "the noun of a count",
    ("runtime/gagrad_runtime/audit/queue_folder.py", "image"): "the name of a file that has none",
    ("runtime/gagrad_runtime/audit/queue_folder.py", "maps"): "a folder's name",
    ("runtime/gagrad_runtime/labels/fiftyone.py", "image"): "a kind of media of FiftyOne",
    ("runtime/gagrad_runtime/labels/fiftyone.py", "saliency"): "a field of FiftyOne's samples",
    ("runtime/gagrad_runtime/labels/fiftyone.py", "range"): "a field of FiftyOne's heat maps",
    ("runtime/gagrad_runtime/audit/forecast.py", "image"): "the noun of a count",
    ("runtime/gagrad_runtime/audit/page.py", "image"): "a picture of a page's template",
    ("runtime/gagrad_runtime/audit/page.py", "maps"): "a value of a page's template",
    ("runtime/gagrad_runtime/audit/clusters_page.py", "image"): "a picture of a page's template",
    ("runtime/gagrad_runtime/viewer/pages/rendering.py", "count"): "a function of templates",
    ("gagrad_edge/summary.py", "image"): "the noun of a count",
    ("runtime/gagrad_runtime/viewer/frames.py", "ratio"): "the field of the record",
    ("runtime/gagrad_runtime/labels/reading.py", "image"): "a name of CVAT and Label Studio",
    ("runtime/gagrad_runtime/labels/writing.py", "image"): "a name of Label Studio",
    ("runtime/gagrad_runtime/service/models.py", "saliency"): "a model of the service",
    ("runtime/gagrad_runtime/session/work.py", "cotangent"): "the parameter of Explainer.saliency",
    ("runtime/gagrad_runtime/question/target.py", "cotangent"): "the parameter of Explainer.saliency",
    ("gagrad_edge/manifest.py", "maps"): A_ROLE,
    ("gagrad_edge/selftest.py", "maps"): A_ROLE,
    ("export/gagrad_export/assemble/maps.py", "maps"): A_ROLE,
    ("export/gagrad_export/assemble/bundle_graphs.py", "maps"): A_ROLE,
    ("runtime/gagrad_runtime/sampling/saliency.py", "maps"): A_ROLE,
    ("runtime/gagrad_runtime/backend/graphs.py", "maps"): A_ROLE,
    ("gagrad_edge/input.py", "mean"): "the field of InputSpec that an error names",
    ("runtime/gagrad_runtime/jobs/feeding.py", "mean"): "the field of InputSpec",
    ("runtime/gagrad_runtime/question/settings.py", "percentile"): A_SETTING,
    ("runtime/gagrad_runtime/question/settings.py", "noise_std"): A_SETTING,
    ("runtime/gagrad_runtime/commands/options.py", "percentile"): A_SETTING,
    ("runtime/gagrad_runtime/commands/options.py", "noise_std"): A_SETTING,
    ("export/gagrad_export/commands.py", "percentile"): A_SETTING,
    ("export/gagrad_export/commands.py", "noise_std"): A_SETTING,
    ("export/gagrad_export/preprocessing/files.py", "mean"): "the key of timm's configuration",
    ("export/gagrad_export/preprocessing/torchvision.py", "mean"): "the setting of torchvision's preset",
    ("export/gagrad_export/settings.py", "mean"): "the parameter of export() that an error names",
    ("runtime/gagrad_runtime/commands/calibrate.py", "percentile"): A_SETTING,
    ("runtime/gagrad_runtime/commands/calibrate.py", "noise_std"): A_SETTING,
    ("runtime/gagrad_runtime/station/condition.py", "count"): "the word of a condition",
    ("runtime/gagrad_runtime/commands/inspect.py", "image"): "the option that an error names",
    ("runtime/gagrad_runtime/evaluate/table.py", "mean"): "the average of a column",
    ("runtime/gagrad_runtime/evaluate/page.py", "image"): "the column of a table that names the test image",
    ("runtime/gagrad_runtime/session/work.py", "scores"): "a word of the message about NaN",
    ("export/gagrad_export/canonicalise/interface/image.py", "image"): "a prefix for the names of new nodes",
    (
        "export/gagrad_export/canonicalise/interface/ports.py",
        "scores",
    ): "a name for a model's output without one",
}


def spelled(source: str) -> set[str]:
    """Return the names of ports that ``source`` spells as string literals, docstrings left out."""
    tree = ast.parse(source)
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and node.value in NAMES and id(node) not in prose
    }


def test_the_names_are_the_abi() -> None:
    """The table holds every role, and the names that design.md gives for version 1."""
    assert {"image", "noise", "noise_std", "cotangent", "perturbation", "percentile"} <= NAMES
    assert {"count", "abs_sum", "mean", "m2", "count_out", "first_m2", "second_count"} <= NAMES
    assert {"scores", "saliency", "range", "times", "maps", "recovered", "ratio", "cams"} <= NAMES


@pytest.mark.slow
def test_no_other_file_spells_a_port() -> None:
    """Other files import the names; a literal that is something else is in ALLOWED, with what it is."""
    files = [path for path in SOURCES if path != HOME]
    there = {(path, name) for path in files for name in spelled((ROOT / path).read_text(encoding="utf-8"))}
    assert not there - set(ALLOWED), "import the name from gagrad_edge.abi"


@pytest.mark.parametrize(
    "source",
    [
        'runner.run({"abs_sum": x})',
        'outputs["saliency"]',
        'add_input(op, "noise", [1])',
        'STATE = ("count", "m2")',
        'f"{graph}"; print("cams" + suffix)',
        'getattr(state, "m2")',
    ],
)
def test_the_search_finds_a_port(source: str) -> None:
    """As key, subscript, argument or element: the search is not empty."""
    assert spelled(source)


def test_prose_is_no_port() -> None:
    """A docstring, an attribute and a field of the same name are not literals of a port."""
    assert not spelled('"""noise"""\ndef f(mean):\n    """scores"""\n    return state.abs_sum + mean')


def test_every_name_is_a_constant() -> None:
    """Each port has a constant, or is in one of the mappings from the state's names."""
    constants = {value for name, value in vars(abi).items() if name.isupper() and isinstance(value, str)}
    derived = {*abi.STATE_OUT.values(), *abi.FIRST.values(), *abi.SECOND.values()}
    assert constants | derived >= NAMES
