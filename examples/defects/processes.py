"""Processes that draw parts, one for each core."""

from __future__ import annotations

from multiprocessing import get_context
from typing import TYPE_CHECKING

import cv2

if TYPE_CHECKING:
    from multiprocessing.pool import Pool


def drawing_processes() -> Pool:
    """Return a pool of processes, each with one thread of OpenCV.

    They are spawned: a forked process waits for ever for OpenCV's threads, which stay behind in its parent.
    """
    return get_context("spawn").Pool(initializer=cv2.setNumThreads, initargs=(1,))
