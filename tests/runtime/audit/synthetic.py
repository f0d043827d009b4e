"""A model that costs nothing: what an audit does of itself is tested, and measured, with it."""

from __future__ import annotations

import hashlib
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gagrad_edge.errors import FrameError
from gagrad_runtime.audit.observing import Answer
from gagrad_runtime.explanation.covering import Covering
from gagrad_runtime.explanation.explanation import Explanation, Provenance
from gagrad_runtime.explanation.places import salient_places
from gagrad_runtime.frame import Frame, load_frame
from gagrad_runtime.frame.placement import place
from gagrad_runtime.question.target import Target
from tests.models import build_spec

if TYPE_CHECKING:
    from gagrad_runtime.audit.plan import Asked
    from gagrad_runtime.audit.worker import Opening

SIDE = 32
BROKEN = 100
"""One image in so many is broken."""
BLANK = np.zeros((SIDE, SIDE), np.float32)


class Synthetic:
    """An observer whose answers follow from the path alone: 3 % NG, 1 % broken.

    A path that contains ``slow`` takes 2 ms, ``deadly`` ends the process.
    """

    sha256 = "5" * 64
    bits = 8

    def frame(self, source: str | bytes) -> Frame:
        """Return pixels that follow from the name."""
        assert isinstance(source, str)
        name = Path(source).name
        if "slow" in name:
            time.sleep(0.002)
        if "deadly" in name:
            os.kill(os.getpid(), signal.SIGKILL)
        digest = hashlib.sha256(name.encode()).digest()
        if digest[0] * 256 + digest[1] < 65536 // BROKEN:
            raise FrameError("the file is no image", where=source)
        pixels = np.frombuffer(digest * (SIDE * SIDE // 32), np.uint8).reshape(SIDE, SIDE)
        return load_frame(pixels, name=name)

    def answer(self, frame: Frame) -> Answer:
        """Return an answer that follows from the pixels."""
        ng = int(frame.sha256[20:24], 16) % 33 == 0
        chance = 0.6 + int(frame.sha256[24:28], 16) / 65536 * 0.4
        return Answer("scratch" if ng else "OK", ng, chance, 2 * chance - 1, None, ())

    def explanation(self, frame: Frame) -> Explanation:
        """Return a map of one bright pixel."""
        spec = build_spec(SIDE, SIDE)
        placement = place((SIDE, SIDE), spec)
        row, column = int(frame.sha256[28:30], 16) % SIDE, int(frame.sha256[30:32], 16) % SIDE
        saliency = BLANK.copy()
        saliency[row, column] = 1.0
        return Explanation(
            saliency=saliency,
            places=salient_places(saliency, placement),
            scores=np.array([0.0, 1.0], np.float32),
            probabilities=np.array([0.1, 0.9], np.float32),
            activation="softmax",
            target=Target((1,), "scratch"),
            predicted=Target((1,), "scratch"),
            rcap=None,
            cautions=(),
            provenance=Provenance("synthetic", self.sha256, "none", 4, 0, 0.85, 0.15, 2),
            frame=frame,
            placement=placement,
            covering=Covering("surroundings", 0.9, (0.2,), (True,), (0.9, 0.8), (False, False)),
            classes=("OK", "scratch"),
        )

    def roi_share(self, explanation: Explanation) -> float | None:  # noqa: ARG002 - as the protocol has it
        """Return nothing: there is no region."""
        return None


def open_synthetic(asked: Asked, opening: Opening) -> Synthetic:
    """Return the model, as ``open_bundle`` returns a bundle."""
    return Synthetic()


def dying(asked: Asked, opening: Opening) -> Synthetic:
    """End the process, as a bundle that does not fit into memory does."""
    os.kill(os.getpid(), signal.SIGKILL)
    return Synthetic()


def write_list(folder: Path, images: int, word: str = "slow") -> Path:
    """Write a list of ``images`` paths that exist in name only."""
    path = folder / "list.txt"
    with path.open("w") as stream:  # line by line: memory is measured with it
        stream.writelines(f"{word}-{number:07d}.png\n" for number in range(images))
    return path


DRIVER = "from tests.runtime.audit.synthetic import main; main()"
"""Code of the process that a test kills."""


def main() -> None:
    """Run an audit in a process of its own: FOLDER LIST WORKERS, and ADDRESS for the engine ``ray``."""
    import sys
    from functools import partial

    from gagrad_runtime.audit.cluster import run_ray
    from gagrad_runtime.audit.local import run_local
    from gagrad_runtime.audit.plan import Asked
    from gagrad_runtime.audit.run import run_audit
    from gagrad_runtime.audit.worker import Opening

    folder, listed, workers, *address = sys.argv[1:]
    run_audit(
        Path(folder), [listed], Asked(bundle="none", sha256=Synthetic.sha256), Opening(),
        workers=int(workers), observer=open_synthetic, shard=20,
        engine=partial(run_ray, address=address[0]) if address else run_local,
    )  # fmt: skip
