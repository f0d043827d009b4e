"""The pages of the viewer: what people see, made on the server, in English and Japanese."""

from __future__ import annotations

from gagrad_runtime.viewer.pages.fleet import fleet
from gagrad_runtime.viewer.pages.frame import frame
from gagrad_runtime.viewer.pages.gallery import gallery
from gagrad_runtime.viewer.pages.history import history
from gagrad_runtime.viewer.pages.live import live, live_stream
from gagrad_runtime.viewer.pages.queue import queue
from gagrad_runtime.viewer.pages.static import static

ROUTES = (live, live_stream, history, gallery, frame, queue, fleet, static)
"""All routes of the pages, for the application."""
