"""The loop of a station: a verdict for each frame at once, explanations in the time that is left.

One thread. While an explanation grows, from 4 samples to 8 to 16 …, the source is looked at after each step,
and new frames get their verdicts in between; so a verdict waits for half an explanation at most.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
import time
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from gagrad_edge.atomic import make_folder
from gagrad_edge.errors import GagradError, InputError, ModelError, OutputError
from gagrad_runtime.frame import load_frame
from gagrad_runtime.station.folder import content_hash, printable
from gagrad_runtime.station.store import stem_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from gagrad_runtime.explainer import Explainer
    from gagrad_runtime.explanation import Explanation
    from gagrad_runtime.frame import Frame
    from gagrad_runtime.station.folder import Folder
    from gagrad_runtime.station.rule import Rule
    from gagrad_runtime.station.store import State, Store

_log = logging.getLogger(__name__)


@dataclass
class Watch:
    """One station at work."""

    explainer: Explainer
    source: Folder
    store: Store
    rule: Rule
    settings: dict[str, Any] = field(default_factory=dict)
    queue: int = 20
    """Frames that may wait for their explanation; beyond it the oldest is dropped."""
    keep: int | None = None
    """Explanations to keep."""
    size: int | None = None
    """Bytes that they may take."""
    interval: float = 0.5
    """Seconds between looks at an idle source."""
    told: Callable[[dict[str, object]], None] = lambda _: None
    """Gets one event for each verdict and each end of an explanation, behind its row."""
    stopping: bool = False
    degraded: bool = False
    """Whether results could not be stored the last time."""
    _waiting: deque[tuple[int, Frame]] = field(default_factory=deque, init=False)

    def run(self, *, once: bool = False) -> None:
        """Work until ``stopping``, or, with ``once``, until nothing new comes. Raises DeviceError."""
        self._resume()
        idle = 0
        while not self.stopping:
            busy = self._verdicts() or self._explain()
            if busy:
                idle = 0
                continue
            idle += 1
            if once and idle > 2:
                return
            time.sleep(self.interval)

    def _resume(self) -> None:
        """Take up again what waited when the last run ended, as far as the frames are still there."""
        for row in self.store.rows("waiting"):
            path = self.source.path / row.name
            try:
                if content_hash(path) == row.sha256:
                    self._enqueue(row.id, load_frame(path))
                    continue
            except InputError as error:
                _log.debug("%s", error)
            self._settle(row.id, "dropped", reason="its image was gone before it was explained")

    def _verdicts(self) -> bool:
        """Give each new frame its verdict; whether there were any."""
        try:
            paths = self.source.look()
        except InputError as error:
            _log.warning("%s", error)  # a share that is away comes back
            return False
        for path in paths:
            if self.stopping:
                break
            self._frame(path)
        return bool(paths)

    def _frame(self, path: Path) -> None:
        try:
            sha256 = content_hash(path)
            if self.store.has(printable(path), sha256):
                return
            frame = load_frame(path)
        except InputError as error:
            self._quarantine(path, error)
            return
        try:
            seen = self.explainer.verdict(frame)
        except ModelError as error:  # scores that are no numbers: this frame's affair, not the station's
            self._refused(path, sha256, "failed", error)
            return
        verdict, probability = str(seen.target), seen.probability
        wanted = self.rule.wants(verdict, probability, time.monotonic())
        number = self._stored(
            lambda: self.store.add(
                printable(path),
                sha256,
                _now(),
                state="waiting" if wanted else "verdict",
                verdict=verdict,
                probability=probability,
            )
        )
        self.told(
            {
                "event": "verdict",
                "id": number,
                "file": printable(path),
                "verdict": verdict,
                "probability": probability,
            }
        )
        if wanted and number is not None:
            self._enqueue(number, frame)

    def _enqueue(self, number: int, frame: Frame) -> None:
        self._waiting.append((number, frame))
        if len(self._waiting) > self.queue:
            oldest, _ = self._waiting.popleft()
            self._settle(oldest, "dropped", reason=f"more than {self.queue} frames were waiting")

    def _explain(self) -> bool:
        """Explain the next frame that waits, verdicts going before each step; whether there was one."""
        if not self._waiting:
            return False
        number, frame = self._waiting.popleft()
        explanation: Explanation | None = None
        try:
            for better in self.explainer.refine(frame, **self.settings):
                explanation = better
                self._verdicts()
                if self.stopping:
                    break
        except (InputError, ModelError) as error:
            self._settle(number, "failed", reason=error.what)
            return True
        if explanation is not None:
            self._keep(number, frame, explanation)
        return True

    def _keep(self, number: int, frame: Frame, explanation: Explanation) -> None:
        stem = stem_of(number, frame.name)

        def save() -> None:
            explanation.save(self.store.folder, stem=stem, raw=())
            self.store.settle(number, "explained", stem=stem, size=self.store.files_size(stem))

        try:
            try:
                save()
            except OutputError:
                # Room is made once, by a tenth; a disk that somebody else fills is not ours to empty.
                kept = len(self.store.rows("explained"))
                self.store.prune(keep=max(0, kept - max(1, kept // 10)))
                save()
        except OutputError as error:
            self._degrade(error)
            self._settle(number, "dropped", reason="it could not be stored")
            return
        if self.degraded:
            _log.warning("results are stored again")
        self.degraded = False
        self._stored(lambda: self.store.prune(keep=self.keep, size=self.size))
        self.told({"event": "explained", "id": number, "file": frame.name, "record": f"{stem}.json"})

    def _settle(self, number: int, state: State, *, reason: str) -> None:
        self._stored(lambda: self.store.settle(number, state, reason=reason))
        self.told({"event": state, "id": number, "reason": reason})

    def _quarantine(self, path: Path, error: GagradError) -> None:
        """Keep a copy of what is no image, with the reason beside it, and go on."""
        folder = self.store.folder / "quarantine"
        with contextlib.suppress(OSError, OutputError):
            make_folder(folder)
            shutil.copyfile(path, folder / path.name)
            (folder / f"{path.name}.txt").write_text(f"{error}\n", encoding="utf-8")
        try:
            sha256 = content_hash(path)
        except InputError:
            sha256 = "unreadable"
        if not self.store.has(printable(path), sha256):
            self._refused(path, sha256, "quarantined", error)

    def _refused(self, path: Path, sha256: str, state: State, error: GagradError) -> None:
        name = printable(path)
        number = self._stored(lambda: self.store.add(name, sha256, _now(), state=state, reason=error.what))
        self.told({"event": state, "id": number, "file": name, "reason": error.what})

    def _stored(self, write: Callable[[], int | None]) -> int | None:
        """Write, or go on without: a full disk must not stop the verdicts."""
        try:
            return write()
        except OutputError as error:
            self._degrade(error)
            return None

    def _degrade(self, error: OutputError) -> None:
        if not self.degraded:
            _log.warning("results are not stored until this is mended: %s", error)
        self.degraded = True


def _now() -> str:
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
