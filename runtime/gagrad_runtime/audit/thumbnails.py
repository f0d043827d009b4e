"""Small pictures of the images behind a report's numbers, each once in the page however often it is shown."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import cv2

from gagrad_edge.errors import FrameError
from gagrad_runtime.audit.plan import items_of_shard
from gagrad_runtime.audit.sources import Item, content
from gagrad_runtime.frame import load_frame
from gagrad_runtime.report.html_page import escape
from gagrad_runtime.report.thumbnail import jpeg, small

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from gagrad_runtime.audit.plan import Plan

MOST = 600
"""Pictures of a page; of further images it has the path."""
_SIDE = 96


class Thumbnails:
    """Pictures of images by their row. A picture is a class of the page's style sheet."""

    def __init__(self, folder: Path, plan: Plan) -> None:
        self._folder, self._plan = folder, plan
        self._shards: dict[int, list[Item]] = {}
        self._pictures: dict[int, bytes] = {}
        self._tried: dict[int, None] = {}

    def path(self, row: int) -> str:
        """Return the path of the image."""
        number, index = divmod(row, self._plan.shard)
        if number not in self._shards:
            if len(self._shards) > 50:
                self._shards.clear()
            self._shards[number] = items_of_shard(self._folder, number, self._plan.shard)
        return self._shards[number][index].path

    def html(self, rows: Iterable[int]) -> str:
        """Return the pictures of ``rows`` as markup, with their paths as words."""
        return f'<ul class="images">{"".join(map(self._one, map(int, rows)))}</ul>'

    def style(self) -> str:
        """Return the style sheet that holds the pictures shown so far."""
        coded = {row: base64.b64encode(data).decode() for row, data in self._pictures.items()}
        return "\n".join(
            f'.i{row} {{ background-image: url("data:image/jpeg;base64,{data}"); }}'
            for row, data in coded.items()
        )

    def _one(self, row: int) -> str:
        path = escape(self.path(row))
        if row not in self._tried and len(self._tried) < MOST:
            self._tried[row] = None
            picture = _picture(self.path(row))
            if picture:
                self._pictures[row] = picture
        if row not in self._pictures:
            return f"<li>{path}</li>"
        return f'<li><i class="i{row}" role="img" aria-label="{path}" title="{path}"></i></li>'


def _picture(path: str) -> bytes:
    """Return the image at ``path`` as a small JPEG; nothing where it is gone."""
    try:
        canvas = small(load_frame(content(path)))
    except FrameError:
        return b""
    scale = _SIDE / max(canvas.shape[:2])
    size = (max(round(canvas.shape[1] * scale), 1), max(round(canvas.shape[0] * scale), 1))
    return jpeg(cv2.resize(canvas, size, interpolation=cv2.INTER_AREA))  # type: ignore[arg-type]
