"""``export``: load → canonicalise → differentiate → assemble → lower → verify → package."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import tempfile
import time
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from gagrad_edge.abi import FEATURES
from gagrad_edge.atomic import make_folder
from gagrad_edge.bundle.bundle import SUFFIX, read_bundle
from gagrad_edge.checking import checker, read_checks, require_labels
from gagrad_edge.errors import SettingError, VerificationError
from gagrad_edge.source_date import creation_time
from gagrad_edge.summary import agreement
from gagrad_export.arrange import Arranged, Wishes, arrange, stated
from gagrad_export.assemble import bundle_graphs
from gagrad_export.assemble.bundle_graphs import activation_graphs
from gagrad_export.assemble.feature_layer import choose_feature_layers
from gagrad_export.canonicalise import canonicalise
from gagrad_export.channels import channel_count
from gagrad_export.load import Source, load_onnx_file
from gagrad_export.load.exported_program import archive_kind
from gagrad_export.load.randomised import randomised
from gagrad_export.options import BundleOptions, InputOptions, OutputOptions, TorchFactory, is_reference
from gagrad_export.package import package
from gagrad_export.preprocessing import ultralytics_recipe, with_preprocessing
from gagrad_export.preprocessing.recipe import completed
from gagrad_export.settings import (
    check_precisions,
    checked_method,
    class_names,
    input_spec,
    output_names,
    output_spec,
)
from gagrad_export.verify import scores_on_frames, verify
from gagrad_export.verify.noise import guessed_noise
from gagrad_export.verify.probe import probe_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import onnx
    import torch

    from gagrad_edge.bundle.graph_file import GraphFile
    from gagrad_edge.checking import Labelled, Tried
    from gagrad_edge.manifest import Checked, GraphKey, Manifest, MethodSpec
    from gagrad_export.arrange import Stated
    from gagrad_export.arrange.stated import Classes
    from gagrad_export.assemble.feature_layer import FeatureChoice
    from gagrad_export.canonicalise import Canonical
    from gagrad_export.preprocessing import Preprocessing
    from gagrad_export.verify.checks import Verified

STAGES = ("load", "canonicalise", "differentiate", "verify", "check", "package")


@dataclass(frozen=True)
class ExportReport:
    """What an export wrote, and what that took."""

    path: Path
    manifest: Manifest = field(repr=False)
    size: int
    """Bytes of the bundle."""
    model_size: int
    """Bytes of the model as ONNX."""
    lowered: dict[str, int]
    """Number of nodes that were rewritten for speed or for compilers, by the rewrite's name."""
    seconds: dict[str, float]
    """Wall time of each of ``STAGES`` that ran."""


