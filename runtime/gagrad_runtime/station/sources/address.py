"""Addresses of cameras, and their form for people: without user name, password and the query's values."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit, urlunsplit

SCHEMES = ("rtsp", "rtsps", "http", "https", "rtmp", "srt", "udp", "tcp")


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
