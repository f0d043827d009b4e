"""The programs compared on one network: the forward pass, ``accumulate``, and the peers that users have today."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import peers
from benchmarks.networks import SIZE, Subject
from benchmarks.timing import seconds
from gagrad_edge import abi
from gagrad_export.assemble import accumulate_graph, predict_graph
from gagrad_export.canonicalise import canonicalise
from gagrad_export.settings import input_spec
from gagrad_export.verify.sessions import open_session

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[np.float32]
    Runs = dict[str, Callable[[], object]]

PEERS = ("PyTorch batch", "PyTorch authors", "captum", "onnx-ad", "OpenVINO")
TARGET = 1
SLOW = 15.0
"""A peer that takes more forward passes than this is run less often."""
OURS = ("in turns", "alone")
"""The two ways in which ``accumulate`` is measured, see ``Contest.measure``."""
LIMIT = 90
"""Time limit for a peer to build its graph and run once, in seconds."""
AGREEMENT = 5e-2
"""Largest relative difference of OpenVINO's mean gradient from ours; above 0 because of kinks, as in ``verify``."""


class Contest:
    """The graphs of one network, and its peers."""

    def __init__(self, subject: Subject) -> None:
        canonical = canonicalise(subject.model, size=SIZE)
        spec = input_spec(canonical, mean=[0.5], std=[0.25])
        self.subject = subject
        self.accumulate, _ = accumulate_graph(canonical, spec)
        self.notes: list[str] = []
        """One line for each peer that is left out, with the reason."""
        self._predict = open_session(predict_graph(canonical, spec), "predict")
        self._session = open_session(self.accumulate, "accumulate")
        shape = canonical.input_shape
        cotangent = np.zeros((1, *canonical.score_shape), np.float32)
        cotangent[0, TARGET] = 1
        state = np.zeros(shape, np.float32)
        self._rng = np.random.default_rng(0)
        self._feeds: dict[str, Array] = {
            abi.IMAGE: self._rng.uniform(0, 1, (1, *shape)).astype(np.float32),
            abi.NOISE_STD: np.array(peers.NOISE_STD, np.float32),
            abi.COTANGENT: cotangent,
            abi.COUNT: np.array(0, np.float32),
            **dict.fromkeys((abi.ABS_SUM, abi.MEAN, abi.M2), state),
        }

    def measure(
        self, batch: int, repeats: int, *, peers_too: bool
    ) -> tuple[list[float], dict[str, list[float]]]:
        """Return the seconds of the forward pass, and column → ratios to the forward pass, one per round.

        ``alone``: each graph runs after a run of its own. ``in turns``: forward, accumulate, forward, accumulate;
        ONNX Runtime's threads spin for tens of milliseconds after a run, so two sessions disturb each other.
        """
        samples = self._rng.standard_normal((batch, *self._feeds[abi.IMAGE].shape[1:])).astype(np.float32)
        images = np.repeat(self._feeds[abi.IMAGE], batch, 0)

        def forward() -> object:
            return self._predict.run(None, {abi.IMAGE: images})

        def accumulate() -> object:
            return self._session.run(None, {**self._feeds, abi.NOISE: samples})

        runs = self._peers(samples) if peers_too else {}
        forwards: list[float] = []
        ratios: dict[str, list[float]] = {name: [] for name in (*OURS, *runs)}
        for _ in range(repeats):
            forward()
            forwards.append(seconds(forward))
            accumulate()
            ratios["alone"].append(seconds(accumulate) / forwards[-1])
            forward()
            accumulate()
            in_turn = seconds(forward)
            ratios["in turns"].append(seconds(accumulate) / in_turn)
            for name, run in runs.items():
                if len(ratios[name]) < 3 or statistics.median(ratios[name]) <= SLOW:
                    ratios[name].append(seconds(run) / forwards[-1])
        return forwards, ratios

    def _peers(self, samples: Array) -> Runs:
        """Return the peers that can run the network, each run once; a peer that cannot is left out, with a note."""
        batch, module = len(samples), self.subject.module
        makers: dict[str, Callable[[], peers.Run]] = {
            "onnx-ad": lambda: peers.onnx_ad_graph(self.subject.model, TARGET, batch),
            "OpenVINO": lambda: self._openvino(samples),
        }
        if module is not None:
            makers["PyTorch batch"] = lambda: peers.eager_batch(module, TARGET)
            makers["PyTorch authors"] = lambda: peers.authors_algorithm(module, TARGET)
            makers["captum"] = lambda: peers.captum_noise_tunnel(module, TARGET)
        runs: Runs = {}
        for name, make in makers.items():
            try:
                with peers.time_limit(LIMIT):
                    run = make()
                    run(samples)
            except Exception as error:  # noqa: BLE001 - a peer fails in its own ways
                reason = (str(error).splitlines() or [type(error).__name__])[0][:160]
                self.notes.append(f"{name} on {self.subject.name}, batch {batch}: {reason}")
                print(self.notes[-1], flush=True)
                continue
            runs[name] = lambda run=run: run(samples)  # type: ignore[misc]
        return runs

    def _openvino(self, samples: Array) -> Any:
        """Return the function that runs OpenVINO, if OpenVINO computes the same gradient as ONNX Runtime."""
        run = peers.openvino_graph(self.accumulate.complete(), self._feeds)
        mean = abi.STATE_OUT[abi.MEAN]
        (expected,) = self._session.run([mean], {**self._feeds, abi.NOISE: samples})
        difference = np.linalg.norm(run(samples)[mean] - expected) / np.linalg.norm(expected)
        if not difference <= AGREEMENT:
            raise ArithmeticError(f"its mean gradient differs by {difference:.1g} of ours")
        return run