def export(
    model: str | Path | TorchFactory | torch.nn.Module | torch.export.ExportedProgram,
    path: str | Path,
    *,
    size: tuple[int, int] | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    classes: Sequence[str] | str | Path | None = None,
    inputs: InputOptions = InputOptions(),  # noqa: B008 - frozen, as are the next two
    outputs: OutputOptions = OutputOptions(),  # noqa: B008
    bundle: BundleOptions = BundleOptions(),  # noqa: B008
    progress: Callable[[str], None] | None = None,
) -> ExportReport:
    """Compile ``model`` and its input gradients into a bundle at ``path``, and return what was done.

    ``model`` is the path of an ``.onnx`` file, a ``torch.nn.Module``, which is left as it was, or
    ``"package.module:factory"``, a function that returns a module; ``TorchFactory`` adds its weights. Or it
    is a ``torch.export.ExportedProgram``, or the path of the ``.pt2`` file that holds one.
    ``size`` is (height, width) of the model's images, and may be left out where the ONNX model or the program
    fixes it.
    ``mean`` and ``std`` are one number for each channel, or one for all, in pixel values 0..1; by default the
    model gets pixel values as they are. ``classes`` is a list of names in the order of the model's scores, or
    a text file with one name on each line.

    ``inputs``, ``outputs`` and ``bundle`` hold what is needed less often: how frames become the model's
    input, which output is explained and how its scores are read, what the bundle holds and must answer.
    ``progress`` is called with the name of each stage (``STAGES``) as the stage begins.

    Raises SettingError, ModelError (UnsupportedOperatorError, VerificationError), MissingPackageError and
    OutputError; then nothing is written.
    """
    path = _bundle_path(path)
    method = checked_method(bundle.method)
    check_precisions(bundle.precisions, bundle.targets)
    labelled = read_checks(bundle.check)
    creation_time()  # a wrong SOURCE_DATE_EPOCH is found before the work, not behind it
    make_folder(path.parent)
    clock = _Clock(progress)

    automatic, preprocessing = inputs.preprocessing is None, inputs.preprocessing
    inputs, size, mean, std, fed = with_preprocessing(inputs, size, mean, std)
    clock.start("load")
    channels = channel_count(inputs.channels)
    source = _load(model, size=size, channels=1 if inputs.colour == "mono" else channels or 3)
    own = _own_recipe(source) if automatic else None
    if own is not None:
        inputs, size, mean, std = completed(own, inputs, size, mean, std)
        fed = own.note
    if bundle.randomize is not None:
        source = randomised(source, bundle.randomize)
    clock.start("canonicalise")
    told = stated(model, _metadata(source), preprocessing)
    arranged, canonical = _canonical(
        source.model, inputs, outputs, classes, size=size, channels=channels, told=told
    )
    source = replace(source, model=arranged.model)
    if bundle.randomize is not None:
        note = f"the weights are shuffled (seed {bundle.randomize}): a test of explanations, no model"
        canonical = replace(canonical, notes=(*canonical.notes, note))
    check_precisions(bundle.precisions, bundle.targets, straight_through=canonical.straight_through)
    spec = input_spec(canonical, inputs, mean=mean, std=std)
    classes, named = _classes(classes, own, told, arranged, canonical.score_shape[0])
    names = output_names(canonical, classes, arranged)
    chosen = choose_feature_layers(canonical, bundle.feature_layer)
    clock.start("differentiate")
    graphs, lowered = bundle_graphs(
        canonical,
        spec,
        method,
        feature_layers=chosen.layers,
        finer_feature_layer=chosen.finer,
        targets=bundle.targets,
        precisions=bundle.precisions,
        perturbations=bundle.perturbations,
    )
    _return_freed_memory()
    clock.start("verify")
    # A wrong reading is refused before the proofs, which take longer.
    output, evidence = output_spec(
        canonical,
        outputs,
        arranged,
        names=names,
        scores=lambda: scores_on_frames(graphs, spec),
        stated=told,
    )
    if labelled:
        require_labels(labelled, output)
    method = msgspec.structs.replace(method, operator=guessed_noise(graphs, spec))
    check = partial(
        verify,
        source=source,
        model=canonical,
        spec=spec,
        method=method,
        output=output,
        feature_layers=chosen.layers,
        layout=arranged.layout,
        maps_asked_for=bundle.feature_layer != "auto",
        bfloat16="bfloat16" in bundle.precisions,
    )
    activations = partial(activation_graphs, canonical, spec)
    verified, graphs, chosen = _verified(check, graphs, chosen, activations)
    write = partial(
        package,
        name=bundle.name or path.stem,
        source=source,
        model=canonical,
        graphs=graphs,
        verified=verified,
        spec=spec,
        output=output,
        feature_layers=chosen.layers,
        finer_feature_layer=chosen.finer,
        notes=[
            note
            for note in (
                fed,
                *arranged.notes,
                *told.notes,
                named,
                evidence,
                "" if len(chosen.layers) == 1 else chosen.why,
            )
            if note
        ],
    )
    if labelled:
        clock.start("check")
    method, checked = _measured(write, path.parent, method, labelled, bundle.check_at_least)
    clock.start("package")
    manifest = write(path, method=method, checked=checked)
    clock.stop()
    return ExportReport(
        path=path,
        manifest=manifest,
        size=path.stat().st_size,
        model_size=source.model.ByteSize(),
        lowered=lowered,
        seconds=clock.seconds,
    )


