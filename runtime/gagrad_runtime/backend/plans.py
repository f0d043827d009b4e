"""Cache of what engines have built on this device: TensorRT's plans, and ONNX Runtime's optimised graphs.

A plan is native code: whoever can place a plan runs code on the device. So plans lie in a folder that only
this user can enter, and each carries a message authentication code under a secret that never leaves the
folder: a plan from another device, or one that was changed on the disk, is built again. The name of a plan is
a hash of everything that the plan depends on.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import logging
import os
import secrets
import stat
from typing import TYPE_CHECKING

from gagrad_edge.atomic import write_atomic
from gagrad_edge.errors import OutputError
from gagrad_runtime.machine.lock import locked
from gagrad_runtime.machine.regular import open_regular

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

_MAC = hashlib.sha256().digest_size
_SECRET = 32
"""Bytes of the secret."""
_MAGIC = b"gagrad-edge plan 1\n"
SUFFIX = ".plan"
"""Of a plan's file."""
_log = logging.getLogger(__name__)


class Plans:
    """A folder of plans. A folder that cannot be used is logged once, and then no plan is stored.

    ``folder`` is None for a user without a home. ``level`` of the log is lower for plans that are made in a
    moment.
    """

    def __init__(self, folder: Path | None, *, level: int = logging.WARNING) -> None:
        self._folder, self._level = folder, level
        self._secret = b""
        try:
            if folder is not None:
                self._secret = _open(folder)
        except OSError as error:
            _log.log(level, "engines are not stored, each start builds them again: %s (%s)", folder, error)
            self._folder = None

    @property
    def folder(self) -> Path | None:
        """Return the folder; None where nothing can be stored."""
        return self._folder

    def path(self, key: str) -> Path | None:
        """Return the file of the plan of ``key``, which may not exist; None where nothing can be stored."""
        return None if self._folder is None else self._folder / f"{key}{SUFFIX}"

    def get(
        self,
        key: str,
        build: Callable[[], bytes],
        good: Callable[[bytes], bool] = lambda _: True,
        *,
        wait: bool = True,
    ) -> bytes:
        """Return the plan of ``key``, built if it is not there. Of two processes at once, only one builds.

        One that is not ``good`` is built again. An error from ``build`` leaves the folder as it was. Plans in
        a read-only folder are used, too. Without ``wait`` BlockingIOError is raised while another process
        builds.
        """
        plan = self.read(key)
        if plan is not None and good(plan):
            return plan
        with self._lock(key, wait=wait):
            plan = self.read(key)
            if plan is None or not good(plan):
                plan = build()
                self.write(key, plan)
        return plan

    def read(self, key: str) -> bytes | None:
        """Return the plan stored under ``key``; None where there is none that this device wrote."""
        path = self.path(key)
        if path is None:
            return None
        try:
            data = _whole(path)
        except FileNotFoundError:
            return None
        except OSError as error:
            _log.log(self._level, "a stored engine cannot be read and is built again: %s (%s)", path, error)
            return None
        code, body = data[len(_MAGIC) : len(_MAGIC) + _MAC], data[len(_MAGIC) + _MAC :]
        if data.startswith(_MAGIC) and hmac.compare_digest(code, self._code(key, body)):
            return body
        _log.log(
            self._level, "a stored engine is damaged or from another device and is built again: %s", path
        )
        return None

    def write(self, key: str, plan: bytes) -> None:
        """Store ``plan`` under ``key``. A failure is logged, and the plan is used all the same."""
        path = self.path(key)
        if path is None:
            return
        try:
            write_atomic(path, [_MAGIC, self._code(key, plan), plan], mode=0o600)
        except OutputError as error:
            _log.log(self._level, "an engine is not stored, the next start builds it again: %s", error)

    def _code(self, key: str, plan: bytes) -> bytes:
        return hmac.digest(self._secret, key.encode() + b"\0" + plan, "sha256")

    def _lock(self, key: str, *, wait: bool) -> AbstractContextManager[object]:
        if self._folder is None or not os.access(self._folder, os.W_OK):
            return contextlib.nullcontext()
        return locked(self._folder / f"{key}.lock", wait=wait, mode=0o600)


def plan_key(data: bytes, *parts: object) -> str:
    """Return the key of the plan of the graph ``data``; ``parts`` are what else the plan depends on."""
    digest = hashlib.sha256(hashlib.sha256(data).digest())
    digest.update("\n".join(str(part) for part in parts).encode())
    return digest.hexdigest()


def _open(folder: Path) -> bytes:
    """Make the folder, or check that no other user can write there; return the secret. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    state = folder.stat()
    owner = getattr(os, "geteuid", lambda: state.st_uid)()  # Windows has no user numbers
    if state.st_uid != owner or state.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise PermissionError("others can write there")
    path = folder / "secret"
    with contextlib.suppress(FileNotFoundError):
        secret = _whole(path)
        if len(secret) == _SECRET:
            return secret
        path.unlink()  # a power cut may have left it empty: the plans are built again
    # Written apart and linked, so that two processes that start at once read the same whole secret.
    own = folder / f".secret.{os.getpid()}.{secrets.token_hex(4)}"
    try:
        with open(own, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as stream:
            stream.write(secrets.token_bytes(_SECRET))
            stream.flush()
            os.fsync(stream.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(own, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            own.unlink()
    return _whole(path)


def _whole(path: Path) -> bytes:
    with open_regular(path) as stream:
        return stream.read()
