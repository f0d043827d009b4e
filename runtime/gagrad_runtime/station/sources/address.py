"""Addresses of cameras, and their form for people: without user name, password and the query's values."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from gagrad_edge.errors import SettingError

VIDEOS = {".mp4", ".mkv", ".avi", ".mov", ".webm", ".m4v", ".ts", ".mpg", ".mpeg", ".wmv", ".mjpeg"}
"""Endings of video files."""
SCHEMES = ("rtsp", "rtsps", "http", "https", "rtmp", "srt", "udp", "tcp")


_HINT = "give a folder of images, a video file, or the address of a camera"


def check_source(source: str) -> None:
    """Raise SettingError when ``source`` is nothing that frames can come from, now or later.

    A folder that does not exist is right: its share may not be mounted yet.
    """
    try:
        _check(source, Path(source))
    except (OSError, ValueError) as error:  # e.g. a name that is too long for the system
        raise SettingError(
            f"this cannot be a path ({getattr(error, 'strerror', None) or error})", where="source", hint=_HINT
        ) from error


def _check(source: str, path: Path) -> None:
    if "://" in source:
        if not is_address(source):
            scheme = source.partition("://")[0]
            raise SettingError(
                f"frames cannot come from {scheme}://",
                where="source",
                hint="cameras at USB and others without an address: let their software write images to a "
                "folder, or serve the stream by RTSP or HTTP",
                choices=[f"{scheme}://" for scheme in SCHEMES],
            )
        try:
            parts = urlsplit(source)
            # Of the others an address without a host means that the station listens: udp://@:5000.
            usable = parts.port != 0 and bool(parts.hostname or parts.scheme in ("udp", "tcp", "srt"))
        except ValueError:
            usable = False
        if not usable:  # without the address, which may hold a password
            raise SettingError("the address cannot be used", where="source", hint="rtsp://host:port/path")
    elif path.is_dir() or path.suffix.lower() in VIDEOS:
        return
    elif path.exists() or path.parts[:2] == ("/", "dev"):
        what = "a file, and no video" if path.is_file() else "a device"
        raise SettingError(f"this is {what}", where=f"source: {source}", hint=_HINT)
    elif any(character in source for character in "*?[") or _is_number(path.name):
        what = "the number of a device" if _is_number(path.name) else "a pattern of names"
        raise SettingError(f"{what} is no source", where=f"source: {source}", hint=_HINT)


def _is_number(name: str) -> bool:
    """Return whether ``name`` is a camera's number, and not e.g. the folder of a day."""
    return name.isdecimal() and len(name) < 3


def is_address(text: str) -> bool:
    """Return whether ``text`` is a camera's address and not a path."""
    return text.split("://", 1)[0].lower() in SCHEMES and "://" in text


def shown(address: str) -> str:
    """Return ``address`` without its secrets."""
    parts = urlsplit(address)
    host = parts.netloc.rpartition("@")[2]
    query = "&".join(f"{name}=…" for name, _ in parse_qsl(parts.query, keep_blank_values=True))
    return urlunsplit((parts.scheme, host, parts.path, query, ""))


def host_of(address: str) -> str:
    """Return the host, for the names of frames."""
    return urlsplit(address).hostname or "camera"