def _verified(
    check: Callable[..., Verified],
    graphs: dict[GraphKey, GraphFile],
    chosen: FeatureChoice,
    activations: Callable[..., dict[GraphKey, GraphFile]],
) -> tuple[Verified, dict[GraphKey, GraphFile], FeatureChoice]:
    """Return the evidence of ``check``, and graphs and layers without the maps that it could not confirm.

    Where those of the finer layer could not be, ``activations`` makes the graphs without, which is rare.
    """
    verified = check(graphs, finer_feature_layer=chosen.finer)
    if verified.without_finer:
        note, chosen = verified.without_finer, replace(chosen, finer=None)
        graphs = {**_without_activations(graphs), **activations(chosen.layers)}
        verified = check(graphs)
        verified = replace(verified, notes=(*verified.notes, note))
    if verified.without_sharing:
        graphs = {key: one for key, one in graphs.items() if key.variant != FEATURES}
        answers = tuple(one for one in verified.answers if one.variant != FEATURES)
        verified = replace(verified, answers=answers, notes=(*verified.notes, verified.without_sharing))
    if verified.without_maps:
        graphs = _without_activations(graphs)
        chosen = replace(chosen, layers=(), finer=None, why=verified.without_maps)
    return verified, graphs, chosen


def _without_activations(graphs: Mapping[GraphKey, GraphFile]) -> dict[GraphKey, GraphFile]:
    return {key: one for key, one in graphs.items() if key.role != "cam" and key.variant != FEATURES}


def _canonical(
    model: onnx.ModelProto,
    inputs: InputOptions,
    outputs: OutputOptions,
    classes: Sequence[str] | str | Path | None,
    *,
    size: tuple[int, int] | None,
    channels: int | None,
    told: Stated,
) -> tuple[Arranged, Canonical]:
    """Return the model in the form of its task, and its canonical form with what ``predict`` gives beside."""
    wishes = Wishes(
        outputs.task or ("detection" if outputs.layout is not None else None),
        outputs.output_name,
        outputs.layout,
        classes,
        outputs.blank,
        outputs.threshold,
        outputs.map_threshold,
        len(class_names(classes)) or None,
    )
    ports: dict[str, Any] = {
        "size": size,
        "channels": channels,
        "input_name": inputs.input_name,
        "fixed": inputs.fixed,
    }
    arranged = arrange(model, wishes, lambda: probe_of(model, stated=told.metadata, **ports))

    def canonical_of(output_name: str | None, *, split: bool = True) -> Canonical:
        return canonicalise(arranged.model, output_name=output_name, split=split, **ports)

    beside = {name: canonical_of(output, split=False) for name, output in arranged.beside.items()}
    canonical = replace(canonical_of(arranged.output_name), beside=beside)
    if arranged.task is not None:  # then the evidence says which outputs are used
        known = {f"output {value.name} is ignored" for value in arranged.model.graph.output}
        canonical = replace(canonical, notes=tuple(note for note in canonical.notes if note not in known))
    return arranged, canonical


def _classes(
    classes: Classes, own: Preprocessing | None, told: Stated, arranged: Arranged, scores: int
) -> tuple[Classes, str]:
    """Return the class names, and what to say of them: the user's, the recipe's, or those that are stated."""
    if classes is None and own is not None and len(own.classes) == scores:
        return own.classes, ""
    return told.classes(classes, arranged, scores)


