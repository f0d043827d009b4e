"""Models: what each served bundle offers, ``NAME.predict``, ``NAME.saliency`` and ``NAME.explain``.

Names, shapes and datatypes are those of the model repository for Triton (docs/triton.md), so that one client
runs against both. What only this service has comes on top: image files and pixels as input, parameters,
record and picture.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from gagrad_edge.abi import BOXES, COTANGENT, IMAGE, SALIENCY, SCORES
from gagrad_edge.errors import GagradError
from gagrad_runtime.report.report import Report
from gagrad_runtime.service.answering import PICTURE, RECORD, TARGET, Answering, Call, Limits
from gagrad_runtime.service.asking import NAMES, Question, question_of
from gagrad_runtime.service.codec import BYTES, answer_of, decoded
from gagrad_runtime.service.frames import FORMS, FRAME, MOST_IMAGES, PIXELS, Frames, form_of
from gagrad_runtime.service.protocol import InferRequest, InferResponse, ModelMetadata, TensorMetadata
from gagrad_runtime.service.refusals import NOT_FOUND, RefusedError, bad, refusal_of
from gagrad_runtime.service.v1 import explanations_of, inputs_of
from gagrad_runtime.service.worker import Done, Ticket, Worker
from gagrad_runtime.session.selftest import reference_frame

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from gagrad_runtime.service.answering import Answered
    from gagrad_runtime.service.codec import Request
    from gagrad_runtime.service.protocol import ExplainRequest
    from gagrad_runtime.session.opening import Session

Verb = Literal["predict", "saliency", "explain"]
VERBS: tuple[Verb, ...] = ("predict", "saliency", "explain")
PLATFORM = "gagrad-edge"
SHORTEST_VERSION = 12
"""Characters of a bundle's hash that are enough for a version."""
_ASKED_FOR = (RECORD, PICTURE)
"""Outputs that take time: they come when they are asked for by name."""
_USUAL: dict[Verb, tuple[str, ...]] = {
    "predict": (SCORES,),
    "saliency": (SALIENCY,),
    "explain": (SCORES, TARGET, SALIENCY),
}
_PARAMETERS: dict[Verb, tuple[str, ...]] = {"predict": ("budget_ms",), "saliency": NAMES, "explain": NAMES}


