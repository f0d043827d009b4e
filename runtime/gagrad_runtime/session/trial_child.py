"""The child process of a trial: it opens and runs the graphs that it gets on stdin, and reports on stdout."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from gagrad_edge import errors
from gagrad_edge.abi import Sizes
from gagrad_edge.bundle.bundle import Bundle
from gagrad_edge.bundle.graph_file import GraphFile
from gagrad_edge.errors import GagradError
from gagrad_edge.manifest import GraphKey, GraphRole, decode_manifest
from gagrad_edge.selftest import questions
from gagrad_runtime.backend.graphs import check_ports
from gagrad_runtime.machine.child import die_with_the_parent

if TYPE_CHECKING:
    from collections.abc import Callable

    from gagrad_runtime.backend import Backend

DONE = "done "
"""Beginning of the last line of a trial that passed; the peak of the memory follows."""
PROGRESS = "progress "
STEPS = ("opening ", "running ")
"""Beginnings of the lines in which the child says what it does next."""


def peak_memory(pid: int | str) -> int:
    """Return the most resident memory that a process has had, bytes; 0 where the system does not say."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
    except (OSError, LookupError, ValueError, StopIteration):
        return 0


class Head(msgspec.Struct):
    """The first line that the child gets: what follows, and how long each part is."""

    path: str
    manifest: int
    members: dict[str, int]
    """Members that are there before the first graph: the frame and the stored tensors."""
    graphs: list[tuple[GraphRole, str, int, int]]
    """Role, variant, bytes and largest batch."""


def child() -> None:
    """Open and run the graphs from stdin on the device of the first argument; report each step on stdout."""
    device = sys.argv[1]
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # an engine's own output must not mix with the reports
    die_with_the_parent()

    def report(line: str) -> None:
        answer.write(line + "\n")
        answer.flush()

    from gagrad_runtime.backend import open_backend  # noqa: PLC0415 - the parent does not need it here

    try:
        backend = open_backend(device, threads=1)
        backend.progress = lambda *step: report(PROGRESS + msgspec.json.encode(step).decode())
        _try_graphs(sys.stdin.buffer, backend, report)
    except GagradError as error:
        report(_encoded(error))
        return
    report(f"{DONE}{peak_memory('self')}")
    # Some engines crash when they are closed, which is no fault of the bundle.
    os._exit(0)


def _try_graphs(pipe: Any, backend: Backend, report: Callable[[str], None]) -> None:
    """Open each graph in ``pipe``, and run it on the self-test's frame."""
    from gagrad_runtime.frame.image import prepare  # noqa: PLC0415 - the parent does not need it here
    from gagrad_runtime.session.selftest import reference_frame  # noqa: PLC0415

    head = msgspec.json.decode(pipe.readline(), type=Head)
    manifest_bytes = pipe.read(head.manifest)
    manifest = decode_manifest(manifest_bytes, where=head.path)
    members = {name: pipe.read(size) for name, size in head.members.items()}
    bundle = Bundle(manifest, "", Path(head.path), members)
    image: Any = None
    for role, variant, size, rows in head.graphs:
        graph = f"graph {role!r} {variant}".strip()
        report(f"opening {graph}")
        runner = backend.open(role, GraphFile(pipe.read(size), bundle.weights, head.path), rows)
        check_ports(runner, GraphKey(role, variant), bundle)
        if image is None:
            image, _ = prepare(reference_frame(bundle), manifest.input)
        question = next(
            questions(
                role,
                variant,
                image,
                manifest.output.shape,
                manifest.selftest.target,
                Sizes.of(manifest).features,
            )
        )
        report(f"running {graph}")
        outputs = runner.run({name: backend.upload(array) for name, array in question.inputs.items()})
        for tensor in outputs.values():
            backend.download(tensor)  # which waits for the end of the run
        del runner, outputs  # as one graph after the other is tried, so is its memory counted


class _Refusal(msgspec.Struct):
    """An error on its way to the parent. JSON, not pickle, because the child has read an untrusted bundle."""

    kind: str
    what: str
    where: str | None
    hint: str | None
    choices: list[str]


def _encoded(error: GagradError) -> str:
    found = _Refusal(type(error).__name__, error.what, error.where, error.hint, list(error.choices))
    return msgspec.json.encode(found).decode()


def error_of(line: str) -> GagradError | None:
    """Return the error that ``line`` encodes; None where it encodes none."""
    try:
        found = msgspec.json.decode(line, type=_Refusal)
    except msgspec.DecodeError:
        return None
    kind = getattr(errors, found.kind, None)
    if not (isinstance(kind, type) and issubclass(kind, GagradError)):
        return None
    return kind(found.what, where=found.where, hint=found.hint, choices=found.choices)
