"""What the adapters share: a name for each object, no saving, and a description instead of the object in results."""

from __future__ import annotations

import hashlib
import inspect
import re
from pathlib import Path
from typing import Any, ClassVar

from foreshock.data.errors import ConfigError
from foreshock.data.show.shown import one_line
from foreshock.detectors.base import Detector

LIBRARIES = ("sklearn", "pyod", "torch")


class OwnThing(Detector):
    """Base of the adapters; ``name`` is a parameter, because each object has its own."""

    # Neither its look-back nor its causality is taken on trust.
    own: ClassVar[bool] = True
    # Whether a score depends on its row alone by construction, so that no look-back is to be measured.
    by_row: ClassVar[bool] = False
    # Whether scores come from a table, so that nobody can tell what they saw.
    from_table: ClassVar[bool] = False

    def save(self, path: str | Path) -> None:
        raise ConfigError(f"{self.name} cannot be saved to {path}: it holds an object that is not foreshock's; fit it again")


def checked_name(name: Any, otherwise: str, module: str = "") -> str:
    """The name given, or one that is derived; refused if it is not a text.

    >>> checked_name(None, "IsolationForest", "sklearn.ensemble"), checked_name("mine", "IsolationForest")
    ('sklearn_isolation_forest', 'mine')
    """
    if name is None:
        library = module.split(".", maxsplit=1)[0]
        # A model of a library may be called as one of foreshock's own.
        prefix = f"{library}_" if library in LIBRARIES else ""
        return prefix + re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", otherwise).lower()
    if not isinstance(name, str) or not name.strip():
        raise ConfigError(f"the name of a detector must be a text, got {one_line(repr(name), 80)}; such as 'mine'")
    return name


def source_digest(thing: Any) -> str:
    """First digits of the SHA-256 of the source of a function or class, or of its code where there is no source."""
    try:
        text = inspect.getsource(thing).encode()
    except (OSError, TypeError):
        code = getattr(thing, "__code__", None)
        text = code.co_code + repr(code.co_consts).encode() if code is not None else type(thing).__qualname__.encode()
    return hashlib.sha256(text).hexdigest()[:12]
