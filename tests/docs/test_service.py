"""docs/service.md: its commands and programs run as written, against the real service."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from gagrad_runtime.service.asking import Question
from gagrad_runtime.service.intake import JSON_BYTES, SECONDS
from gagrad_runtime.service.running import CONNECTIONS, LARGEST_MB, QUEUE
from tests.serving import Serving, serving

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def page(root: Path) -> str:
    return (root / "docs" / "service.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def served(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """Return a service of the demo's classifier, made by the command that the demo runs."""
    from gagrad_edge.cli import run
    from gagrad_runtime.jobs.demonstrating import DEMOS, INPUT

    demo = next(one for one in DEMOS if one.name == "classifier")
    data, bundle = root / "gagrad_edge" / "demo", tmp_path_factory.mktemp("served") / "classifier.gagrad"
    classes = [] if demo.classes is None else ["--classes", str(data / demo.classes)]
    assert run(["export", str(data / demo.model), "-o", str(bundle), *INPUT, *classes, *demo.options]) == 0
    with serving([bundle]) as found:
        yield found


@pytest.fixture
def folder(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Enter a folder with a part, as the page's reader has."""
    shutil.copy(
        root / "gagrad_edge" / "demo" / "samples" / "5-scratch-cast-iron-mono.png", tmp_path / "part.png"
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def blocks(page: str, language: str, served: Serving) -> list[str]:
    """Return the page's blocks with the port of ``served``."""
    found = [body for kind, body in BLOCK.findall(page) if kind == language]
    return [body.replace("127.0.0.1:8000", f"127.0.0.1:{served.port}") for body in found]


def test_limits_are_those_of_the_program(page: str) -> None:
    """Every parameter has a row, and the figures are the program's."""
    for name in Question.__struct_fields__:
        assert f"`{name}`" in page
    assert f"`--queue` requests wait ({QUEUE})" in page
    assert f"`--max-mb` MiB ({LARGEST_MB})" in page
    assert f"at most {JSON_BYTES >> 20} MiB of it are JSON" in page
    assert f"its body {SECONDS:.0f} seconds" in page
    assert f"At most {CONNECTIONS} connections" in page


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("curl"), reason="there is no curl")
def test_the_commands_of_curl_run(page: str, served: Serving, folder: Path) -> None:
    """They print the metadata, and leave a record with a picture and an explanation of version 1."""
    said = ""
    for block in blocks(page, "sh", served):
        said += subprocess.run(["bash", "-ec", block], capture_output=True, text=True, check=True).stdout
    assert json.loads(said)["name"] == "classifier.explain"
    record, picture = json.loads((folder / "answer.json").read_text(encoding="utf-8"))["outputs"]
    assert json.loads(record["data"][0])["predicted"]["name"] == "scratch"
    assert picture["name"] == "picture"
    (one,) = json.loads((folder / "explanations.json").read_text(encoding="utf-8"))["explanations"]
    assert one["record"]["predicted"]["name"] == "scratch"


@pytest.mark.slow
def test_the_program_in_python_runs(page: str, served: Serving, folder: Path) -> None:
    """With the standard library and numpy alone."""
    _, alone = blocks(page, "python", served)
    names: dict[str, object] = {}
    exec(compile(alone, "docs/service.md", "exec"), names)  # noqa: S102 - our own page
    saliency, record = names["saliency"], names["record"]
    assert isinstance(saliency, np.ndarray)
    assert saliency.max() == 1
    assert isinstance(record, dict)
    assert record["predicted"]["name"] == "scratch"


@pytest.mark.slow
def test_the_program_with_tritonclient_runs(page: str, served: Serving) -> None:
    """NVIDIA's own client; skipped where what it needs is not installed (``make viewer-check``)."""
    try:
        import tritonclient.http  # noqa: F401
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"tritonclient cannot be imported: {error}")
    with_client, _ = blocks(page, "python", served)
    names: dict[str, object] = {}
    exec(compile(with_client, "docs/service.md", "exec"), names)  # noqa: S102 - our own page
    saliency = names["saliency"]
    assert isinstance(saliency, np.ndarray)
    assert saliency.shape == (224, 224)
