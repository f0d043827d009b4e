"""The page for an address where nothing is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gagrad_runtime.viewer.pages.rendering import page

if TYPE_CHECKING:
    from litestar import Request, Response


def nothing_there(request: Request[Any, Any, Any]) -> Response[str]:
    """Return the page that says so: the frame was removed to make room, or never was."""
    return page(request, "missing.html", "missing", status=404)
