"""The bill of materials of a kit, in CycloneDX 1.6 (https://cyclonedx.org/docs/1.6/json/).

Names, versions, hashes, licences and the dependency graph are read from the wheels in the kit, not from an
index.
"""

from __future__ import annotations

import uuid
import zipfile
from email.parser import HeaderParser
from typing import TYPE_CHECKING, Any

from gagrad_edge.errors import MissingPackageError
from gagrad_edge.source_date import creation_time

if TYPE_CHECKING:
    from collections.abc import Sequence
    from email.message import Message

    from gagrad_export.kit.platforms import Platform
    from gagrad_export.kit.wheels import Wheel

_NAMESPACE = uuid.UUID("6e1b1c9e-6f55-5c8e-9d1a-2a1f2f0c7d11")


def bill_of_materials(wheels: Sequence[Wheel], platform: Platform, bundle: dict[str, str]) -> bytes:
    """Return the bill of materials as JSON. ``bundle`` has the keys ``name``, ``version`` and ``sha256``.

    The same kit gives the same bytes when ``SOURCE_DATE_EPOCH`` is set. Raises
    MissingPackageError.
    """
    try:
        from cyclonedx.model import HashAlgorithm, HashType  # noqa: PLC0415 - of the workstation's extra
        from cyclonedx.model.bom import Bom  # noqa: PLC0415
        from cyclonedx.model.component import Component, ComponentType  # noqa: PLC0415
        from cyclonedx.output.json import JsonV1Dot6  # noqa: PLC0415
    except ImportError as error:
        hint = 'pip install "gagrad-edge[pack]"'
        raise MissingPackageError(f"a bill of materials needs cyclonedx ({error})", hint=hint) from error
    metadata = {wheel.name: _metadata(wheel) for wheel in wheels}
    parts = {wheel.name: _component(wheel, metadata[wheel.name]) for wheel in wheels}
    model = Component(
        type=ComponentType.MACHINE_LEARNING_MODEL,
        name=bundle["name"],
        version=bundle["version"],
        bom_ref=f"bundle:{bundle['sha256']}",
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=bundle["sha256"])],
    )
    root = Component(
        type=ComponentType.APPLICATION,
        name=f"gagrad-edge kit: {bundle['name']} for {platform.name}",
        version=bundle["version"],
        bom_ref="kit",
    )
    bom = Bom(components=[*parts.values(), model])
    bom.metadata.component = root
    bom.metadata.timestamp = creation_time()
    content = "\n".join([platform.name, bundle["sha256"], *(wheel.sha256 for wheel in wheels)])
    bom.serial_number = uuid.uuid5(_NAMESPACE, content)
    bom.register_dependency(root, [parts["gagrad-edge"], parts["pip"], model])
    for name, part in parts.items():
        needed = _needs(metadata[name], platform, platform.extras if name == "gagrad-edge" else ())
        bom.register_dependency(part, [parts[other] for other in sorted(needed) if other in parts])
    return JsonV1Dot6(bom).output_as_string(indent=1).encode() + b"\n"


def _component(wheel: Wheel, metadata: Message) -> Any:
    from cyclonedx.model import HashAlgorithm, HashType  # noqa: PLC0415
    from cyclonedx.model.component import Component, ComponentType  # noqa: PLC0415
    from packageurl import PackageURL  # noqa: PLC0415

    return Component(
        type=ComponentType.LIBRARY,
        name=wheel.name,
        version=wheel.version,
        bom_ref=f"pkg:{wheel.name}",
        purl=PackageURL("pypi", None, wheel.name, wheel.version),
        description=metadata.get("Summary"),
        licenses=_licences(metadata),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=wheel.sha256)],
    )


def _licences(metadata: Message) -> list[Any]:
    """Return the licence: as an SPDX expression where the package has one, else in the package's words."""
    from cyclonedx.contrib.license.factories import LicenseFactory  # noqa: PLC0415

    factory = LicenseFactory()
    if expression := metadata.get("License-Expression"):
        return [factory.make_from_string(expression)]
    trove = [
        value.split(" :: ")[-1]
        for value in metadata.get_all("Classifier", [])
        if value.startswith("License :: ")
    ]
    if trove:
        return [factory.make_with_name(name) for name in trove]
    text = (metadata.get("License") or "").strip().splitlines()
    return [factory.make_from_string(text[0])] if text else []


def _needs(metadata: Message, platform: Platform, extras: Sequence[str]) -> set[str]:
    """Return the names of the packages that a package with this ``metadata`` needs on the device."""
    from packaging.requirements import Requirement  # noqa: PLC0415
    from packaging.utils import canonicalize_name  # noqa: PLC0415

    device = {
        "python_version": platform.python,
        "python_full_version": f"{platform.python}.0",
        "platform_machine": platform.machine,
        "platform_system": "Linux",
        "sys_platform": "linux",
        "os_name": "posix",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
    }
    needed = set()
    for text in metadata.get_all("Requires-Dist", []):
        requirement = Requirement(text)
        marker = requirement.marker
        if marker is None or any(marker.evaluate({**device, "extra": extra}) for extra in ("", *extras)):
            needed.add(str(canonicalize_name(requirement.name)))
    return needed


def _metadata(wheel: Wheel) -> Message:
    with zipfile.ZipFile(wheel.path) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return HeaderParser().parsestr(archive.read(name).decode("utf-8"))
