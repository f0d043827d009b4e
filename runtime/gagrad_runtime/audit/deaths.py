"""Workers that died, by the image at which they did: one at which it happens again and again is left out."""

from __future__ import annotations

from collections import Counter

NOWHERE = -1
"""In place of an image's number: the worker is at no image."""
DEATHS = 3
"""Times that a process has to end at one image before the image is left out; at none, before the run ends."""


class Deaths:
    """The deaths of a run with shards of ``shard`` images and so many ``workers``."""

    def __init__(self, shard: int, workers: int) -> None:
        self._shard, self._workers = shard, workers
        self._counts: Counter[int] = Counter()
        """By image; of ``NOWHERE`` since a shard was last done."""

    def add(self, image: int) -> bool:
        """Count a death at ``image`` or ``NOWHERE``; return whether the run may go on."""
        self._counts[image] += 1
        return image != NOWHERE or self._counts[image] <= DEATHS * self._workers

    def shard_done(self) -> None:
        """Note that workers can make a shard: what ended them before any image has passed."""
        self._counts.pop(NOWHERE, None)

    def given_up(self, number: int) -> frozenset[int]:
        """Return the images of shard ``number`` that are left out."""
        first = number * self._shard
        return frozenset(
            image
            for image, count in self._counts.items()
            if count >= DEATHS and first <= image < first + self._shard
        )
