"""The threads of numpy's matrix library, which is OpenBLAS in its wheels for Linux."""

from __future__ import annotations

import os


def one_blas_thread() -> None:
    """Let numpy start no threads for matrices; call it before numpy is imported.

    A thread that OpenBLAS starts looks for work for a while, on a core that the engine's threads want: 0.19 s
    of processor time in each start on two cores. Our own products of matrices are small. A user's setting is
    kept, and child processes get it, too.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
