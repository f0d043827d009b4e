r"""The one printable form of a text that comes from elsewhere: a bundle, a file's name, an engine's message.

Such a text can hold characters that steer a terminal, end a line and begin a forged one, or turn the writing
direction round. Each is written as Python writes it, ``\x1b``, ``\n`` or ``\u202e``; letters of every script
stay, and so do the spaces and joiners that they need. Terminals, logs, metrics and pages show texts in this
form; JSON has its own escapes for the same characters, so that nothing is lost.

This module imports nothing, so that errors can use it.
"""

from __future__ import annotations

_KEPT = "\u00a0\u200c\u200d\u2009\u202f\u3000"
"""Spaces and joiners of other scripts, which do no harm."""


def printable(text: str) -> str:
    """Return ``text`` on one line, without characters that act on what shows it."""
    if text.isprintable():
        return text
    return "".join(letter if _harmless(letter) else _escaped(letter) for letter in text)


def printable_lines(text: str) -> str:
    """Return ``text`` of our own making, with its line ends, each of its lines in the printable form."""
    return "\n".join(map(printable, text.split("\n")))


def printable_json(text: str) -> str:
    r"""Return the JSON in ``text`` with ``\uXXXX`` for what does not print; it decodes to the same values."""
    return "".join(
        letter if letter == "\n" or _harmless(letter) else _utf16(letter) for letter in text
    )  # such letters stand in strings only


def _harmless(letter: str) -> bool:
    return letter.isprintable() or letter in _KEPT


def _escaped(letter: str) -> str:
    if 0xDC80 <= ord(letter) <= 0xDCFF:  # a byte of a file's name that is no UTF-8
        return f"\\x{ord(letter) - 0xDC00:02x}"
    return letter.encode("unicode_escape").decode("ascii")


def _utf16(letter: str) -> str:
    data = letter.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{data[at : at + 2].hex()}" for at in range(0, len(data), 2))
