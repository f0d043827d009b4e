"""``export``: load → canonicalise → differentiate → assemble → lower → verify → package."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import re
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from gagrad_edge.atomic import make_folder
from gagrad_edge.bundle.bundle import SUFFIX
from gagrad_edge.errors import ModelError, SettingError
from gagrad_edge.manifest import Activation, Bayer, Colour, GraphTarget, Manifest, MethodSpec, Resize
from gagrad_edge.source_date import creation_time
from gagrad_export.assemble import bundle_graphs
from gagrad_export.assemble.feature_layer import choose_feature_layer
from gagrad_export.canonicalise import canonicalise
from gagrad_export.load import Source, load_onnx_file
from gagrad_export.load.randomised import randomised
from gagrad_export.package import package
from gagrad_export.settings import check_precisions, input_spec, output_spec
from gagrad_export.verify import verify

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import ArrayLike

STAGES = ("load", "canonicalise", "differentiate", "verify", "package")


@dataclass(frozen=True)
class ExportReport:
    """What an export did."""

    path: Path
    manifest: Manifest
    size: int
    """Bytes of the bundle."""
    model_size: int
    """Bytes of the model as ONNX."""
    lowered: dict[str, int]
    """Operators of the gradient, and those that compilers refuse, that were lowered, by name."""
    seconds: dict[str, float]
    """Wall time per stage."""


def export(
    model: Any,
    path: str | Path,
    *,
    size: tuple[int, int] | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    colour: Colour | None = None,
    resize: Resize = "stretch",
    bit_depth: int = 16,
    bayer: Bayer | None = None,
    classes: Sequence[str] | str | Path | None = None,
    activation: Activation | None = None,
    weights: str | Path | None = None,
    input_name: str | None = None,
    output_name: str | None = None,
    fixed: Mapping[str, ArrayLike] | None = None,
    randomize: int | None = None,
    name: str | None = None,
    method: MethodSpec | None = None,
    targets: Sequence[GraphTarget] = (),
    precisions: Sequence[str] = (),
    feature_layer: str | None = "auto",
    perturbations: bool = False,
    progress: Callable[[str], None] | None = None,
) -> ExportReport:
    """Compile ``model`` and its input gradients into a bundle at ``path``.

    ``model`` is the path of an ``.onnx`` file, ``"package.module:factory"`` (with ``weights``, a state
    dict), a ``torch.nn.Module`` or a ``torch.export.ExportedProgram``. ``size`` is (height, width) and may
    be left out when the ONNX model fixes it. ``mean`` and ``std`` are per channel in pixel values 0..1; by
    default the model gets pixel values as they are. ``bayer`` is the pattern of raw mono frames (``rggb``,
    …). ``classes`` is a list or a text file, one name a line.
    ``fixed`` gives a constant for each input that is not the image, by its name.
    ``targets`` are engines whose forms of the gradient the bundle holds beside the portable ones.
    ``precisions`` are those that the bundle holds the model and its gradient in beside float32: ``float16``.
    ``feature_layer`` is where class activation maps (Grad-CAM) are taken: ``auto``, the name of a value or
    node of the canonical model, or None for none. ``perturbations`` adds the gradient for copies that are
    also shifted, turned, defocused and so on (``gagrad_edge.method.perturbation``). ``randomize`` is the seed
    for shuffled weights, for the parameter randomisation test of ``evaluate``.
    ``activation`` says how scores become probabilities; by default it is found or inferred. ``progress`` is
    called with the name of each stage as it begins.

    Raises SettingError, ModelError (UnsupportedOperatorError, VerificationError), MissingPackageError and
    OutputError; then nothing is written.
    """
    path = Path(path)
    if path.suffix != SUFFIX:
        raise SettingError(
            f"a bundle's name ends in {SUFFIX}",
            where=str(path),
            hint=f"give -o {path.stem or 'part'}{SUFFIX}",
        )
    check_precisions(precisions)
    creation_time()  # a wrong SOURCE_DATE_EPOCH is found before the work, not behind it
    make_folder(path.parent)
    clock = _Clock(progress)
    method = method or MethodSpec()

    clock.start("load")
    source = _load(model, weights=weights, size=size, channels=1 if colour == "mono" else 3)
    if randomize is not None:
        source = randomised(source, randomize)
    clock.start("canonicalise")
    canonical = canonicalise(
        source.model, size=size, input_name=input_name, output_name=output_name, fixed=fixed
    )
    if randomize is not None:
        note = f"the weights are shuffled (seed {randomize}): a test of explanations, no model"
        canonical = replace(canonical, notes=(*canonical.notes, note))
    check_precisions(precisions, straight_through=canonical.straight_through)
    spec = input_spec(
        canonical, mean=mean, std=std, colour=colour, resize=resize, bit_depth=bit_depth, bayer=bayer
    )
    output = output_spec(canonical, activation=activation, classes=classes)
    layer, without_layer = choose_feature_layer(canonical, feature_layer)
    clock.start("differentiate")
    graphs, lowered = bundle_graphs(
        canonical,
        spec,
        method,
        feature_layer=layer,
        targets=targets,
        precisions=precisions,
        perturbations=perturbations,
    )
    _return_freed_memory()
    clock.start("verify")
    verified = verify(graphs, source, canonical, spec, method, layer)
    clock.start("package")
    manifest = package(
        path,
        name=name or path.stem,
        source=source,
        model=canonical,
        graphs=graphs,
        verified=verified,
        spec=spec,
        output=output,
        method=method,
        feature_layer=layer,
        notes=[without_layer] if without_layer else [],
    )
    clock.stop()
    return ExportReport(
        path=path,
        manifest=manifest,
        size=path.stat().st_size,
        model_size=source.model.ByteSize(),
        lowered=lowered,
        seconds=clock.seconds,
    )


def method_spec(**values: float | None) -> MethodSpec:
    """Return the method with ``values`` over its defaults; None keeps a default. Raises SettingError."""
    given = {key: value for key, value in values.items() if value is not None}
    try:
        return msgspec.convert(given, MethodSpec)
    except msgspec.ValidationError as error:
        raise SettingError(str(error), where="method") from error


def _load(model: Any, *, weights: str | Path | None, size: tuple[int, int] | None, channels: int) -> Source:
    is_path = isinstance(model, (str, Path))
    is_factory = (
        isinstance(model, str) and re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*", model) is not None
    )
    if is_path and not is_factory:
        if weights is not None:
            raise SettingError(
                "an ONNX file holds its own weights", where="--weights", hint="leave --weights out"
            )
        return load_onnx_file(model)
    if size is None:
        raise ModelError(
            "a torch model does not say its image size",
            hint="give --size HEIGHT WIDTH",
            where=str(model)[:80],
        )
    from gagrad_export.load.torch_module import (  # noqa: PLC0415 - torch is needed for torch models only
        load_torch_factory,
        load_torch_module,
    )

    shape = (channels, *size)
    if is_factory:
        return load_torch_factory(model, weights=weights, input_shape=shape)
    return load_torch_module(model, name=type(model).__name__, input_shape=shape)


def _return_freed_memory() -> None:
    """Give back what canonicalising and differentiating left: verification needs the most memory.

    Discarded graphs point to themselves, and glibc keeps freed blocks of up to 32 MB: six times the weights
    of ResNet-50.
    """
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)


class _Clock:
    """Wall time per stage, and the caller told when one begins."""

    def __init__(self, progress: Callable[[str], None] | None) -> None:
        self.seconds: dict[str, float] = {}
        self._progress = progress
        self._stage: tuple[str, float] | None = None

    def start(self, stage: str) -> None:
        """End the running stage and begin ``stage``."""
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
