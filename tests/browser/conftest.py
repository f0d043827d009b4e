"""A real browser on a real viewer: Debian's Chromium, driven by playwright. ``make viewer-check`` runs these.

They are skipped with a line where Chromium or playwright is missing. Nothing is downloaded here.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
AXE = Path(os.environ.get("AXE", "node_modules/axe-core/axe.min.js"))
"""What axe-core's package holds; ``make viewer-check`` puts it there."""


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Return the browser."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed: apt-get install chromium, or name it in CHROMIUM")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def address(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the address of a viewer with parts of three stations, in a process of its own."""
    folder = tmp_path_factory.mktemp("viewer")
    command = [sys.executable, "-m", "tests.browser.plant", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait(30)


class Watched:
    """A page, with what the browser complained of and where it asked."""

    def __init__(self, page: Any, address: str) -> None:
        self.page = page
        self.address = address
        self.complaints: list[str] = []
        self.asked: list[str] = []
        page.on("console", lambda one: self.complaints.append(one.text) if one.type == "error" else None)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda one: self.asked.append(one.url))

    def open(self, path: str) -> Any:
        """Open ``path``, and return the page."""
        self.page.goto(self.address + path, wait_until="load")
        return self.page


@pytest.fixture
def watched(browser: Any, address: str) -> Iterator[Watched]:
    """Return a page of 1440 × 900 in English; at the end it asked nobody else and complained of nothing."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, locale="en-GB")
    made = Watched(context.new_page(), address)
    yield made
    context.close()
    assert not made.complaints
    assert all(one.startswith((address, "data:")) for one in made.asked)
