"""Arena: one memory for the activations of all graphs on the CPU, which can be given back.

By default each session of ONNX Runtime has an arena of its own, which keeps what its largest run has taken.
The graphs of a bundle run one after the other, so one arena serves them all, and a run of any of them can
give back what is free in it. See docs/adr/0042-one-arena.md.
"""

from __future__ import annotations

import logging
import threading
from typing import Any

SHARED = "session.use_env_allocators"
"""Option of a session that takes its memory from the shared arena."""
GIVE_BACK, WHERE = "memory.enable_memory_arena_shrinkage", "cpu:0"
"""Option of a run after which the arena gives back what is free, and its value."""
_DEFAULT = -1
_lock = threading.Lock()
_made: bool | None = None
_log = logging.getLogger(__name__)


def make_shared(ort: Any) -> bool:
    """Make the arena of this process, once, with the module ``onnxruntime``.

    Return whether there is one: an onnxruntime may lack it, or the program has set up another.
    """
    global _made  # noqa: PLW0603 - ONNX Runtime has one for the process, too
    with _lock:
        if _made is None:
            _made = _make(ort)
        return _made


def _make(ort: Any) -> bool:
    try:
        place = ort.OrtMemoryInfo("Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT)
        ort.create_and_register_allocator(place, ort.OrtArenaCfg(0, _DEFAULT, _DEFAULT, _DEFAULT))
    except Exception as error:  # noqa: BLE001 - its errors have no common base; each session has its own then
        _log.debug("no shared arena: %s", error)
        return False
    return True
