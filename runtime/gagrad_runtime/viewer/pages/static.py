"""The files of the pages: style, scripts, the Japanese font. All from here, none from elsewhere."""

from __future__ import annotations

from importlib import resources
from typing import Any

from litestar import Request, Response, get

from gagrad_runtime.language.font import FONT

_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".webp": "image/webp",
    ".png": "image/png",
    ".woff2": "font/woff2",
}
_LONG = "public, max-age=31536000, immutable"
"""Of files whose address changes with them."""
_SHORT = "public, max-age=3600"


@get("/static/{path:path}")
async def static(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Answer with one file of the folder ``static``."""
    path = str(request.path_params["path"])
    found = _files().get(path.lstrip("/"))
    if found is None:
        return Response(b"", status_code=404, media_type="text/plain")
    kind, data = found
    kept = _LONG if request.url.query or "vendor/" in path or path.endswith(".woff2") else _SHORT
    return Response(data, media_type=kind, headers={"Cache-Control": kept})


@get("/favicon.ico", include_in_schema=False)
async def favicon() -> Response[bytes]:
    """Answer browsers that ask for a sign without reading the page."""
    return Response(_files()["icon.svg"][1], media_type=_TYPES[".svg"], headers={"Cache-Control": _SHORT})


def _files() -> dict[str, tuple[str, bytes]]:
    """Return every file by its path: there are few, and they are read once."""
    if not _read:
        root = resources.files("gagrad_runtime.viewer") / "static"
        for folder in ("", "vendor", "guide"):
            place = root / folder if folder else root
            for one in place.iterdir() if place.is_dir() else ():
                kind = _TYPES.get(f".{one.name.rpartition('.')[2]}")
                if one.is_file() and kind is not None:
                    _read[f"{folder}/{one.name}".lstrip("/")] = (kind, one.read_bytes())
        _read["font.woff2"] = (_TYPES[".woff2"], FONT.read_bytes())
    return _read


_read: dict[str, tuple[str, bytes]] = {}
