"""Every error that a user of gagrad-edge can meet, in one tree.

A message has three parts: what happened, where (file, node, parameter), and how to mend it; where there is a
set of valid choices, the message lists them. A parameter is named as a caller in Python knows it:
``where="output_name"``, or several as ``where="mean, std"``; within the other parts in backticks, ``"choose
another with `output_name`"``. The command line writes its options instead (``gagrad_edge.cli.message``).

The class decides the exit code of the command line:

====  =======================================================================
code  meaning
====  =======================================================================
0     done
1     done, but a map failed its region of interest (``--roi-fail-exit`` only), or a
      model still does what was called bad (``audit --assert``)
2     wrong usage: an option or argument (click uses the same code)
3     bad input: a frame or a target
4     bad bundle or model
5     device or backend: a missing backend, or results that cannot be written
6     done, but too few images to tell whether a model does it (``audit --assert``)
70    a defect of gagrad-edge: any other exception; its traceback is on stderr
130   interrupted (Ctrl-C); nothing half-written stays behind
====  =======================================================================

This module imports nothing but ``printable``, so that any module can raise from it at no cost.
"""

from __future__ import annotations

from gagrad_edge.printable import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_SET_IN = "\n    "
"""Begins a line of our own inside a message, such as a command to run."""
FAILED = 1
"""Exit code where all went well, and what was checked failed."""

UNCLEAR = 6
"""Exit code where all went well, and too little is there to tell whether what was checked failed."""

DEFECT = 70
"""Exit code for an exception that is none of these; ``EX_SOFTWARE`` of sysexits.h."""

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it: 128 and the number of SIGINT."""

INTERRUPTED_LINE = "Interrupted: nothing half-written was left behind."
"""What is said then, on a line of its own behind the ^C that the terminal writes."""


class GagradError(Exception):
    """Base of all errors: ``what`` happened, ``where``, a ``hint`` that mends it, valid ``choices``."""

    exit_code = DEFECT
    """Each kind below has a code of its own; this one is never raised by itself."""

    def __init__(
        self, what: str, *, where: str | None = None, hint: str | None = None, choices: Sequence[str] = ()
    ) -> None:
        self.what = what
        self.where = where
        self.hint = hint
        self.choices = tuple(choices)
        super().__init__(str(self))

    def __str__(self) -> str:
        parts = [f"{self.where}: {self.what}" if self.where else self.what]
        if self.hint:
            parts.append(f"  How to mend it: {self.hint}")
        if self.choices:
            parts.append(f"  Valid choices: {', '.join(self.choices)}")
        return "\n".join(map(_printable, parts))

    def __reduce__(self) -> tuple[object, ...]:
        # Exceptions cross process borders by pickling; the keyword-only fields would be lost.
        return (_rebuild, (type(self), self.what, self.where, self.hint, self.choices))


def _printable(part: str) -> str:
    """Return a part of a message in the printable form; lines that are set in stay lines.

    A foreign text can begin such a line too, but no line that looks like an error or an answer of its own.
    """
    return _SET_IN.join(map(printable, part.split(_SET_IN)))


def _rebuild(
    kind: type[GagradError], what: str, where: str | None, hint: str | None, choices: tuple[str, ...]
) -> GagradError:
    return kind(what, where=where, hint=hint, choices=choices)


class SettingError(GagradError):
    """A setting is out of its range or contradicts another."""

    exit_code = 2


class InputError(GagradError):
    """What the user asked about cannot be used: a frame or a target."""

    exit_code = 3


class FrameError(InputError):
    """A frame is missing, unreadable, too large or of a kind the bundle cannot take."""


class TargetError(InputError):
    """The target does not exist in this model's output."""


class RoiError(InputError):
    """A region of interest or a mask is unreadable, empty or of another size than the frame."""


class BundleError(GagradError):
    """A bundle is damaged, not in canonical form, or of a format this version cannot read."""

    exit_code = 4


class TrustError(BundleError):
    """This device may not load the bundle: not signed as its policy asks, rolled back, or expired."""


class ModelError(GagradError):
    """The model cannot be loaded, differentiated, run or trusted."""

    exit_code = 4


class UnsupportedOperatorError(ModelError):
    """An operator on the path from input to score has no differentiation rule."""


class VerificationError(ModelError):
    """A graph was built but its numbers are wrong, so it is not packaged."""


class DeviceError(GagradError):
    """The machine cannot do it: no such backend or device, or a failure inside one."""

    exit_code = 5


class OutOfMemoryError(DeviceError):
    """An engine could not get the memory for a run; a smaller chunk may pass."""


class MissingPackageError(DeviceError):
    """An optional package is not installed; the hint is the line that installs it."""


class OutputError(GagradError):
    """Results cannot be written: no permission, no space, a folder in the way."""

    exit_code = 5
