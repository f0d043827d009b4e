"""The description that a package index shows: the README without pictures and relative links.

Everything else about the package stands in pyproject.toml. An index shows the description away from the
repository: a relative link is broken there, and an absolute one needs a public host, which this repository
does not have yet. So links become the names of files, all of which the source archive (sdist) holds.
"""

from __future__ import annotations

import re
from pathlib import Path

from setuptools import setup

_PICTURE = re.compile(r"^!\[[^\]]*\]\([^)]*\)\n+", re.MULTILINE)
_RELATIVE_LINK = re.compile(r"\[([^\]]+)\]\((?![a-z]+:)([^)]+)\)")
_NOTE = "Files that are named here, such as docs/cli.md, are in the source archive.\n"


def index_description(readme: str) -> str:
    """Return the Markdown text ``readme`` with nothing that only works inside the repository."""
    text = _RELATIVE_LINK.sub(_name, _PICTURE.sub("", readme))
    return f"{text}\n{_NOTE}"


def _name(link: re.Match[str]) -> str:
    label, file = link.groups()
    return label if label.strip("`") == file else f"{label} ({file})"


setup(
    long_description=index_description(Path(__file__).with_name("README.md").read_text(encoding="utf-8")),
    long_description_content_type="text/markdown",
)
