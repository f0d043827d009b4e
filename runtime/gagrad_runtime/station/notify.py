"""Notifications to systemd: ready, watchdog, stopping (sd_notify(3)).

The watchdog is notified by the thread that does the work. A thread of its own would go on notifying while the
worker hangs.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time


class Notifier:
    """Sends notifications to systemd, and does nothing where systemd did not ask for any."""

    def __init__(self) -> None:
        address = os.environ.get("NOTIFY_SOCKET", "")
        # An address with @ is in the abstract namespace, whose names begin with a zero byte.
        self._address = "\0" + address[1:] if address.startswith("@") else address
        period = os.environ.get("WATCHDOG_USEC", "")
        ours = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        self._interval = int(period) / 1e6 / 3 if period.isdigit() and ours else None
        self._notified = float("-inf")

    def ready(self) -> None:
        """Notify systemd that the station gives verdicts from now on."""
        self._send("READY=1")

    def progress(self, status: str) -> None:
        """Notify the watchdog that the loop made a step, at most three times in each of its periods."""
        now = time.monotonic()
        if self._interval is not None and now - self._notified >= self._interval:
            self._notified = now
            self._send(f"WATCHDOG=1\nSTATUS={status}")

    def stopping(self) -> None:
        """Notify systemd that the station ends on purpose."""
        self._send("STOPPING=1")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        # A service manager that does not listen is no reason to stop the station.
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
            one.settimeout(1)
            one.sendto(message.encode(), self._address)
