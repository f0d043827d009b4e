"""The file of good parts that belongs to a bundle: found beside it or given, and checked."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from gagrad_edge.errors import GagradError, TrustError
from gagrad_runtime.reference import SUFFIX
from gagrad_runtime.trust.policy import device_policy

if TYPE_CHECKING:
    from gagrad_edge.bundle.bundle import Bundle
    from gagrad_runtime.reference.reference import Reference
    from gagrad_runtime.trust import Policy

_log = logging.getLogger(__name__)


def beside(bundle: str | Path) -> Path:
    """Return where the file of good parts of ``bundle`` is by default: ``part.good`` for ``part.gagrad``."""
    return Path(bundle).with_suffix(SUFFIX)


def good_parts(
    bundle: Bundle, good: str | Path | bool | None, trust: Policy | str | Path | None
) -> Reference | None:
    """Return what is known of the good parts of ``bundle``, None where there is nothing.

    ``good`` is the file; by default the one beside the bundle, if there. One that is given must be right: it
    raises BundleError, TrustError or SettingError. One that was only found is left out with a warning. Where
    the device has a trust policy, as many of its keys must have signed the file as a bundle needs.
    """
    if good is False:
        return None
    given = isinstance(good, (str, Path))
    path = Path(good) if isinstance(good, (str, Path)) else beside(bundle.path)
    if not given and not path.exists():
        return None
    # Five modules, only where there is such a file.
    from gagrad_runtime.reference.file import check_bundle, read_reference  # noqa: PLC0415

    try:
        found = read_reference(path, bundle.manifest)
        check_bundle(found.reference, bundle.sha256, str(path))
        policy = device_policy(trust)
        if policy is not None:
            count = len(found.signed_by(policy.keys))
            if count < policy.threshold:
                raise TrustError(
                    f"signature: it has {count} of the {policy.threshold} trusted signatures that are needed",
                    where=str(path),
                    hint=f"sign it: gagrad-edge sign {path.name} --key NAME.key",
                )
    except GagradError as error:
        if given:
            raise
        hint = f" ({error.hint})" if error.hint else ""
        _log.warning("%s is not used: %s%s", path, error.what, hint)
        return None
    return found.reference
