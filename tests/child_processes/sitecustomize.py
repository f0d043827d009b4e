"""What every Python process that a test starts imports first: it moves the machine's trust policy away.

``gagrad_runtime.trust.policy.DEFAULT`` is ``/etc/gagrad-edge/trust.toml``. A test replaces it in its own
process (``tests/conftest.py``); for a child process this folder is put on PYTHONPATH. The product has no
variable that means "no policy", and must have none: whoever may set a variable of a device's service could
then switch the policy off. So the replacement is here, in a file that no wheel contains.

Nothing is imported early, since tests measure what a bare import loads.
"""

from __future__ import annotations

import os
import sys
from importlib.abc import MetaPathFinder
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

VARIABLE = "GAGRAD_EDGE_TESTS_POLICY"
"""Path that takes the place of ``/etc/gagrad-edge/trust.toml``."""


class PolicyFinder(MetaPathFinder):
    """Finds ``gagrad_runtime.trust.policy`` and replaces its ``DEFAULT`` once the module has run."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,  # noqa: ARG002 - the finder's signature
        target: ModuleType | None = None,  # noqa: ARG002 - the finder's signature
    ) -> ModuleSpec | None:
        """Return the module's own spec with another loader; None for every other module."""
        if fullname != "gagrad_runtime.trust.policy":
            return None
        sys.meta_path.remove(self)
        spec = find_spec(fullname)
        loader: Any = spec and spec.loader
        if loader is not None:
            run = loader.exec_module

            def exec_module(module: Any) -> None:
                run(module)
                module.DEFAULT = Path(os.environ[VARIABLE])

            loader.exec_module = exec_module
        return spec


if VARIABLE in os.environ:
    sys.meta_path.insert(0, PolicyFinder())