class Served:
    """One bundle, open on a device, with the worker that runs its models. Close it."""

    def __init__(self, session: Session, queue: int) -> None:
        self._session = session
        self.manifest = session.bundle.manifest
        self.name: str = self.manifest.name
        self.version: str = session.bundle.sha256
        self._frames = Frames(self.manifest.input)
        self._answering = Answering(session.explainer, self._frames)
        self._detects = self.manifest.output.detection is not None
        self.worker = Worker(self.name, queue, session.explainer.rest)

    def close(self) -> None:
        """End the worker and free the engine's memory, unless the engine is still in a long run."""
        if self.worker.close():
            self._frames.close()
            self._session.close()

    def warm_up(self) -> None:
        """Explain the bundle's own frame, so that the first request finds all open: graphs, chunk, fonts."""

        def job(ticket: Ticket) -> Done:
            self._frames.prepare()
            frame = reference_frame(self._session.bundle)
            Report(self._session.explainer.explain(frame, progress=ticket.check)).png()
            return Done(None, 0.0)

        self.worker.submit(job).future.result()

    def metadata(self, verb: Verb) -> ModelMetadata:
        """Return what the model takes and gives, as the protocol has it."""
        image, scores = list(self.manifest.input.shape), list(self.manifest.output.shape)
        channels = self.manifest.input.channels
        inputs = [_fp32(IMAGE, [-1 if verb == "predict" else 1, *image])]
        if verb == "saliency":
            inputs.append(_fp32(COTANGENT, [1, *scores]))
        inputs += [
            TensorMetadata(name=FRAME, datatype=BYTES, shape=[1]),
            TensorMetadata(name=PIXELS, datatype="UINT8", shape=[-1, -1, channels]),
        ]
        known = {
            SCORES: _fp32(SCORES, [-1 if verb == "predict" else 1, *scores]),
            TARGET: TensorMetadata(name=TARGET, datatype="INT64", shape=[1]),
            SALIENCY: _fp32(SALIENCY, image[1:]),
            RECORD: TensorMetadata(name=RECORD, datatype=BYTES, shape=[1]),
            PICTURE: TensorMetadata(name=PICTURE, datatype=BYTES, shape=[1]),
        }
        if self.manifest.output.detection is not None:
            known[BOXES] = _fp32(BOXES, [-1, self.manifest.output.detection.candidates, 4])
        return ModelMetadata(
            name=f"{self.name}.{verb}",
            versions=[self.version],
            platform=PLATFORM,
            inputs=inputs,
            outputs=[known[name] for name in self.outputs(verb)],
        )

    def outputs(self, verb: Verb) -> tuple[str, ...]:
        """Return the names of the outputs of a model."""
        if verb == "predict":
            return (SCORES, *((BOXES,) if self._detects else ()), RECORD)
        return _USUAL[verb] if verb == "saliency" else (*_USUAL[verb], *_ASKED_FOR)

    def check(self, verb: Verb, head: bytes, size: int, arrived: float) -> None:
        """Raise RefusedError when the request that begins with the JSON ``head`` would not be taken.

        ``size`` and ``arrived`` are those of ``infer``. What is wrong in it is found there.
        """
        message = decoded(head, InferRequest)
        given = {name: value for name, value in message.parameters.items() if name in NAMES}
        question = question_of(given, _PARAMETERS[verb])
        form = next((one.name for one in message.inputs if one.name in FORMS), "")
        outputs = tuple(dict.fromkeys(one.name for one in message.outputs))
        kind = _kind(verb, form, outputs, question, size)
        self.worker.check(kind=kind, deadline=_deadline(question, arrived))

    def infer(self, verb: Verb, request: Request, size: int, arrived: float) -> Ticket:
        """Take a request of ``infer`` that came at ``arrived`` with ``size`` bytes, and return its ticket.

        Its future gives the body of the answer and the length of the JSON in it. Raises RefusedError.
        """
        call = self._call(verb, request, size)
        known = self.outputs(verb)
        usual = [name for name in known if name not in _ASKED_FOR]
        wanted = dict(request.outputs) or dict.fromkeys(usual, request.binary)
        head = InferResponse(
            model_name=f"{self.name}.{verb}", model_version=self.version, id=request.id, outputs=[]
        )
        run: Callable[[Call, Limits], Answered] = getattr(self._answering, verb)

        def job(ticket: Ticket) -> Done:
            answered = _answered(run, call, Limits(lambda: ticket.remaining, ticket.check))
            chosen = [(answered.outputs[name], binary) for name, binary in wanted.items()]
            return Done(answer_of(head, chosen), answered.least)

        return self.worker.submit(job, kind=call.kind, deadline=_deadline(call.question, arrived))

    def explain_v1(self, request: ExplainRequest, size: int, arrived: float) -> Ticket:
        """Take a request of version 1's ``:explain``; the ticket's future gives the body of the answer."""
        question = question_of(request.parameters)
        kind = ("v1", len(request.instances), question.samples, question.preset, size.bit_length())
        calls = [
            Call(inputs, form_of(inputs, self.manifest.input), question, (SALIENCY, RECORD), kind)
            for inputs in inputs_of(request)
        ]

        def job(ticket: Ticket) -> Done:
            answers = []
            for number, call in enumerate(calls):
                ticket.check()
                limits = Limits(partial(_share, ticket, len(calls) - number), ticket.check)
                answers.append(_answered(self._answering.explain, call, limits))
            body = msgspec.json.encode(explanations_of(answers, self.version))
            return Done(body, sum(one.least for one in answers))

        return self.worker.submit(job, kind=kind, deadline=_deadline(question, arrived))

    def _call(self, verb: Verb, request: Request, size: int) -> Call:
        """Return the checked call of ``request``. Raises RefusedError."""
        spec, known = self.manifest.input, self.outputs(verb)
        for name in request.outputs:
            if name not in known:
                raise bad("this model has no such output", name[:80], choices=known)
        inputs = [*FORMS, *((COTANGENT,) if verb == "saliency" else ())]
        for name in request.inputs:
            if name not in inputs:
                raise bad("this model has no such input", name[:80], choices=inputs)
        question = question_of(request.parameters, _PARAMETERS[verb])
        form = form_of(request.inputs, spec, MOST_IMAGES if verb == "predict" else 1)
        if COTANGENT in request.inputs:
            self._check_cotangent(request, question)
        wanted = tuple(request.outputs) or _USUAL[verb]
        kind = _kind(verb, form, tuple(request.outputs), question, size)
        return Call(request.inputs, form, question, wanted, kind)

    def _check_cotangent(self, request: Request, question: Question) -> None:
        given, shape = request.inputs[COTANGENT], (1, *self.manifest.output.shape)
        if given.datatype != "FP32" or given.shape != shape:
            raise bad(
                f"it is {given.datatype} {list(given.shape)}", COTANGENT, hint=f"give FP32 {list(shape)}"
            )
        if question.wanted:
            raise bad(
                "the cotangent says already what is explained",
                next(iter(question.wanted)),
                hint=f"leave out the one or the other: {COTANGENT} or the parameter",
            )


