"""All routes of the pages, for the application."""

from __future__ import annotations

from gagrad_runtime.viewer.pages.fleet import fleet
from gagrad_runtime.viewer.pages.frame import frame
from gagrad_runtime.viewer.pages.gallery import gallery
from gagrad_runtime.viewer.pages.guide import guide
from gagrad_runtime.viewer.pages.history import history
from gagrad_runtime.viewer.pages.labelling import bring, give, undo
from gagrad_runtime.viewer.pages.live import live, live_stream
from gagrad_runtime.viewer.pages.notices import failed, login_page
from gagrad_runtime.viewer.pages.queue import queue
from gagrad_runtime.viewer.pages.static import favicon, static

__all__ = ["HANDLERS", "failed"]

HANDLERS = (
    live,
    live_stream,
    history,
    gallery,
    frame,
    queue,
    fleet,
    guide,
    give,
    undo,
    bring,
    login_page,
    static,
    favicon,
)
