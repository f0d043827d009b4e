"""``gagrad-edge queue``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from gagrad_edge.cli import Command, say
from gagrad_edge.errors import SettingError
from gagrad_runtime.commands.options import decider, lang_option, trust_option
from gagrad_runtime.language import listed, phrase, phrases, plural, shown

if TYPE_CHECKING:
    from gagrad_runtime.audit.answers import Taken

_FILE = click.Path(path_type=Path)


@click.command(cls=Command, section="explain", short_help="Choose which images to label next.")
@click.argument("audit", type=_FILE)
@click.option("-n", "--number", type=click.IntRange(1), default=200, show_default=True, help="How many.")
@click.option("-o", "--output", type=_FILE, help="Folder for the queue.  [default: AUDIT/queue]")
@click.option(
    "--labelled",
    type=_FILE,
    multiple=True,
    metavar="CSV",
    help="Leave out the images of this list, which have a label; it has a column sha256.",
)
@click.option("--bundle", type=_FILE, help="The bundle.  [default: where the audit found it]")
@click.option(
    "--answers",
    type=_FILE,
    metavar="FILE",
    help="Instead take the labels in this file of another tool into the queue's labels.csv.",
)
@click.option("--who", metavar="NAME", help="With --answers: who gave them.  [default: the user]")
@trust_option
@lang_option
def queue(
    audit: Path,
    number: int,
    output: Path | None,
    labelled: tuple[Path, ...],
    bundle: Path | None,
    answers: Path | None,
    who: str | None,
    trust: Path | None,
) -> int:
    """Choose the images of AUDIT from which a model would learn most, and write them for people to label.

    AUDIT is the folder of a finished audit. Images come first of which the model is not sure, whose samples
    disagree, whose place decides nothing, whose map lies outside the region of interest, and that are unlike
    the others; each next one is unlike those before it, and duplicates are out. The folder has the images
    with their maps, and the files that CVAT, COCO tools, Label Studio and FiftyOne read.

    Example: gagrad-edge queue audit/ -n 200
    """
    folder = output or audit / "queue"
    if answers is not None:
        from gagrad_runtime.audit.answers import LABELS, take_answers  # noqa: PLC0415 - --help stays fast

        _say_taken(take_answers(folder, answers, decider(who)), folder / LABELS)
        return 0
    if who is not None:
        raise SettingError("no answers are taken", where="who", hint="give their file with `answers`")
    from gagrad_runtime.audit.queue_of_audit import make_queue  # noqa: PLC0415 - --help stays fast
    from gagrad_runtime.jobs.progress import Progress  # noqa: PLC0415

    with Progress("images") as progress:
        made = make_queue(
            audit, folder, wanted=number, bundle=bundle, known=labelled, trust=trust, progress=progress
        )
    if made.missing:
        gone = plural(
            "{count} image gone or changed and left out, such as {path}",
            "{count} images gone or changed and left out, such as {path}",
            len(made.missing),
            path=made.missing[0],
        )
        say(gone, err=True)
    count = len(made.queue.images)
    said = plural("{count} image to label", "{count} images to label", count)
    if count < number:
        said = plural(
            "{count} image to label of {number}: the others are duplicates, have a label, or do not exist",
            "{count} images to label of {number}: the others are duplicates, have a label, or do not exist",
            count,
            number=number,
        )
    say(f"{said} → {folder}", err=True)
    return 0


def _say_taken(taken: Taken, labels: Path) -> None:
    """Say what came of a file with answers, which are in ``labels`` now."""
    if taken.unknown:
        unknown = plural(
            "{count} image not in the queue, such as {name}",
            "{count} images not in the queue, such as {name}",
            len(taken.unknown),
            name=taken.unknown[0],
        )
        say(unknown, err=True)
    said = [phrases("{count} label from {form}", "{count} labels from {form}", taken.given, form=taken.form)]
    if taken.there:
        said.append(phrase("{count} there already", count=taken.there))
    if taken.replaced:
        said.append(phrase("{count} of before replaced", count=taken.replaced))
    say(f"{shown(listed(said))} → {labels}", err=True)