class Catalogue:
    """All served bundles. Of two with one name the later is the default version."""

    def __init__(self, served: Sequence[Served]) -> None:
        self.served = tuple(served)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all models."""
        return tuple(dict.fromkeys(f"{one.name}.{verb}" for one in self.served for verb in VERBS))

    def model(self, model: str, version: str | None) -> tuple[Served, Verb]:
        """Return the bundle and the verb of ``NAME.VERB``. Raises RefusedError."""
        name, _, verb = model.rpartition(".")
        if verb not in VERBS:
            raise RefusedError(NOT_FOUND, f"there is no model {model[:80]!r}; there are {_few(self.names)}")
        return self.bundle(name, version), verb

    def bundle(self, name: str, version: str | None = None) -> Served:
        """Return the bundle ``name``. Raises RefusedError."""
        found = [one for one in self.served if one.name == name]
        if not found:
            raise RefusedError(NOT_FOUND, f"there is no model {name[:80]!r}; there are {_few(self.names)}")
        if version is None:
            return found[-1]
        named = [one for one in found if _is_version(version, one.version)]
        if len(named) != 1:
            versions = [one.version for one in found]
            raise RefusedError(
                NOT_FOUND,
                f"{name} has no version {version[:80]!r}; a version is its bundle's hash: {_few(versions)}",
            )
        return named[0]

    def close(self) -> None:
        """Close all."""
        for one in self.served:
            one.close()


def _kind(verb: Verb, form: str, outputs: tuple[str, ...], question: Question, size: int) -> Hashable:
    """Return what tells requests apart that take different times: ``outputs`` are those asked for."""
    wanted = outputs or _USUAL[verb]
    return verb, form, wanted, question.samples, question.preset, size.bit_length()


def _answered(run: Callable[[Call, Limits], Answered], call: Call, limits: Limits) -> Answered:
    """Return what ``run`` gives; an error of ours becomes a refusal."""
    try:
        return run(call, limits)
    except GagradError as error:
        raise refusal_of(error) from error


def _share(ticket: Ticket, instances: int) -> float | None:
    return None if ticket.remaining is None else ticket.remaining / instances


def _deadline(question: Question, arrived: float) -> float | None:
    return None if question.budget_ms is None else arrived + question.budget_ms / 1000


def _is_version(given: str, version: str) -> bool:
    return len(given) >= SHORTEST_VERSION and version.startswith(given.lower())


def _fp32(name: str, shape: list[int]) -> TensorMetadata:
    return TensorMetadata(name=name, datatype="FP32", shape=shape)


def _few(names: Sequence[Any]) -> str:
    return ", ".join(map(str, names[:12])) + (", …" if len(names) > 12 else "")
