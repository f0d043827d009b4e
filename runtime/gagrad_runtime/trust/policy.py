"""The trust policy of a device: a TOML file that says whose bundles it loads, and of which products.

Without a policy a device loads any bundle that is intact. With one it loads nothing else, packed or unpacked.
A policy that is there but cannot be read, or is wrong, is an error and never the same as none.
"""

from __future__ import annotations

import os
import stat
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec

from gagrad_edge.errors import MissingPackageError, SettingError
from gagrad_edge.trust.keys import PublicKey, public_key_of
from gagrad_edge.trust.release import Product, Version  # noqa: TC001 - msgspec reads them at run time
from gagrad_runtime.machine.regular import open_regular

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DEFAULT = Path("/etc/gagrad-edge/trust.toml")
"""File of the device's policy, unless the caller or the environment variable VARIABLE names another."""
VARIABLE = "GAGRAD_EDGE_TRUST"
STATE = Path("/var/lib/gagrad-edge/trust-state.json")
_LARGEST = 1 << 20
_HINT = "see docs/trust.md; `gagrad-edge keygen` prints the lines for a key"


@dataclass(frozen=True)
class Policy:
    """Whose signatures a device asks for, and which products it loads."""

    keys: tuple[PublicKey, ...]
    threshold: int = 1
    """Number of the keys that must have signed."""
    products: Mapping[str, int] = field(default_factory=dict)
    """Lowest version of each product; when there are any, other products are refused."""
    state: Path | None = None
    """File of the newest versions that the device accepted; None to store nothing."""
    path: Path | None = None
    """File of the policy."""


def device_policy(choice: Policy | str | Path | None = None) -> Policy | None:
    """Return the policy in force: ``choice``, or the one that ``VARIABLE`` names, or the device's, or None.

    The device's is that of the installation that this program is in, or ``DEFAULT``; only one that does not
    exist means none. Raises SettingError and MissingPackageError.
    """
    if isinstance(choice, Policy):
        return choice
    named = choice or os.environ.get(VARIABLE)
    if named:
        return read_policy(Path(named))
    # A broken link exists, so reading it is an error and not the same as no policy.
    for path in (_of_installation(Path(sys.prefix)), DEFAULT):
        if path is not None and os.path.lexists(path):
            return read_policy(path)
    return None


def _of_installation(environment: Path) -> Path | None:
    """Return the policy's file for a program in ``environment``, which an installer's ``--prefix`` has.

    Its folders are those of ``install.layout.Layout.below``.
    """
    found = environment.resolve()
    if found.name != "venv" or found.parent.parent.name != "versions":
        return None
    return found.parent.parent.parent / "etc" / "trust.toml"


def for_product(policy: Policy | None, product: str) -> Policy:
    """Return ``policy`` for a station that loads ``product`` only. Raises SettingError without a policy."""
    if policy is None:
        raise SettingError(
            "only a signature says which product a bundle is for, and there is no trust policy",
            where="product",
            hint="give this device one (docs/trust.md), or leave `product` out",
        )
    if policy.products and product not in policy.products:
        raise SettingError(
            f"the trust policy {policy.path} does not allow {product!r}",
            where="product",
            choices=sorted(policy.products),
        )
    return replace(policy, products={product: policy.products.get(product, 0)})


def read_policy(path: Path) -> Policy:
    """Return the policy in ``path``. Raises SettingError and MissingPackageError."""
    try:
        content = msgspec.toml.decode(_read(path), type=_File)
        keys = tuple(public_key_of(entry.key, entry.name) for entry in content.keys)
        check_keys(keys, content.threshold)
    except OSError as error:
        raise SettingError(
            f"the trust policy cannot be read ({error.strerror or error})", where=str(path), hint=_HINT
        ) from error
    except ImportError as error:
        raise MissingPackageError(
            f"a trust policy needs the package tomli ({error})", hint='pip install "gagrad-edge[station]"'
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
        raise SettingError(f"the trust policy is not valid ({error})", where=str(path), hint=_HINT) from error
    # Relative to the policy's folder, not to the working directory.
    state = path.parent / content.state
    return Policy(keys, content.threshold, content.products, state, path)


def _read(path: Path) -> bytes:
    with open_regular(path) as stream:
        found = os.fstat(stream.fileno())
        if found.st_mode & stat.S_IWOTH:
            raise SettingError(
                "everyone may write the trust policy, so it protects nothing",
                where=str(path),
                hint=f"chmod o-w {path}, and check that its content is still yours",
            )
        if found.st_mode & stat.S_IWGRP and not _own_group(found.st_gid):
            raise SettingError(
                f"a group that is not this user's (number {found.st_gid}) may write the trust policy",
                where=str(path),
                hint=f"chmod g-w {path}, and check that its content is still yours",
            )
        _check_owner(found, path)
        # Whoever may write to one of its folders can put another file there.
        for folder in path.resolve().parents:
            status = folder.stat()
            if status.st_mode & stat.S_IWOTH and not status.st_mode & stat.S_ISVTX:
                raise SettingError(
                    f"everyone may write to its folder {folder}, so it protects nothing",
                    where=str(path),
                    hint=f"chmod o-w {folder}, and check that the policy is still yours",
                )
            _check_owner(status, folder, of=path)
        return stream.read(_LARGEST)


def _own_group(number: int) -> bool:
    return number == 0 or not hasattr(os, "getegid") or number == os.getegid()


def _check_owner(status: os.stat_result, path: Path, *, of: Path | None = None) -> None:
    """Raise SettingError unless ``path`` belongs to root or to this user."""
    if not hasattr(os, "geteuid") or status.st_uid in (0, os.geteuid()):
        return
    what = "it" if of is None else f"its folder {path}"
    raise SettingError(
        f"{what} belongs to another user (number {status.st_uid}), who could replace the trust policy",
        where=str(of or path),
        hint=f"chown root {path}, and check that the policy is still yours",
    )


def check_keys(keys: Sequence[PublicKey], threshold: int) -> None:
    """Raise ValueError unless ``keys`` are different and enough for ``threshold``."""
    if len({key.raw for key in keys}) < len(keys):
        raise ValueError("a key is listed twice")
    if not 1 <= threshold <= len(keys):
        raise ValueError(f"threshold {threshold} for {len(keys)} keys")


class _Key(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    key: str


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    keys: Annotated[list[_Key], msgspec.Meta(min_length=1, max_length=100)]
    threshold: Annotated[int, msgspec.Meta(ge=1)] = 1
    products: dict[Product, Version] = {}
    state: str = str(STATE)
