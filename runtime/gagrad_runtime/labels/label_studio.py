"""What Label Studio needs beside the tasks: how it shows them, and where its images are."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

if TYPE_CHECKING:
    from collections.abc import Sequence

CONFIG = "label-studio.config.xml"
"""Its labelling interface, to be pasted into the project's settings."""


def address(path: str) -> str:
    """Return the address of a file at ``path``, relative to the root of Label Studio's local files."""
    return f"/data/local-files/?d={quote(path)}"


def config(classes: Sequence[str]) -> bytes:
    """Return the interface: image and map side by side, why it is asked, a choice, and boxes."""
    choices = "".join(f"    <Choice value={quoteattr(name)}/>\n" for name in classes)
    labels = "".join(f"    <Label value={quoteattr(name)}/>\n" for name in classes)
    return (
        '<View>\n  <View style="display: flex">\n'
        '    <Image name="image" value="$image"/>\n    <Image name="heat" value="$map"/>\n  </View>\n'
        '  <Text name="reason" value="$why"/>\n'
        f'  <Choices name="label" toName="image">\n{choices}  </Choices>\n'
        f'  <RectangleLabels name="box" toName="image">\n{labels}  </RectangleLabels>\n</View>\n'
    ).encode()