def _bundle_path(path: str | Path) -> Path:
    """Return ``path`` if it has the ending of a bundle. Raises SettingError."""
    path = Path(path)
    if path.suffix != SUFFIX:
        raise SettingError(
            f"a bundle's name ends in {SUFFIX}",
            where=str(path),
            hint=f"write to {path.stem or 'part'}{SUFFIX}",
        )
    return path


def _own_recipe(source: Source) -> Preprocessing | None:
    """Return what the model's file says of its input; None where it says nothing."""
    return ultralytics_recipe(_metadata(source))


def _metadata(source: Source) -> dict[str, str]:
    return {entry.key: entry.value for entry in source.model.metadata_props}


def _measured(
    write: Callable[..., object],
    beside: Path,
    method: MethodSpec,
    labelled: Sequence[Labelled],
    at_least: float,
) -> tuple[MethodSpec, Checked | None]:
    """Return ``method`` with the noise of the preset ``operator``, and how ``labelled`` images are answered.

    The noise is measured where there are images, else it stays the guess that ``method`` has. Raises
    VerificationError where fewer are answered as labelled than ``at_least``.
    """
    if not labelled:
        return method, None
    tried = _check(partial(write, method=method), beside, labelled, at_least)
    return msgspec.structs.replace(method, operator=tried.noise), tried.checked


def _check(
    write: Callable[[Path], object], beside: Path, labelled: Sequence[Labelled], at_least: float
) -> Tried:
    """Return what images say of the bundle that ``write`` writes; it lies in the folder ``beside`` meanwhile.

    Raises VerificationError below ``at_least``.
    """
    check = checker()
    with tempfile.TemporaryDirectory(dir=beside, prefix=".check-") as folder:
        path = Path(folder) / f"checked{SUFFIX}"
        write(path)
        tried = check(read_bundle(path), labelled, at_least=at_least, progress=lambda *_: None)
    if tried.checked.passed:
        return tried
    first, *others = agreement(tried.checked)
    raise VerificationError(
        "\n    ".join((f"{first}, so the bundle is not written", *others)),
        where="check",
        hint="correct how the pictures are fed, or the labels; `check_at_least` asks for less",
    )


def _load(
    model: str | Path | TorchFactory | torch.nn.Module | torch.export.ExportedProgram,
    *,
    size: tuple[int, int] | None,
    channels: int,
) -> Source:
    """Return the model as ONNX, with autograd through it where ``model`` is of torch."""
    if isinstance(model, str) and is_reference(model):
        model = TorchFactory(model)
    if isinstance(model, (str, Path)) and archive_kind(Path(model)) is None:
        return load_onnx_file(model)
    from gagrad_export.load.torch_module import (  # noqa: PLC0415 - torch is needed for torch models only
        load_torch,
    )

    return load_torch(
        model.reference if isinstance(model, TorchFactory) else model,
        weights=model.weights if isinstance(model, TorchFactory) else None,
        size=size,
        channels=channels,
    )


def _return_freed_memory() -> None:
    """Return memory that canonicalising and differentiating no longer use: verification needs the most.

    Discarded graphs hold references to themselves, so only the garbage collector frees them; and glibc keeps
    freed blocks of up to 32 MB for itself, together six times the weights of ResNet-50.
    """
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):  # not glibc
        ctypes.CDLL(None).malloc_trim(0)


class _Clock:
    """Wall time of each stage in seconds; calls ``progress`` with the name of each stage as it begins."""

    def __init__(self, progress: Callable[[str], None] | None) -> None:
        self.seconds: dict[str, float] = {}
        self._progress = progress
        self._stage: tuple[str, float] | None = None

    def start(self, stage: str) -> None:
        """End the running stage, if there is one, and begin ``stage``."""
        self.stop()
        self._stage = (stage, time.perf_counter())
        if self._progress is not None:
            self._progress(stage)

    def stop(self) -> None:
        """End the running stage."""
        if self._stage is not None:
            stage, began = self._stage
            self.seconds[stage] = round(time.perf_counter() - began, 3)
            self._stage = None
