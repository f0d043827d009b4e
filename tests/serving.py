"""A running service for tests: the real server, in a thread of this process."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from gagrad_runtime.service.models import Catalogue


class Serving:
    """A service that runs: its address, and the bundles inside it."""

    def __init__(self, address: str, catalogue: Catalogue) -> None:
        self.address = address
        self.catalogue = catalogue

    @property
    def port(self) -> int:
        """The port that it listens at."""
        return int(self.address.rpartition(":")[2])


@contextlib.contextmanager
def serving(bundles: Sequence[Path], **options: Any) -> Iterator[Serving]:
    """Serve ``bundles`` on a free port until the block ends; ``options`` are those of ``run_service``."""
    from gagrad_runtime.service.running import Where, run_service
    from gagrad_runtime.web.server import Stopping

    stopping, started = Stopping(), threading.Event()
    found: list[tuple[Serving, asyncio.AbstractEventLoop]] = []
    failed: list[BaseException] = []

    def ready(address: str, catalogue: Catalogue) -> None:
        found.append((Serving(address, catalogue), asyncio.get_running_loop()))
        started.set()

    def run() -> None:
        try:
            run_service(
                bundles,
                options.pop("where", Where(port=0)),
                device="cpu",
                stopping=stopping,
                ready=ready,
                **options,
            )
        except BaseException as error:  # noqa: BLE001 - raised below, in the test's thread
            failed.append(error)
        started.set()

    thread = threading.Thread(target=run, name="serving")
    thread.start()
    started.wait(60)
    if failed:
        raise failed[0]
    serves, loop = found[0]
    try:
        yield serves
    finally:
        loop.call_soon_threadsafe(stopping.ask)
        thread.join(10)
        assert not thread.is_alive(), "the service does not end"
