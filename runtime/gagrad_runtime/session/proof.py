"""What an engine has proven of a bundle on this device, remembered for a week.

The canary takes as long as several explanations, and its result follows from the bundle, the engine, its
version, the device and its driver. So an engine that has passed is asked two questions at the next start, and
all of them when anything of that changed, or after a week: what changes on a machine is not always told by a
version.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from gagrad_edge import __version__
from gagrad_runtime.backend.plans import Plans, plan_key
from gagrad_runtime.machine.cache import cache_folder
from gagrad_runtime.machine.processor import processor_kind

if TYPE_CHECKING:
    from gagrad_edge.bundle.bundle import Bundle
    from gagrad_runtime.backend import Backend

WEEK = 7 * 24 * 3600.0
"""Seconds for which a proof holds."""


class Proof:
    """The proof of ``bundle`` on the engine ``backend``."""

    def __init__(self, bundle: Bundle, backend: Backend) -> None:
        self._kept = Plans(cache_folder("proven"), level=logging.DEBUG)
        parts = backend.setup, backend.computes_in, processor_kind(), __version__
        self._key = plan_key(bundle.sha256.encode(), *parts)

    def holds(self) -> bool:
        """Tell whether the engine passed all of the canary within the last week."""
        found = self._kept.read(self._key)
        return found is not None and found.isdigit() and 0 <= time.time() - int(found) <= WEEK

    def keep(self) -> None:
        """Remember that the engine has passed now."""
        self._kept.write(self._key, str(int(time.time())).encode())
