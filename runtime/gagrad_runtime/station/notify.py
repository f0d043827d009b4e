"""Tells systemd how the station fares: ready, alive, stopping (sd_notify(3)).

The watchdog gets its sign only when the loop has come round: a thread that pinged by itself would vouch for a
worker that hangs.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time


class Notifier:
    """Says nothing when systemd did not ask for it."""

    def __init__(self) -> None:
        address = os.environ.get("NOTIFY_SOCKET", "")
        # An address with @ is in the abstract namespace, whose names begin with a zero byte.
        self._address = "\0" + address[1:] if address.startswith("@") else address
        period = os.environ.get("WATCHDOG_USEC", "")
        ours = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        self._interval = int(period) / 1e6 / 3 if period.isdigit() and ours else None
        self._pinged = float("-inf")

    def ready(self) -> None:
        """Say that verdicts are given from now on."""
        self._send("READY=1")

    def progress(self, status: str) -> None:
        """Say that work went on; at most three times in each period of the watchdog."""
        now = time.monotonic()
        if self._interval is not None and now - self._pinged >= self._interval:
            self._pinged = now
            self._send(f"WATCHDOG=1\nSTATUS={status}")

    def stopping(self) -> None:
        """Say that it ends on purpose."""
        self._send("STOPPING=1")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        # A service manager that does not listen is no reason to stop.
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
            one.settimeout(1)
            one.sendto(message.encode(), self._address)
